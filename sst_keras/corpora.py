"""A name or a path → train, dev and test texts with their labels.

`sst5` is the Stanford Sentiment Treebank, read through its TFDS builder; `sample` ships with the
package; a path is a folder of trees, or CSV, TSV or JSONL with texts of one's own.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import locations, treebank
from sst_keras.datasets.sst5 import source as sst5_source
from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig
from sst_keras.tokenizer import tokenize

log = logging.getLogger(__name__)

SAMPLE_NOTE = (
    "THIS IS THE BUNDLED SAMPLE, made up by a grammar, not the Stanford Sentiment Treebank: its "
    "figures say that everything works, and nothing about real reviews. For SST-5 run "
    "`sst-keras data fetch`, then train again."
)
SPLITS = ("train", "dev", "test")
_RECORDS = 8192  # that are parsed at a time
_FEWEST_CLASSES, _MOST_CLASSES = 2, 20
_TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class Split:
    """Texts and their labels, in columns.

    Attributes:
        tokens: string[examples, (tokens)], treebank escapes undone, at least one token a row.
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
        train: Whole texts to learn from.
        dev: Whole texts to choose the epoch, and everything else, by.
        test: Whole texts to score once.
        spans: Every labelled span of the training texts, themselves among them, where the data
            set has such and they were asked for.
        notes: What a user should know of how the data were read, a sentence each.
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
        """Returns what is trained on: `sentences`, `phrases` or `unique-phrases`.

        Raises:
            UsageError: If the data set has no labelled spans.
        """
        if examples == "sentences":
            return self.train
        if self.spans is None:
            raise UsageError(
                f"data.examples: {examples!r} needs labelled spans, which only trees have; "
                f"{self.name} has whole texts. Use sentences."
            )
        return self.spans if examples == "phrases" else _distinct(self.spans)

    def fingerprint(self) -> str:
        """Returns a sha256 over classes, texts and labels: equal for equal data."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for name in SPLITS:
            split = self.split(name)
            texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ")
            digest.update(name.encode())
            digest.update(tf.strings.reduce_join(texts, separator="\n").numpy())
            digest.update(split.labels.astype("<i4").tobytes())
        return digest.hexdigest()


def load_corpus(data: DataConfig, seed: int = 1, data_dir: str | Path | None = None) -> Corpus:
    """Reads a data set.

    Args:
        data: Which one, and how to read it; labelled spans are read when `data.examples` asks.
        seed: Splits a single file into train, dev and test.
        data_dir: The folder that has `sst/`, in place of the environment's.

    Raises:
        UsageError: If there is no such data set, or it has not the columns or files it should.
        InputError: If a file cannot be read.
    """
    if data.dataset == "auto":
        name = "sst5" if sst5_source.is_available(data_dir) else "sample"
        data = replace(data, dataset=name)
    corpus = _read(data, seed, data_dir)
    if data.labels and corpus.class_names != data.labels:
        raise InputError(
            f"{corpus.name}: expected the classes {', '.join(data.labels)}. Received: "
            f"{', '.join(corpus.class_names)}. Those of trees are fixed; --labels is for tables."
        )
    return corpus


def _read(data: DataConfig, seed: int, data_dir: str | Path | None) -> Corpus:
    """Reads a data set by its name or path."""
    spans = data.examples != "sentences"
    if data.dataset == "sst5":
        return _read_sst5(data_dir, spans)
    if data.dataset == "sample":
        return _read_trees(locations.bundled("sample"), "sample", spans)
    path = Path(data.dataset)
    if not path.exists():
        raise UsageError(
            f"--dataset: expected sst5, sample, auto or a path, but there is no {data.dataset!r}."
        )
    if path.is_file():
        if path.suffix not in _TABLE_ENDINGS:
            raise UsageError(
                f"--dataset: expected a file that ends in {', '.join(_TABLE_ENDINGS)}, or a folder "
                f"with train, dev and test files. Received: {data.dataset!r}"
            )
        return _read_table_file(path, data, seed)
    for ending in (".txt", *_TABLE_ENDINGS):
        if (path / f"train{ending}").is_file():
            missing = [
                f"{name}{ending}" for name in SPLITS if not (path / f"{name}{ending}").is_file()
            ]
            if missing:
                raise UsageError(
                    f"--dataset: {data.dataset!r} has train{ending} but no {', '.join(missing)}."
                )
            if ending == ".txt":
                return _read_trees(path, data.dataset, spans)
            return _read_table_folder(path, ending, data)
    raise UsageError(
        f"--dataset: expected train.txt (trees), train.csv, train.tsv or train.jsonl, each with "
        f"its dev and test, in the folder {data.dataset!r}. Received none of them."
    )


# === Treebanks ===


def _read_sst5(data_dir: str | Path | None, spans: bool) -> Corpus:
    """Reads SST-5 through its TFDS builder."""
    # Asked for even when the builder has the data from an earlier time: a wrong folder or a damaged
    # file is the user's to know.
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
    """Reads a split of a configuration of the SST-5 builder into columns."""
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
        # Its own messages go to standard output, which belongs to the user's results.
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                builder.download_and_prepare()
            except FileExistsError:  # another process was first, and what it made is whole
                builder = make_builder()
    # Parsed a batch at a time, which takes a fortieth of what `as_dataset` takes row by row.
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
                f"{folder / split}.txt: expected a tree a line. Received an empty file"
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
    """Returns the first of each of the texts that are equal, in their order."""
    texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ")
    numbers = tf.unique(texts).idx.numpy()  # int32[examples], texts by their first occurrence
    first = np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))
    return Split(tf.gather(split.tokens, first), split.labels[first])


# === Tables: CSV, TSV, JSONL ===


def _read_table_folder(folder: Path, ending: str, data: DataConfig) -> Corpus:
    """Reads a folder with train, dev and test tables."""
    tables = {name: _read_table(folder / f"{name}{ending}", data) for name in SPLITS}
    everything = [label for table in tables.values() for label in table[1]]
    class_names = _class_names(everything, data, folder)
    return _table_corpus(tables, class_names, data.dataset, [])


def _read_table_file(path: Path, data: DataConfig, seed: int) -> Corpus:
    """Reads one table, and splits it 80/10/10, each class alike, equal texts together."""
    texts, labels, places = _read_table(path, data)
    class_names = _class_names(labels, data, path)
    # Copies of a text must not stand on both sides, or the test would ask what training told.
    first: dict[str, int] = {}
    group = np.asarray([first.setdefault(text.strip(), len(first)) for text in texts])
    leaders = np.unique(group, return_index=True)[1]  # [groups], a row of each text
    leader_labels = np.asarray(labels)[leaders]
    side = np.empty(len(leaders), np.int64)
    random = np.random.default_rng(seed)
    for label in sorted(set(labels)):
        members = random.permutation(np.flatnonzero(leader_labels == label))
        dev, test = round(0.8 * len(members)), round(0.9 * len(members))
        side[members[:dev]], side[members[dev:test]], side[members[test:]] = 0, 1, 2
    tables = {}
    for number, name in enumerate(SPLITS):
        rows = np.flatnonzero(side[group] == number)
        if not len(rows):
            raise InputError(
                f"{path}: {len(texts)} rows are too few to split into train, dev and test. "
                f"Expected at least 10 of some class."
            )
        tables[name] = tuple([column[row] for row in rows] for column in (texts, labels, places))
    notes = [f"{path} was split 80/10/10 by seed {seed}, each class alike."]
    if len(leaders) < len(texts):
        notes.append(
            f"{len(texts) - len(leaders)} of {len(texts)} rows repeat an earlier text; equal texts "
            f"were kept in one split."
        )
    return _table_corpus(tables, class_names, data.dataset, notes)


def _table_corpus(
    tables: dict[str, tuple[list[str], list[str], list[str]]],
    class_names: tuple[str, ...],
    name: str,
    notes: list[str],
) -> Corpus:
    """Tokenizes tables of texts and labels."""
    numbers = {label: number for number, label in enumerate(class_names)}
    splits, blank = {}, 0
    for split, (texts, labels, places) in tables.items():
        for label, place in zip(labels, places, strict=True):
            if label not in numbers:
                raise InputError(
                    f"{place}: the label {label!r} is not one of the classes "
                    f"{', '.join(class_names)}. Correct the row, or name all classes by --labels."
                )
        blank += sum(not text.strip() for text in texts)
        splits[split] = Split(
            tokenize(tf.constant(texts)), np.asarray([numbers[label] for label in labels], np.int32)
        )
    if blank:
        notes = [*notes, f"{blank} texts are blank; each reads as one unknown token."]
    return Corpus(name, class_names, **splits, notes=tuple(notes))


def _class_names(labels: list[str], data: DataConfig, path: Path) -> tuple[str, ...]:
    """Returns the classes in order: as given, or sorted, as numbers where all are numbers."""
    found = set(labels)
    names = data.labels or tuple(sorted(found, key=_number_or_text(found)))
    if not _FEWEST_CLASSES <= len(names) <= _MOST_CLASSES:
        raise InputError(
            f"{path}: expected {_FEWEST_CLASSES} to {_MOST_CLASSES} classes in the column "
            f"{data.label_column!r}. Received {len(names)}: {', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}. Is it the right column?"
        )
    return names


def _number_or_text(labels: Iterable[str]) -> Callable[[str], Any]:
    """Returns the key that sorts labels: numbers by value, text by its letters."""
    try:
        for label in labels:
            float(label)
    except ValueError:
        return str
    return float


def _read_table(path: Path, data: DataConfig) -> tuple[list[str], list[str], list[str]]:
    """Returns a file's texts, its labels, and where each row stands, for errors."""
    texts, labels, places = [], [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _json_rows(file, path) if path.suffix == ".jsonl" else _csv_rows(file, path)
            for line, row in rows:
                for column in (data.text_column, data.label_column):
                    if row.get(column) is None:
                        option = "--text-column" if column == data.text_column else "--label-column"
                        raise UsageError(
                            f"{path}, line {line}: expected a column {column!r}. Received: "
                            f"{', '.join(map(str, row))}. Name yours by {option} in training."
                        )
                text = str(row[data.text_column])
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can hold
                    raise InputError(
                        f"{path}, line {line}: expected text that UTF-8 can hold. Received "
                        f"{error.object[error.start]!r} in it."
                    ) from None
                label = str(row[data.label_column]).strip()
                if not label:
                    raise InputError(f"{path}, line {line}: expected a label. Received none.")
                texts.append(text)
                labels.append(label)
                places.append(f"{path}, line {line}")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8, but found the byte {error.object[error.start]:#04x} "
            f"({error.reason}). Save the file as UTF-8, for example: "
            f"iconv -f latin1 -t utf-8 {path.name}"
        ) from None
    if not texts:
        raise InputError(f"{path}: expected a text and a label a row. Received no rows.")
    return texts, labels, places


def _csv_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of a CSV or TSV file with a header, and the line each ends on."""
    reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
    try:
        for row in reader:
            if None in row:
                raise InputError(
                    f"{path}, line {reader.line_num}: expected {len(reader.fieldnames)} fields, as "
                    f"the header has. Received {len(reader.fieldnames) + len(row[None])}. "
                    f"Put quotes around texts that hold the separator."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}. Expected CSV.") from None


def _json_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the objects of a JSONL file, and the line of each."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: expected a JSON object. {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected a JSON object. Received: {row!r}")
        yield number, row
