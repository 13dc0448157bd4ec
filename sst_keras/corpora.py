"""A name or a path → train, dev and test texts with their labels.

`sst5` is the Stanford Sentiment Treebank, read through its TFDS builder. `sample` ships with the
package. A path is a folder of trees, or a CSV, TSV or JSONL file or folder; see `sst_keras.tables`.
"""

import contextlib
import hashlib
import io
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import locations, tables, treebank
from sst_keras.datasets.sst5 import source as sst5_source
from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig
from sst_keras.tables import SPLITS
from sst_keras.tokenizer import tokenize

log = logging.getLogger(__name__)

SAMPLE_NOTE = (
    "THIS IS THE BUNDLED SAMPLE, which a grammar generated, not the Stanford Sentiment Treebank. "
    "Its scores show that everything works and nothing about real reviews. For SST-5 run "
    "`sst-keras data fetch`, or name a folder that has it by SST_KERAS_DATA, then train again."
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
        return len(self.labels)

    def row(self, index: int) -> tuple[list[str], int]:
        """Returns one example's tokens and label."""
        return [token.decode() for token in self.tokens[index].numpy()], int(self.labels[index])


@dataclass(frozen=True)
class Corpus:
    """A data set. The texts of train, dev and test are complete.

    Attributes:
        name: `sst5`, `sample`, or the path that was given.
        class_names: The classes, lowest first.
        spans: Every labelled span of the training texts, including the complete ones, if the data
            set has spans and the settings ask for them.
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
        return getattr(self, name)

    def training_split(self, examples: str) -> Split:
        """Returns the training examples: `sentences`, `phrases` or `unique-phrases`.

        Phrases of a data set without labelled spans raise a `UsageError`.
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
    """Reads a data set. Labelled spans are read if `data.examples` needs them.

    Raises:
        UsageError: If the data set does not exist, or lacks columns or files.
        InputError: If a file cannot be read.
    """
    if data.dataset == "auto":
        name = "sst5" if sst5_source.is_available(data_dir) else "sample"
        data = replace(data, dataset=name)
    spans = data.examples != "sentences"
    path = Path(data.dataset)
    if data.dataset == "sst5":
        corpus = _read_sst5(data_dir, spans)
    elif data.dataset == "sample":
        corpus = _read_trees(locations.bundled("sample"), "sample", spans)
    elif (path / "train.txt").is_file():
        tables.require_splits(path, ".txt")
        corpus = _read_trees(path, data.dataset, spans)
    else:
        corpus = _read_tables(path, data)
    if data.labels and corpus.class_names != data.labels:
        raise InputError(
            f"expected the classes {', '.join(data.labels)}. {corpus.name} has "
            f"{', '.join(corpus.class_names)}: the classes of trees are fixed.",
            setting="data.labels",
        )
    return corpus


def describe(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Returns split → counts. `shortest` and `longest` are the tokens of a text."""
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


def _read_tables(path: Path, data: DataConfig) -> Corpus:
    splits, class_names, notes = tables.read_splits(path, data)
    numbers = {label: number for number, label in enumerate(class_names)}
    columns = {}
    for name, rows in splits.items():
        labels = np.asarray([numbers[row.label] for row in rows], np.int32)
        columns[name] = Split(tokenize(tf.constant([row.text for row in rows])), labels)
    blank = sum(not row.text.strip() for rows in splits.values() for row in rows)
    if blank:
        notes.append(f"{blank} texts are blank; each is read as one unknown token.")
    return Corpus(data.dataset, class_names, **columns, notes=tuple(notes))


def _read_sst5(data_dir: str | Path | None, spans: bool) -> Corpus:
    # Even if the builder has prepared data, a wrong folder or a damaged file is an error.
    if sst5_source.locate(data_dir) is None and data_dir:
        sst5_source.require(data_dir)
    sentences = {name: _read_builder("sentences", name, data_dir) for name in SPLITS}
    phrases = _read_builder("phrases", "train", data_dir) if spans else None
    return Corpus("sst5", treebank.LABEL_NAMES, **sentences, spans=phrases)


def _read_builder(config: str, split: str, data_dir: str | Path | None) -> Split:
    import tensorflow_datasets as tfds

    from sst_keras.datasets import sst5

    make_builder = partial(
        sst5.Builder,
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
            except FileExistsError:  # Another process has prepared it meanwhile.
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
    trees = {split: list(treebank.read_trees(folder / f"{split}.txt")) for split in SPLITS}
    for split in SPLITS:
        if not trees[split]:
            path = folder / f"{split}.txt"
            raise InputError(f"{path}: expected one tree per line. Received an empty file.")
    sentences = {split: _split_of(tree.root_example() for tree in trees[split]) for split in SPLITS}
    examples = (span for tree in trees["train"] for span in tree.examples())
    phrases = _split_of(examples) if spans else None
    notes = (SAMPLE_NOTE,) if name == "sample" else ()
    return Corpus(name, treebank.LABEL_NAMES, **sentences, spans=phrases, notes=notes)


def _split_of(examples: Iterable[treebank.Example]) -> Split:
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
