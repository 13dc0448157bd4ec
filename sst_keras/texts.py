"""Tokenized texts in columns: ids into their distinct words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from sst_keras.runtime import tf
from sst_keras.tokenizer import tokenize


@dataclass(frozen=True)
class Texts:
    words: tuple[str, ...]
    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)

    def row(self, index: int) -> list[str]:
        return [self.words[i] for i in self.ids[self.starts[index] : self.starts[index + 1]]]

    def take(self, rows: np.ndarray) -> "Texts":
        lengths = self.lengths[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        shift = np.repeat(self.starts[:-1][rows] - starts[:-1], lengths)
        return Texts(self.words, self.ids[shift + np.arange(starts[-1])], starts)

    @cached_property
    def tokens(self) -> tf.RaggedTensor:
        flat = tf.gather(tf.constant(self.words, tf.string), self.ids)
        return tf.RaggedTensor.from_row_splits(flat, self.starts)

    def keys(self) -> np.ndarray:
        return np.asarray(
            [
                int.from_bytes(
                    blake2b(" ".join(self.row(i)).lower().encode(), digest_size=8).digest(),
                    "little",
                )
                for i in range(len(self))
            ],
            np.uint64,
        )

    @classmethod
    def from_tokens(cls, tokens: tf.RaggedTensor) -> "Texts":
        unique = tf.unique(tokens.flat_values)
        words = tuple(word.decode() for word in unique.y.numpy())
        return cls(words, unique.idx.numpy(), tokens.row_splits.numpy())


class TextReader:
    def __init__(self) -> None:
        self._parts: list[tf.RaggedTensor] = []

    def add(self, texts: Sequence[str]) -> None:
        self._parts.append(tokenize(tf.constant(texts, tf.string)))

    def finish(self) -> Texts:
        return Texts.from_tokens(tf.concat(self._parts, axis=0))


def contained(needles: Texts, haystack: Texts) -> np.ndarray:
    joined = "\n".join(f" {' '.join(haystack.row(i)).lower()} " for i in range(len(haystack)))
    return np.asarray(
        [f" {' '.join(needles.row(i)).lower()} " in joined for i in range(len(needles))], bool
    )
