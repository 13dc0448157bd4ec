"""Tokenized texts in columns: a number for each token, and each distinct token once.

A million reviews of 36 tokens take 150 MB in this form. As string tensors they take 900 MB.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from sst_keras.runtime import tf
from sst_keras.tokenizer import looks_ahead, tokenize
from sst_keras.vocabulary import UNKNOWN

_BLOCK = 1 << 18  # tokens handled at a time, so that temporary arrays stay small
_BATCH = 8192  # texts tokenized at a time
_PENDING = 2  # batches that wait for the second thread
_MEMORY = 1 << 28  # bytes of remembered chunks, about
_CHUNK_BYTES = 100  # of a remembered chunk besides its own bytes
_SEPARATOR = b"\xff"  # a token that is not UTF-8, and so in no text
# Base of the hashes modulo 2**64. It is odd, so that it has an inverse.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


def hash_words(words: Sequence[bytes]) -> np.ndarray:
    """Returns uint64[words], Farmhash64 of each word in lower case, the same on every machine."""
    lower = tf.strings.lower(tf.reshape(tf.constant(words, tf.string), [-1, 1]), encoding="utf-8")
    bytes_ = tf.fingerprint(lower, method="farmhash64").numpy()  # uint8[words, 8]
    return bytes_.view("<u8")[:, 0].astype(np.uint64)


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
        return hash_words(self.spellings)


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
        return _mixed(_hashes(self, self.lengths))


class TextReader:
    """Builds `Texts` of raw texts, batch by batch, so that nobody needs to keep them.

    The tokens are those of `tokenize`. A second thread looks them up while the caller reads on.
    """

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._memory = _Memory()
        self._thread = ThreadPoolExecutor(1)
        self._pending: deque[Future] = deque()
        self._ids = np.empty(0, np.int32)
        self._lengths: list[np.ndarray] = []

    def add(self, texts: Sequence[str]) -> None:
        """Adds raw texts. Half of a surrogate pair raises a `ValueError`, here or later."""
        self._waiting += texts
        while len(self._waiting) >= _BATCH:
            self._send(_BATCH)

    def finish(self) -> Texts:
        """Returns all texts, in the order in which they were added. The reader ends."""
        spellings = self.close()
        ids, lengths = self.drain()
        return Texts(_renumber(ids, spellings), ids, _starts(lengths))

    def drain(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the texts that are tokenized by now, and forgets them.

        They are the ids of their tokens, int32[tokens], and how many each has, int64[texts]. A
        caller that writes them to a file can read texts of any length in bounded memory.
        """
        ids, lengths = self._ids, np.concatenate([np.zeros(0, np.int64), *self._lengths])
        self._ids, self._lengths = np.empty(0, np.int32), []
        return ids, lengths

    def close(self) -> np.ndarray:
        """Tokenizes the last texts, for `drain`. Returns the spelling of each id, object[ids].

        Some ids may be of no text. The reader ends.
        """
        if self._waiting:
            self._send(len(self._waiting))
        while self._pending:
            self._receive()
        self._thread.shutdown()
        return self._memory.spellings()

    def _send(self, number: int) -> None:
        texts = tf.constant(self._waiting[:number], tf.string)
        del self._waiting[:number]
        # The NUL character is white space to the tokenizer. With it, each text has a chunk.
        chunks = tf.strings.split(tf.strings.join([texts, "\0"], " "))
        # Most chunks are known already. To look them up here shares the work between the threads.
        known = self._memory.find(chunks.flat_values)
        self._pending.append(self._thread.submit(self._memory.tokenize, texts, chunks, known))
        if len(self._pending) > _PENDING:
            self._receive()

    def _receive(self) -> None:
        ids, lengths = self._pending.popleft().result()
        self._lengths.append(lengths)
        _extend(self._ids, ids)


class _Numbering:
    """Numbers strings that are valid UTF-8 by first occurrence."""

    def __init__(self) -> None:
        self.table = tf.lookup.experimental.DenseHashTable(
            tf.string, tf.int64, default_value=-1, empty_key=b"", deleted_key=b"\xfe"
        )
        self.size = 0

    def find(self, strings: tf.Tensor) -> np.ndarray:
        """Returns the number of each string, int64[strings], -1 for new ones."""
        return self.table.lookup(strings).numpy()

    def __call__(self, strings: tf.Tensor) -> tuple[np.ndarray, tf.Tensor]:
        """Returns the number of each string, int64[strings], and the new strings in order."""
        numbers = self.find(strings)
        unknown = np.flatnonzero(numbers < 0)
        new, places = tf.unique(tf.gather(strings, unknown))
        numbers[unknown] = self.size + places.numpy()
        self.table.insert(new, tf.range(self.size, self.size + len(new), dtype=tf.int64))
        self.size += len(new)
        return numbers, new


class _Memory:
    """Tokenizes texts, each different chunk once. Chunks are what ASCII white space separates."""

    def __init__(self) -> None:
        self._words = _Numbering()
        self._spellings: list[np.ndarray] = []
        self._number(tf.constant([_SEPARATOR]))
        self._forget()

    def _forget(self) -> None:
        self._bytes = 0
        self._chunks = _Numbering()
        # Chunk `i` has the tokens `ids[starts[i]:starts[i] + lengths[i]]`, or, if it looks `ahead`,
        # perhaps others.
        self._ids = np.zeros(0, np.int32)
        self._starts = np.zeros(0, np.int64)
        self._lengths = np.zeros(0, np.int64)
        self._ahead = np.zeros(0, bool)

    def spellings(self) -> np.ndarray:
        """Returns object[words] of bytes, the spelling of each id."""
        return np.concatenate(self._spellings)

    def find(self, chunks: tf.Tensor) -> tuple[_Numbering, np.ndarray]:
        """Returns the present memory, and the number in it of each chunk, -1 for new ones."""
        memory = self._chunks
        return memory, memory.find(chunks)

    def tokenize(
        self, texts: tf.Tensor, chunks: tf.RaggedTensor, known: tuple[_Numbering, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids of all tokens, int32[tokens], and how many each text has, int64[texts].

        Each text has at least one chunk. `known` is what `find` returned for the chunks.
        """
        memory, numbers = known
        if memory is not self._chunks:  # It was forgotten meanwhile.
            numbers = self._chunks.find(chunks.flat_values)
        unknown = np.flatnonzero(numbers < 0)
        numbers[unknown] = self._look_up(tf.gather(chunks.flat_values, unknown))
        begin, splits = chunks.row_starts().numpy(), chunks.row_splits.numpy()
        starts, lengths = self._starts[numbers], self._lengths[numbers]
        other = np.logical_or.reduceat(self._ahead[numbers], begin)
        other |= np.add.reduceat(lengths, begin) == 0  # The text is an unknown token.
        if len(rows := np.flatnonzero(other)):
            # The tokens of such a text take the place of its first chunk.
            tokens = tokenize(tf.gather(texts, rows))
            lengths[np.repeat(other, np.diff(splits))] = 0
            lengths[begin[rows]] = tokens.row_lengths().numpy()
            starts[begin[rows]] = len(self._ids) + tokens.row_starts().numpy()
            _extend(self._ids, self._number(tokens.flat_values))
        ids = _gather(self._ids, starts, _starts(lengths))
        if self._bytes > _MEMORY:
            self._forget()
        return ids, np.add.reduceat(lengths, begin)

    def _look_up(self, chunks: tf.Tensor) -> np.ndarray:
        """Returns the number of each chunk, int64[chunks]. New ones are tokenized."""
        numbers, new = self._chunks(chunks)
        if len(new):
            # As one text, because many short ones take twice the time.
            text = tf.strings.reduce_join(new + (b" " + _SEPARATOR + b" "), keepdims=True)
            ids = self._number(tokenize(text).flat_values)
            stops = np.flatnonzero(ids == 0)  # the separators
            starts = np.append(0, stops[:-1] + 1)
            _extend(self._starts, len(self._ids) + starts)
            _extend(self._lengths, stops - starts)
            _extend(self._ahead, looks_ahead(new).numpy())
            _extend(self._ids, ids)
            self._bytes += len(new) * _CHUNK_BYTES + int(tf.reduce_sum(tf.strings.length(new)))
        return numbers

    def _number(self, tokens: tf.Tensor) -> np.ndarray:
        numbers, new = self._words(tokens)
        self._spellings.append(new.numpy())
        return numbers.astype(np.int32)


def contained(needles: Texts, haystack: Texts) -> np.ndarray:
    """Returns bool[needles], whether a text of `haystack` has all tokens of a needle in a row.

    Upper and lower case are equal, and so a text contains its copies. The time is that of reading
    `haystack` a few times, whatever the number of needles.
    """
    found = np.zeros(len(needles), bool)
    # A needle of `n` tokens is sought where its first `size` tokens occur, size <= n < 2 size.
    sizes = 1 << (np.frexp(needles.lengths)[1].astype(np.int64) - 1)
    beginnings, hashes = _hashes(needles, sizes), _hashes(needles, needles.lengths)
    groups = [
        (size, np.unique(beginnings[sizes == size]), np.unique(needles.lengths[sizes == size]))
        for size in np.unique(sizes)
    ]
    rows = {
        length: np.flatnonzero(needles.lengths == length) for length in np.unique(needles.lengths)
    }
    for first, last in _blocks(haystack.starts):
        sums = _Sums(haystack, first, last)
        rest = np.repeat(sums.starts[1:], np.diff(sums.starts)) - np.arange(sums.starts[-1])
        for size, beginning, lengths in groups:
            starts = np.flatnonzero(rest >= size)
            starts = starts[_among(sums.runs(starts, size), beginning)]
            for length in lengths:
                runs = sums.runs(starts[rest[starts] >= length], length)
                found[rows[length]] |= np.isin(hashes[rows[length]], runs)
    return found


def _among(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the places of the values that are wanted, few of many hashes."""
    table = np.zeros(1 << 20, bool)
    table[wanted >> 44] = True
    places = np.flatnonzero(table[values >> 44])
    return places[np.isin(values[places], wanted)]


def _hashes(texts: Texts, lengths: np.ndarray) -> np.ndarray:
    """Returns uint64[texts], the hash of the first tokens of each text, as many as `lengths`."""
    hashes = np.empty(len(texts), np.uint64)
    for first, last in _blocks(texts.starts):
        sums = _Sums(texts, first, last)
        hashes[first:last] = sums.runs(sums.starts[:-1], lengths[first:last])
    return hashes


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


def _renumber(ids: np.ndarray, spellings: np.ndarray) -> Words:
    """Changes ids so that words are numbered as they first occur, and returns the words."""
    first = np.full(len(spellings), len(ids))
    blocks = range(0, len(ids), _BLOCK)
    for start in reversed(blocks):
        block = ids[start : start + _BLOCK]
        first[block[::-1]] = np.arange(start, start + len(block))[::-1]  # The last one counts.
    order = np.argsort(first)[: np.count_nonzero(first < len(ids))]
    numbers = np.zeros(len(spellings), np.int32)
    numbers[order] = np.arange(len(order))
    for start in blocks:
        ids[start : start + _BLOCK] = numbers[ids[start : start + _BLOCK]]
    return Words(spellings[order])


def _extend(array: np.ndarray, values: np.ndarray) -> None:
    """Appends values to an array, in place, so that there are not two copies of it."""
    size = len(array)
    array.resize(size + len(values), refcheck=False)
    array[size:] = values


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


def batch_sizes(lengths: np.ndarray, batch_size: int, batch_tokens: int = 0) -> list[int]:
    """Cuts texts of ascending lengths int[texts] into batches; returns the texts of each.

    A batch has at most `batch_size` texts, and at most `batch_tokens` tokens with its padding, if
    that is not 0. A longer text is a batch by itself.
    """
    sizes, start = [], 0
    while start < len(lengths):
        ahead = lengths[start : start + batch_size]
        padded = ahead * np.arange(1, len(ahead) + 1)  # ascending
        fitting = int((padded <= batch_tokens).sum()) if batch_tokens else len(ahead)
        sizes.append(max(fitting, 1))
        start += sizes[-1]
    return sizes
