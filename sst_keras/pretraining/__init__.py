"""What is learned from unlabelled texts before a classifier is trained."""
