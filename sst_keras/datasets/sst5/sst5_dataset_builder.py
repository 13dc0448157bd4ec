"""The TensorFlow Datasets builder of SST-5."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from sst_keras import locations, treebank
from sst_keras.datasets.sst5 import source


class Builder(tfds.core.GeneratorBasedBuilder):
    """SST-5 as `sst5/sentences` and `sst5/phrases`; see the README beside this file.

    Args:
        source_dir: A folder with `sst/`, instead of the one that `SST_KERAS_DATA` names.
        **kwargs: Other arguments of `tfds.core.GeneratorBasedBuilder`.
    """

    VERSION = tfds.core.Version(source.VERSION)
    RELEASE_NOTES = {source.VERSION: "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="sentences", description="Complete sentences."),
        tfds.core.BuilderConfig(name="phrases", description="Every labelled span of them."),
    ]

    def __init__(self, *, source_dir: str | Path | None = None, **kwargs: Any) -> None:
        self._source_dir = source_dir
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "text": tfds.features.Text(),
            "tokens": tfds.features.Sequence(tfds.features.Text()),
            "label": tfds.features.ClassLabel(names=list(treebank.LABEL_NAMES)),
        }
        if self.builder_config.name == "phrases":
            features["is_root"] = tfds.features.Scalar(np.bool_)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("text", "label"),
            homepage="https://nlp.stanford.edu/sentiment/",
            disable_shuffling=True,  # the original's order; training shuffles anyway
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        folder = source.locate(self._source_dir)
        if folder is None:
            # The download manager would retry for minutes.
            if not locations.is_reachable(source.URL):
                raise source.unavailable(self._source_dir)
            folder = dl_manager.download_and_extract(source.URL) / "trees"
        return {
            split: self._generate_examples(folder / f"{split}.txt")
            for split in ("train", "dev", "test")
        }

    def _generate_examples(self, path: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        has_spans = self.builder_config.name == "phrases"
        number = 0
        for tree in treebank.read_trees(path):
            for example in tree.examples() if has_spans else [tree.root_example()]:
                text = " ".join(example.tokens)
                features = {"text": text, "tokens": example.tokens, "label": example.label}
                if has_spans:
                    features["is_root"] = example.is_root
                yield number, features
                number += 1
