"""SST-5. Importing this package registers it: `tfds.load("sst5/sentences")` then works."""

from sst_keras.datasets.sst5.sst5_dataset_builder import Builder

__all__ = ["Builder"]
