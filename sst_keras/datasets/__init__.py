"""Data sets as TensorFlow Datasets has them, a folder each."""
