"""A trained model put to use: export as a SavedModel, prediction."""
