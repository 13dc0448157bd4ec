"""A name or a path → train, dev and test texts with their labels.

`sst5` is the Stanford Sentiment Treebank, read through its TFDS builder. `sample` ships with the
package. A path is a folder of trees, or files of texts and labels; see `sst_keras.reviews`.
"""

import contextlib
import hashlib
import io
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import files, locations, treebank
from sst_keras.datasets.sst5 import source as sst5_source
from sst_keras.errors import InputError, UsageError
from sst_keras.findings import Findings
from sst_keras.packed import open_unpacked
from sst_keras.reviews import read_reviews
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig
from sst_keras.tables.folders import ClassFolders, find_sources
from sst_keras.tables.splits import SPLITS
from sst_keras.texts import Texts

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
        texts: The tokens, with treebank escapes undone, at least one per text.
        labels: int32[examples], from 0.
    """

    texts: Texts
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def tokens(self) -> tf.RaggedTensor:
        """string[examples, (tokens)]."""
        return self.texts.tokens

    def row(self, index: int) -> tuple[list[str], int]:
        """Returns one example's tokens and label."""
        return self.texts.row(index), int(self.labels[index])

    def take(self, rows: np.ndarray) -> "Split":
        """Returns the examples int[n] of the given numbers."""
        return Split(self.texts.take(rows), self.labels[rows])


@dataclass(frozen=True)
class Corpus:
    """A data set. The texts of train, dev and test are complete.

    Attributes:
        name: `sst5`, `sample`, or the path that was given.
        class_names: The classes, lowest first.
        spans: Every labelled span of the training texts, text by text, each time the complete text
            first, if the data set has spans and the settings ask for them.
        roots: int64[train], the rows of `spans` that are complete texts, if there are spans.
        ordered: Whether the order of the classes is a scale, so that distances mean something.
        findings: What was found in a user's own files.
        notes: What a user should know about how the data were read, one sentence each.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    dev: Split
    test: Split
    spans: Split | None = None
    roots: np.ndarray | None = None
    ordered: bool = True
    findings: Findings = Findings()
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> Split:
        """Returns the split `train`, `dev` or `test`."""
        return getattr(self, name)

    def training_split(self, examples: str) -> Split:
        """Returns the training examples, for a value of `data.examples`.

        Those of `sampled-phrases` are all phrases; each epoch draws some of them. Phrases of a data
        set without labelled spans raise a `UsageError`.
        """
        if examples == "sentences":
            return self.train
        if self.spans is None:
            raise UsageError(
                f"{examples!r} needs labelled spans, which only trees have. {self.name} has "
                f"complete texts: use sentences.",
                setting="data.examples",
            )
        return self._unique_phrases if examples == "unique-phrases" else self.spans

    @cached_property
    def _unique_phrases(self) -> Split:
        return _distinct(self.spans)

    def fingerprint(self) -> str:
        """Returns a sha256 of classes, texts and labels."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for name in SPLITS:
            split = self.split(name)
            digest.update(name.encode())
            for start in range(0, len(split), _RECORDS):
                rows = np.arange(start, min(start + _RECORDS, len(split)))
                texts = tf.strings.reduce_join(split.texts.take(rows).tokens, -1, separator=" ")
                digest.update(b"\n" if start else b"")
                digest.update(tf.strings.reduce_join(texts, separator="\n").numpy())
            digest.update(split.labels.astype("<i4").tobytes())
        return digest.hexdigest()

    def rows_fingerprint(self) -> str:
        """Returns a sha256 of classes, texts and labels, whatever the splits and the order.

        Texts that are equal in lower case count as equal.
        """
        total = 0
        for name in SPLITS:
            split = self.split(name)
            mixed = split.texts.keys() * np.uint64(2 * len(self.class_names) + 1)
            mixed = (mixed + split.labels.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            total += int((mixed ^ (mixed >> np.uint64(31))).sum(dtype=np.uint64))
        digest = hashlib.sha256(json.dumps([self.class_names, total % 2**64]).encode())
        return digest.hexdigest()


def load_corpus(
    data: DataConfig, data_dir: str | Path | None = None, complete: bool = False
) -> Corpus:
    """Reads a data set. Labelled spans are read if `data.examples` needs them.

    Args:
        data: The settings.
        data_dir: The folder that has `sst/`, instead of the environment's.
        complete: Whether a user's single file is read as test, instead of being split.

    Raises:
        UsageError: If the data set does not exist, or lacks columns or files.
        InputError: If a file cannot be read.
    """
    if data.dataset == "auto":
        name = "sst5" if sst5_source.is_available(data_dir) else "sample"
        data = replace(data, dataset=name)
    spans = data.examples != "sentences"
    if data.dataset == "sst5":
        corpus = _read_sst5(data_dir, spans)
    elif data.dataset == "sample":
        folder = locations.bundled("sample")
        corpus = _read_trees({name: folder / f"{name}.txt" for name in SPLITS}, "sample", spans)
    elif sst5_source.is_first_form(data.dataset):
        raise sst5_source.first_form(data.dataset)
    else:
        sources = find_sources(Path(data.dataset))
        if _are_trees(sources):
            corpus = _read_trees(sources, data.dataset, spans, data.labels)
        else:
            found = read_reviews(sources, data, complete)
            splits = {name: Split(*columns) for name, columns in found.splits.items()}
            corpus = Corpus(
                data.dataset,
                found.class_names,
                **splits,
                ordered=found.ordered,
                findings=found.findings,
                notes=found.findings.notes,
            )
    if data.ordinal != "auto":
        corpus = replace(corpus, ordered=data.ordinal == "yes")
    if data.labels and corpus.class_names != data.labels:
        raise InputError(
            f"expected the classes {', '.join(data.labels)}. {corpus.name} has "
            f"{', '.join(corpus.class_names)}: the classes of trees are fixed.",
            setting="data.labels",
        )
    return corpus


def read_phrases(data: DataConfig, split: str, data_dir: str | Path | None = None) -> Split | None:
    """Returns every labelled span of a split, each as often as it occurs; None without trees.

    Errors are those of `load_corpus`.
    """
    if data.dataset == "sst5":
        return _read_builder("phrases", split, data_dir)[0]
    if data.dataset == "sample":
        path = locations.bundled("sample") / f"{split}.txt"
    else:
        sources = find_sources(Path(data.dataset))
        if not _are_trees(sources):
            return None
        path = sources[split]
    return _split_of(span for tree in treebank.read_trees(path) for span in tree.examples())


def describe(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Returns split → counts. `shortest` and `longest` are the tokens of a text."""
    rows = {}
    for name in SPLITS:
        split = corpus.split(name)
        lengths = split.texts.lengths
        counts = np.bincount(split.labels, minlength=len(corpus.class_names)).tolist()
        words = split.texts.words.spellings[np.unique(split.texts.ids)]
        rows[name] = {
            "texts": len(split),
            "classes": dict(zip(corpus.class_names, counts, strict=True)),
            "tokens": int(lengths.sum()),
            "types": len(words),
            "lower_case_types": len({word.decode("utf-8").lower() for word in words}),
            "shortest": int(lengths.min()) if len(split) else 0,
            "longest": int(lengths.max(initial=0)),
        }
    return rows


# A text may begin with a bracket, too: "(Great fun.)".
_TREE = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*\(\s*(?:[^\s()]*\s*\(|-?\d+\s|[^\s()]*\s*[\r\n])"
)


def _are_trees(sources: Mapping[str, Path | ClassFolders]) -> bool:
    """Whether a file begins as trees do: with a bracket and a label or another bracket."""
    for path in sources.values():
        if isinstance(path, Path) and path.name.lower().removesuffix(".gz").endswith(".txt"):
            with open_unpacked(path) as file:
                first = file.read(256).replace(b"\0", b"")  # as in UTF-16
                if _TREE.match(first):
                    return True
    return False


def _read_sst5(data_dir: str | Path | None, spans: bool) -> Corpus:
    # Even if the builder has prepared data, a wrong folder or a damaged file is an error.
    if sst5_source.locate(data_dir) is None and data_dir:
        sst5_source.require(data_dir)
    sentences = {name: _read_builder("sentences", name, data_dir)[0] for name in SPLITS}
    phrases, roots = _read_builder("phrases", "train", data_dir) if spans else (None, None)
    return Corpus("sst5", treebank.LABEL_NAMES, **sentences, spans=phrases, roots=roots)


def _read_builder(config: str, split: str, data_dir: str | Path | None) -> tuple[Split, np.ndarray]:
    """Returns the texts of a split, and the rows int64[n] that are complete sentences."""
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
        files.remove_abandoned(sst5_source.tfds_dir() / "sst5" / config, "incomplete.*")
        # TFDS writes messages to standard output, which is for results.
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                with files.named_errors(sst5_source.tfds_dir()):
                    builder.download_and_prepare()
            except FileExistsError:  # Another process has prepared it meanwhile.
                builder = make_builder()
    # Parsing batches takes a fortieth of the time that `as_dataset` takes row by row.
    columns = {
        "tokens": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "is_root": tf.io.FixedLenFeature([], tf.int64, default_value=1),
    }
    records = tf.data.TFRecordDataset([str(file) for file in builder.info.splits[split].filepaths])
    parts = [tf.io.parse_example(batch, columns) for batch in records.batch(_RECORDS)]
    tokens = tf.concat([part["tokens"] for part in parts], axis=0)
    labels, roots = (
        np.concatenate([part[name].numpy() for part in parts]) for name in ("label", "is_root")
    )
    texts = Texts.from_tokens(tokens.flat_values, tokens.row_lengths().numpy())
    return Split(texts, labels.astype(np.int32)), np.flatnonzero(roots)


def _read_trees(
    sources: Mapping[str, Path], name: str, spans: bool, labels: tuple[str, ...] = ()
) -> Corpus:
    if missing := [split for split in SPLITS if split not in sources]:
        raise UsageError(
            f"{name!r} has trees. Expected a folder that also has trees for "
            f"{' and '.join(missing)}.",
            setting="data.dataset",
        )
    trees = {split: list(treebank.read_trees(sources[split])) for split in SPLITS}
    for split in SPLITS:
        if not trees[split]:
            raise InputError(f"{sources[split]}: expected trees. Received an empty file.")
    sentences = {split: _split_of(tree.root_example() for tree in trees[split]) for split in SPLITS}
    phrases = roots = None
    if spans:
        examples = [span for tree in trees["train"] for span in tree.examples()]
        phrases, roots = _split_of(examples), np.flatnonzero([each.is_root for each in examples])
    notes = [SAMPLE_NOTE] if name == "sample" else []
    names = treebank.LABEL_NAMES if name == "sample" else treebank.class_names(trees, labels)
    if len(names) < len(treebank.LABEL_NAMES):
        notes.append(f"The trees have the classes {', '.join(names)}, from label 0.")
    return Corpus(name, names, **sentences, spans=phrases, roots=roots, notes=tuple(notes))


def _split_of(examples: Iterable[treebank.Example]) -> Split:
    flat: list[str] = []
    lengths, labels = [], []
    for example in examples:
        flat += example.tokens
        lengths.append(len(example.tokens))
        labels.append(example.label)
    return Split(Texts.from_tokens(flat, lengths), np.asarray(labels, np.int32))


def _distinct(split: Split) -> Split:
    """Returns the first example of each different text, in order."""
    texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ")
    numbers = tf.unique(texts).idx.numpy()  # int32[examples], texts by their first occurrence
    first = np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))
    return split.take(first)
