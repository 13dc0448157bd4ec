"""A name or a path → train, dev and test texts with their labels.

`sst5` is the Stanford Sentiment Treebank, read through its TFDS builder. `sample` ships with the
package. A path is a folder of trees, or a CSV, TSV or JSONL file or folder; see `sst_keras.tables`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import locations, tables, treebank
from sst_keras.datasets.sst5 import source as sst5_source
from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig
from sst_keras.tables import SPLITS, Table
from sst_keras.tokenizer import tokenize

log = logging.getLogger(__name__)

SAMPLE_NOTE = (
    "THIS IS THE BUNDLED SAMPLE, which a grammar generated, not the Stanford Sentiment Treebank. "
    "Its scores show that everything works and nothing about real reviews. For SST-5 run "
    "`sst-keras data fetch`, then train again."
)
_RECORDS = 8192  # parsed at a time


@dataclass(frozen=True)
class Split:
    """Texts and their labels, in columns.

    Attributes:
        tokens: string[examples, (tokens)], treebank escapes undone, at least one token per row.
        labels: int32[examples], from 0.
    """

    tokens: tf.RaggedTensor
    labels: np.ndarray

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.labels)

    def row(self, index: int) -> tuple[list[str], int]:
        """Returns one example's tokens and label."""
        tokens = [token.decode("utf-8") for token in self.tokens[index].numpy()]
        return tokens, int(self.labels[index])


@dataclass(frozen=True)
class Corpus:
    """A data set.

    Attributes:
        name: `sst5`, `sample`, or the path that was given.
        class_names: The classes, lowest first.
        train: Complete texts for training.
        dev: Complete texts for choosing the epoch and everything else.
        test: Complete texts for the final score.
        spans: Every labelled span of the training texts, including the complete ones, if the data
            set has spans and they were asked for.
        notes: What a user should know about how the data were read, one sentence each.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    dev: Split
    test: Split
    spans: Split | None = None
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> Split:
        """Returns the split `train`, `dev` or `test`."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[name]

    def training_split(self, examples: str) -> Split:
        """Returns the training examples: `sentences`, `phrases` or `unique-phrases`.

        Raises:
            UsageError: If the data set has no labelled spans.
        """
        if examples == "sentences":
            return self.train
        if self.spans is None:
            raise UsageError(
                f"{examples!r} needs labelled spans, which only trees have. {self.name} has "
                f"complete texts: use sentences.",
                setting="data.examples",
            )
        return self.spans if examples == "phrases" else _distinct(self.spans)

    def fingerprint(self) -> str:
        """Returns a sha256 of classes, texts and labels."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for name in SPLITS:
            split = self.split(name)
            texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ")
            digest.update(name.encode())
            digest.update(tf.strings.reduce_join(texts, separator="\n").numpy())
            digest.update(split.labels.astype("<i4").tobytes())
        return digest.hexdigest()


def load_corpus(data: DataConfig, data_dir: str | Path | None = None) -> Corpus:
    """Reads a data set.

    Args:
        data: Which one, and how to read it. Labelled spans are read if `data.examples` needs them.
        data_dir: The folder that has `sst/`, instead of the environment's.

    Raises:
        UsageError: If there is no such data set, or it lacks columns or files.
        InputError: If a file cannot be read.
    """
    if data.dataset == "auto":
        name = "sst5" if sst5_source.is_available(data_dir) else "sample"
        data = replace(data, dataset=name)
    corpus = _read(data, data_dir)
    if data.labels and corpus.class_names != data.labels:
        raise InputError(
            f"expected the classes {', '.join(data.labels)}. {corpus.name} has "
            f"{', '.join(corpus.class_names)}: the classes of trees are fixed.",
            setting="data.labels",
        )
    return corpus


def describe(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Counts a data set.

    Returns:
        Split → `texts`, `classes` (name → count), `tokens`, `types`, `lower_case_types`,
        `shortest` and `longest` (in tokens).
    """
    rows = {}
    for name in SPLITS:
        split = corpus.split(name)
        lengths, flat = split.tokens.row_lengths().numpy(), split.tokens.flat_values
        counts = np.bincount(split.labels, minlength=len(corpus.class_names)).tolist()
        rows[name] = {
            "texts": len(split),
            "classes": dict(zip(corpus.class_names, counts, strict=True)),
            "tokens": int(lengths.sum()),
            "types": len(tf.unique(flat).y),
            "lower_case_types": len(tf.unique(tf.strings.lower(flat, encoding="utf-8")).y),
            "shortest": int(lengths.min()),
            "longest": int(lengths.max()),
        }
    return rows


def _read(data: DataConfig, data_dir: str | Path | None) -> Corpus:
    """Reads a data set by its name or path."""
    spans = data.examples != "sentences"
    if data.dataset == "sst5":
        return _read_sst5(data_dir, spans)
    if data.dataset == "sample":
        return _read_trees(locations.bundled("sample"), "sample", spans)
    path = Path(data.dataset)
    if path.is_dir() and (path / "train.txt").is_file():
        tables.require_splits(path, ".txt")
        return _read_trees(path, data.dataset, spans)
    splits, class_names, notes = tables.read_splits(path, data)
    return _table_corpus(data.dataset, splits, class_names, notes)


def _table_corpus(
    name: str, splits: Mapping[str, Table], class_names: tuple[str, ...], notes: list[str]
) -> Corpus:
    """Tokenizes tables of texts and labels."""
    numbers = {label: number for number, label in enumerate(class_names)}
    columns = {}
    for split, table in splits.items():
        labels = np.asarray([numbers[label] for label in table.labels], np.int32)
        columns[split] = Split(tokenize(tf.constant(table.texts)), labels)
    blank = sum(not text.strip() for table in splits.values() for text in table.texts)
    if blank:
        notes = [*notes, f"{blank} texts are blank; each is read as one unknown token."]
    return Corpus(name, class_names, **columns, notes=tuple(notes))


# === Treebanks ===


def _read_sst5(data_dir: str | Path | None, spans: bool) -> Corpus:
    """Reads SST-5 through its TFDS builder."""
    # Even if the builder has prepared data, a wrong folder or a damaged file is an error.
    at_hand = sst5_source.locate(data_dir)
    if at_hand is None and data_dir:
        sst5_source.require(data_dir)
    sentences = {name: _read_builder("sentences", name, data_dir) for name in SPLITS}
    return Corpus(
        "sst5",
        treebank.LABEL_NAMES,
        **sentences,
        spans=_read_builder("phrases", "train", data_dir) if spans else None,
    )


def _read_builder(config: str, split: str, data_dir: str | Path | None) -> Split:
    """Reads a split of one of the SST-5 builder's configurations into columns."""
    import tensorflow_datasets as tfds

    from sst_keras.datasets import sst5

    def make_builder() -> tfds.core.DatasetBuilder:
        return sst5.Builder(
            config=config,
            source_dir=data_dir,
            data_dir=sst5_source.tfds_dir(),
            file_format="tfrecord",
        )

    builder = make_builder()
    if not sst5_source.is_prepared(config):
        wait = " (half a minute)" if config == "phrases" else ""
        log.info(f"Preparing sst5/{config}, once{wait} ...")
        # TFDS writes messages to standard output, which is for results.
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                builder.download_and_prepare()
            except FileExistsError:  # another process has prepared it meanwhile
                builder = make_builder()
    # Parsing batches takes a fortieth of the time that `as_dataset` takes row by row.
    columns = {
        "tokens": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    records = tf.data.TFRecordDataset([str(file) for file in builder.info.splits[split].filepaths])
    parts = [tf.io.parse_example(batch, columns) for batch in records.batch(_RECORDS)]
    return Split(
        tf.concat([part["tokens"] for part in parts], axis=0),
        np.concatenate([part["label"].numpy() for part in parts]).astype(np.int32),
    )


def _read_trees(folder: Path, name: str, spans: bool) -> Corpus:
    """Reads a folder with bracketed trees in train.txt, dev.txt and test.txt."""
    trees = {split: list(treebank.read_trees(folder / f"{split}.txt")) for split in SPLITS}
    for split in SPLITS:
        if not trees[split]:
            raise InputError(
                f"{folder / split}.txt: expected one tree per line. Received an empty file"
            )
    sentences = {split: _split_of(tree.root_example() for tree in trees[split]) for split in SPLITS}
    return Corpus(
        name,
        treebank.LABEL_NAMES,
        **sentences,
        spans=_split_of(span for tree in trees["train"] for span in tree.examples())
        if spans
        else None,
        notes=(SAMPLE_NOTE,) if name == "sample" else (),
    )


def _split_of(examples: Iterable[treebank.Example]) -> Split:
    """Returns examples in columns."""
    flat: list[str] = []
    lengths, labels = [], []
    for example in examples:
        flat += example.tokens
        lengths.append(len(example.tokens))
        labels.append(example.label)
    tokens = tf.RaggedTensor.from_row_lengths(tf.constant(flat, tf.string), lengths)
    return Split(tokens, np.asarray(labels, np.int32))


def _distinct(split: Split) -> Split:
    """Returns the first example of each different text, in order."""
    texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ")
    numbers = tf.unique(texts).idx.numpy()  # int32[examples], texts by their first occurrence
    first = np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))
    return Split(tf.gather(split.tokens, first), split.labels[first])
