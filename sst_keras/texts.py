"""Tokenized texts in columns: a number for each token, and each distinct token once.

A million reviews of 200 bytes take 150 MB in this form. As string tensors they take a gigabyte.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from sst_keras.runtime import tf
from sst_keras.tokenizer import tokenize
from sst_keras.vocabulary import UNKNOWN

_BLOCK = 1 << 20  # tokens handled at a time, so that temporary arrays stay small
_BATCH = 8192  # texts tokenized at a time
# Base of the hashes modulo 2**64. It is odd, so that it has an inverse.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


class Words:
    """The distinct tokens of a corpus.

    Attributes:
        spellings: object[words] of UTF-8 bytes, in order of first occurrence.
    """

    def __init__(self, spellings: np.ndarray) -> None:
        self.spellings = spellings

    def __len__(self) -> int:
        return len(self.spellings)

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint64[words], equal for words that are equal in lower case, in any corpus."""
        lower = tf.strings.lower(tf.constant(self.spellings, tf.string), encoding="utf-8").numpy()
        digests = b"".join(hashlib.blake2b(word, digest_size=8).digest() for word in lower)
        return np.frombuffer(digests, "<u8").astype(np.uint64)


@dataclass(frozen=True, eq=False)
class Texts:
    """Tokenized texts. Text `i` is `ids[starts[i]:starts[i + 1]]`, at least one token.

    Attributes:
        words: The distinct tokens. What `take` returns has those of all texts.
        ids: int32[tokens], numbers of `words`.
        starts: int64[texts + 1].
    """

    words: Words
    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def from_tokens(cls, flat: Sequence[str] | tf.Tensor, lengths: Sequence[int]) -> Self:
        """Takes the tokens of all texts in a row, and how many each text has.

        A text without tokens becomes one unknown token.
        """
        lengths = np.asarray(lengths, np.int64)
        flat, ids = tf.unique(tf.constant(flat, tf.string))
        spellings, ids = flat.numpy(), ids.numpy()
        if not lengths.all():
            empty = np.cumsum(lengths)[lengths == 0]
            ids = np.insert(ids, empty, len(spellings))
            spellings = np.append(spellings, np.array([UNKNOWN.encode()], object))
            lengths = np.maximum(lengths, 1)
        return cls(Words(spellings), ids, _starts(lengths))

    @property
    def lengths(self) -> np.ndarray:
        """int64[texts], tokens."""
        return np.diff(self.starts)

    @property
    def tokens(self) -> tf.RaggedTensor:
        """string[texts, (tokens)], made anew: 24 bytes per token."""
        words = tf.constant(self.words.spellings, tf.string)
        return tf.RaggedTensor.from_row_splits(tf.gather(words, self.ids), self.starts)

    def row(self, index: int) -> list[str]:
        """Returns the tokens of a text."""
        index = range(len(self))[index]
        ids = self.ids[self.starts[index] : self.starts[index + 1]]
        return [word.decode("utf-8") for word in self.words.spellings[ids]]

    def take(self, rows: np.ndarray) -> Self:
        """Returns the texts of these numbers, in this order, with the same words."""
        rows = np.asarray(rows, np.int64)
        starts = _starts(self.lengths[rows])
        return Texts(self.words, _gather(self.ids, self.starts[:-1][rows], starts), starts)

    def keys(self) -> np.ndarray:
        """Returns uint64[texts], equal for texts whose tokens are equal in lower case.

        A key depends on the text only. Different texts have different keys with near certainty.
        """
        keys = np.empty(len(self), np.uint64)
        for first, last in _blocks(self.starts):
            sums = _Sums(self, first, last)
            keys[first:last] = sums.runs(sums.starts[:-1], np.diff(sums.starts))
        return _mixed(keys)


class TextReader:
    """Builds `Texts` of raw texts, batch by batch, so that nobody needs to keep them."""

    def __init__(self) -> None:
        self._rows: list[tf.RaggedTensor] = []

    def add(self, texts: Sequence[str]) -> None:
        """Adds raw texts."""
        for start in range(0, len(texts), _BATCH):
            self._rows.append(tokenize(tf.constant(texts[start : start + _BATCH], tf.string)))

    def finish(self) -> Texts:
        """Returns all texts, in the order in which they were added."""
        if not self._rows:
            return Texts.from_tokens([], [])
        rows = tf.concat(self._rows, axis=0)
        return Texts.from_tokens(rows.flat_values, rows.row_lengths().numpy())


def contained(needles: Texts, haystack: Texts) -> np.ndarray:
    """Returns bool[needles], whether a text of `haystack` has a needle's tokens in a row.

    Upper and lower case are equal. Equal texts contain each other.
    """
    found = np.zeros(len(needles), bool)
    sought = np.empty(len(needles), np.uint64)
    for first, last in _blocks(needles.starts):
        sums = _Sums(needles, first, last)
        sought[first:last] = sums.runs(sums.starts[:-1], np.diff(sums.starts))
    for first, last in _blocks(haystack.starts):
        sums = _Sums(haystack, first, last)
        rest = np.repeat(sums.starts[1:], np.diff(sums.starts)) - np.arange(sums.starts[-1])
        for length in np.unique(needles.lengths):
            places = np.flatnonzero(rest >= length)
            which = needles.lengths == length
            found[which] |= np.isin(sought[which], sums.runs(places, length))
    return found


class _Sums:
    """Sums of the words' hashes times powers of the base, of the texts from `first` to `last`."""

    def __init__(self, texts: Texts, first: int, last: int) -> None:
        start, stop = texts.starts[first], texts.starts[last]
        self.starts = texts.starts[first : last + 1] - start
        hashes = texts.words.hashes[texts.ids[start:stop]] * _powers(_BASE, stop - start)
        self.sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes)])
        self.inverse = _powers(_INVERSE, stop - start)

    def runs(self, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Returns the hashes of runs of tokens: `hash[0] + base hash[1] + base² hash[2] ...`."""
        return (self.sums[starts + lengths] - self.sums[starts]) * self.inverse[starts]


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Returns the finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit changes all."""
    keys = (keys ^ (keys >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> 27)) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> 31)


def _starts(lengths: np.ndarray) -> np.ndarray:
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _blocks(starts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields first and last rows of about `_BLOCK` items, at least one row."""
    first, rows = 0, len(starts) - 1
    while first < rows:
        last = int(np.searchsorted(starts, starts[first] + _BLOCK, side="right")) - 1
        last = min(max(last, first + 1), rows)
        yield first, last
        first = last


def _gather(values: np.ndarray, sources: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Returns rows of values: row `i` begins at `sources[i]`, and at `starts[i]` in the result."""
    result = np.empty(starts[-1], values.dtype)
    for first, last in _blocks(starts):
        start, stop = starts[first], starts[last]
        shifts = np.repeat(
            sources[first:last] - starts[first:last], np.diff(starts[first : last + 1])
        )
        result[start:stop] = values[np.arange(start, stop) + shifts]
    return result
