"""The labels of whole texts, such as the stars of a review, for each of their sentences."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sst_keras.errors import UsageError
from sst_keras.pretraining.corpus import split_sentences
from sst_keras.pretraining.sources import find_source
from sst_keras.settings import DataConfig
from sst_keras.tables.labels import read_labels
from sst_keras.texts import TextReader, Texts

_MOST_LABELS = 1000


@dataclass(frozen=True, eq=False)
class TextLabels:
    """In how many texts with each label a sentence occurs.

    Attributes:
        names: The labels, in the order in which the texts first have them.
        keys: uint64[sentences], `Texts.keys` of the different sentences, in ascending order.
        counts: int32[sentences, labels].
    """

    names: tuple[str, ...]
    keys: np.ndarray
    counts: np.ndarray

    @property
    def fingerprint(self) -> str:
        """A sha256 of the labels and of the sentences that have them."""
        parts = "\n".join(self.names).encode("utf-8"), self.keys.tobytes(), self.counts.tobytes()
        digests = b"".join(hashlib.sha256(part).digest() for part in parts)
        return hashlib.sha256(digests).hexdigest()

    def knows(self, keys: np.ndarray) -> np.ndarray:
        """Returns bool[n], whether the sentences with these keys are in texts with a label."""
        return self.keys[self._places(keys)] == keys

    def counts_of(self, texts: Texts) -> np.ndarray:
        """Returns int32[sentences, labels], 0 for a sentence that is in no text with a label."""
        keys = texts.keys()
        return self.counts[self._places(keys)] * self.knows(keys)[:, np.newaxis]

    def _places(self, keys: np.ndarray) -> np.ndarray:
        return np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)


def read_text_labels(
    source: str | Sequence[str],
    data: DataConfig,
    data_dir: str | Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, size: None,
) -> TextLabels:
    """Reads the labels of a corpus's texts. Those without a label are passed over.

    Spellings of one label are joined as in the data that a classifier trains on.

    Args:
        source: As in `corpus.prepare_corpus`.
        data: How files are read; `label_column` is the column or feature of the labels.
        data_dir: The data folder, instead of the environment's.
        on_progress: Is called while the texts are read, with how much is done and of how much.

    Raises:
        UsageError: If there is no such corpus, or its texts have fewer than two labels.
        InputError: If a file cannot be read.
    """
    texts, undo = find_source(source, data, data_dir), data.markup == "auto"
    numbers: dict[str, int] = {}  # of spellings
    rows: Counter[str] = Counter()
    keys, labels = [], []
    for block, names, done in texts.labelled_blocks():
        reader, found = TextReader(), []
        for text, name in zip(block, names, strict=True):
            if name.strip():
                sentences = split_sentences(text, undo)
                reader.add(sentences)
                found += [numbers.setdefault(name, len(numbers))] * len(sentences)
        keys.append(reader.finish().keys())
        labels.append(np.array(found, np.int32))
        rows.update(names)
        on_progress(done, texts.size)
    joined = read_labels({name: rows[name] for name in numbers})
    names: dict[int, str] = {}  # of classes, as they are first met; -1 is a word for no label
    for name in numbers:
        if (code := joined.codes[name]) >= 0:
            has_several = joined.classes[code] in joined.joined
            names.setdefault(code, joined.classes[code] if has_several else name)
    found, ranks = list(names.values()), {code: rank for rank, code in enumerate(names)}
    places = np.array([ranks.get(joined.codes[name], -1) for name in numbers], np.int32)
    of_sentences = places[np.concatenate([np.empty(0, np.int32), *labels])]
    has_label = of_sentences >= 0
    known = np.concatenate([np.empty(0, np.uint64), *keys])[has_label]
    if not 2 <= len(found) <= _MOST_LABELS or not len(known):
        shown = f"{len(found):,}" if len(found) > _MOST_LABELS else ", ".join(found) or "none"
        raise UsageError(
            f"{texts.name}: expected texts with 2 to {_MOST_LABELS:,} different labels. Received: "
            f"{shown}.",
            setting="document_labels",
        )
    distinct, same = np.unique(known, return_inverse=True)
    counts = np.zeros((len(distinct), len(found)), np.int32)
    np.add.at(counts, (same, of_sentences[has_label]), 1)
    return TextLabels(tuple(found), distinct, counts)
