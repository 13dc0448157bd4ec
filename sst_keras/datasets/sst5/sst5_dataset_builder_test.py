"""The builder on trees made for this test, as TensorFlow Datasets tests its builders."""

import os
from unittest import mock

import tensorflow_datasets as tfds

from sst_keras import locations
from sst_keras.datasets.sst5 import sst5_dataset_builder


class _Sst5Test(tfds.testing.DatasetBuilderTestCase):
    """With no data at hand the builder asks for the download, which the case replaces."""

    DATASET_CLASS = sst5_dataset_builder.Builder

    def setUp(self):
        super().setUp()
        environment = {k: v for k, v in os.environ.items() if k != "SST_KERAS_DATA"}
        environment["XDG_CACHE_HOME"] = self.tmp_dir
        self.enter_context(mock.patch.dict(os.environ, environment, clear=True))
        self.enter_context(mock.patch.object(locations, "is_reachable", return_value=True))


class SentencesTest(_Sst5Test):
    BUILDER_CONFIG_NAMES_TO_TEST = ["sentences"]
    SPLITS = {"train": 3, "dev": 1, "test": 2}


class PhrasesTest(_Sst5Test):
    BUILDER_CONFIG_NAMES_TO_TEST = ["phrases"]
    SPLITS = {"train": 7 + 11 + 7, "dev": 5, "test": 5 + 5}
    OVERLAPPING_SPLITS = ["dev", "test"]  # a full stop is a span of its own everywhere


del _Sst5Test  # a parent of the two, not a test itself


if __name__ == "__main__":
    tfds.testing.test_main()
