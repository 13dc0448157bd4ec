"""Fine-grained sentiment: LSTM classifiers for the Stanford Sentiment Treebank in Keras.

Importing the package loads nothing heavy; its modules do when they are imported.
"""

__version__ = "0.1.0"
