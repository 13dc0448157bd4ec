"""Tokens ↔ ids: 0 is padding, 1 is the unknown token, then words in a fixed order."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sst_keras import files
from sst_keras.errors import InputError

PADDING = "<pad>"
UNKNOWN = "<unk>"
UNKNOWN_ID = 1


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows, by id. Padding and the unknown token are the first two."""

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tokens[:2] != (PADDING, UNKNOWN):
            raise ValueError(
                f"Expected the vocabulary to begin with {PADDING}, {UNKNOWN}. "
                f"Received: {self.tokens[:2]}"
            )
        if len(set(self.tokens)) != len(self.tokens):
            raise ValueError("Expected each word of the vocabulary once. Received a repeated word.")

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def build(
        cls,
        counts: Mapping[str, int],
        min_count: int = 1,
        with_vector: Set[str] = frozenset(),
        extra: Iterable[str] = (),
    ) -> Self:
        """Chooses the words.

        1. The training words that occur at least `min_count` times or have a vector, by falling
           frequency, then by code point. Rarer words without a vector are left out. They become
           the unknown token, so that training learns a vector for it.
        2. The words of `extra` that are not included yet, in the order given.

        `counts` is how often each word occurs in the training set.
        """
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        trained = [word for word in ordered if counts[word] >= min_count or word in with_vector]
        return cls(tuple(dict.fromkeys((PADDING, UNKNOWN, *trained, *extra))))

    def extended(self, words: Iterable[str]) -> Self:
        """Returns a vocabulary with the same ids, followed by those of `words` that it lacks."""
        return type(self)(tuple(dict.fromkeys((*self.tokens, *words))))

    def save(self, path: Path) -> None:
        """Writes one word per line, UTF-8, in the order of the ids."""
        files.write_text(path, "".join(f"{token}\n" for token in self.tokens))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote; a missing or wrong file raises an `InputError`."""
        try:
            # A word may contain other line breaks than "\n", so not read_text() or splitlines().
            text = path.read_bytes().decode("utf-8")
            return cls(tuple(text.removesuffix("\n").split("\n")))
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: expected a vocabulary, one word per line. {error}") from None
