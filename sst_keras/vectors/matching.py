"""Tokens matched with word vectors: spellings, compounds, coverage, the embedding matrix."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sst_keras.vectors.files import WordVectors
from sst_keras.vocabulary import UNKNOWN

Counts: TypeAlias = Mapping[str, Mapping[str, int]]  # split → word → how often it occurs

_SPELLINGS = {"(": ("-lrb-", "-LRB-"), ")": ("-rrb-", "-RRB-"), UNKNOWN: ("UNK",)}
_WAYS = ("exact", "casing", "pieces", "missing")  # to find a vector; see `match`
_FEW = 20  # missing words in a coverage report
# Below the first share a set does not fit some texts, below the second it is doubtful. Sets that
# fit cover over 0.6 of the words, even those cut to 5,000 words; keys with a prefix cover 0.
_NOTHING, _LITTLE = 0.05, 0.3


def forms(token: str) -> tuple[str, ...]:
    """Returns the spellings under which a token's vector is looked up, in order.

    They are the token itself, lower case, Capitalised, UPPER case, and a bracket's treebank escape.
    """
    capitalised = token[:1].upper() + token[1:].lower()
    spellings = _SPELLINGS.get(token, ())
    return tuple(dict.fromkeys((token, token.lower(), capitalised, token.upper(), *spellings)))


def pieces(token: str) -> list[str]:
    """Returns the parts of a compound between hyphens and slashes; none for other tokens."""
    parts = [part for part in token.replace("/", "-").split("-") if part]
    return parts if len(parts) > 1 else []


def wanted_words(tokens: Iterable[str]) -> set[str]:
    """Returns every word whose vector could serve one of the tokens or the unknown token."""
    parts = (part for token in tokens for part in (token, *pieces(token)))
    return {*forms(UNKNOWN), *(form for part in parts for form in forms(part))}


def match(token: str, vectors: WordVectors) -> tuple[str, list[int]]:
    """Returns how a token's vector is found, and the rows whose mean it is.

    The first of the token's `forms` that has a vector serves it: `exact` for the token itself,
    `casing` for another form. Otherwise its `pieces` serve it, as the mean of those that have a
    vector. Otherwise the token is `missing`. `vectors.matches` keeps the result.
    """
    if token not in vectors.matches:
        rows = _rows([token], vectors)
        how = "exact" if token in vectors.index else "casing"
        if not rows:
            rows = _rows(pieces(token), vectors)
            how = "pieces" if rows else "missing"
        vectors.matches[token] = how, rows
    return vectors.matches[token]


def _rows(words: Iterable[str], vectors: WordVectors) -> list[int]:
    """Returns the row of each word that has one. The first of its forms that has a row counts."""
    index = vectors.index
    found = (next((index[form] for form in forms(word) if form in index), None) for word in words)
    return [row for row in found if row is not None]


def embedding_matrix(tokens: Sequence[str], vectors: WordVectors, seed: int) -> np.ndarray:
    """Returns the vectors of a vocabulary's tokens: float32[tokens, dim].

    Row 0, padding, is zero. A token without a vector gets uniform random numbers whose variance in
    each dimension is that of the given vectors, as in Kim, "Convolutional Neural Networks for
    Sentence Classification" (EMNLP 2014). They depend on `seed` and on the token's id only.
    """
    matrix = np.random.default_rng(seed).uniform(-1.0, 1.0, (len(tokens), vectors.dim))
    has_variance = len(vectors.words) > 1
    matrix *= np.sqrt(3.0) * vectors.vectors.std(axis=0) if has_variance else 0.25
    matrix = matrix.astype(np.float32)
    matrix[0] = 0.0
    for number, token in enumerate(tokens[1:], start=1):
        rows = match(token, vectors)[1]
        if len(rows) == 1:  # -0.0 becomes 0.0, as in a mean, which is slower
            matrix[number] = vectors.vectors[rows[0]] + 0.0
        elif rows:
            matrix[number] = vectors.vectors[rows].mean(axis=0)
    return matrix


def scale_factor(vectors: WordVectors, scale: float) -> float:
    """Returns what gives the vectors' numbers the standard deviation `scale`; 1 if that is 0."""
    deviation = float(vectors.vectors.std()) if scale else 0.0
    return scale / deviation if deviation else 1.0


@dataclass(frozen=True)
class Coverage:
    """The share of some texts' words that have a vector.

    Attributes:
        splits: Split → figures. `types` and `tokens` are numbers of words. `types_found` and
            `tokens_found` are the shares with a vector, 0 to 1. `exact`, `casing`, `pieces` and
            `missing` are shares of the tokens by how their vector was found.
        missing: The most frequent words without a vector, each with its count over all splits.
    """

    splits: dict[str, dict[str, float]]
    missing: tuple[tuple[str, int], ...] = ()

    @property
    def tokens_found(self) -> float:
        """The share of all tokens that have a vector, 0 to 1."""
        total = sum(figures["tokens"] for figures in self.splits.values())
        found = sum(figures["tokens"] * figures["tokens_found"] for figures in self.splits.values())
        return found / total if total else 0.0

    def __str__(self) -> str:
        lines = [
            f"  {split:<5} {figures['types_found']:6.1%} of {figures['types']:,} types, "
            f"{figures['tokens_found']:6.1%} of {figures['tokens']:,} tokens have a vector"
            for split, figures in self.splits.items()
        ]
        if self.missing:
            words = ", ".join(f"{word} ({count})" for word, count in self.missing[:8])
            lines.append(f"  most frequent without: {words}")
        return "\n".join(lines)


def measure_coverage(counts: Counts, vectors: WordVectors) -> Coverage:
    """Measures the share of some texts' words that have a vector."""
    splits = {}
    missing: Counter[str] = Counter()
    for split, words in counts.items():
        types, tokens = Counter(), Counter()
        for word, count in words.items():
            how = match(word, vectors)[0]
            types[how] += 1
            tokens[how] += count
            if how == "missing":
                missing[word] += count
        shares = {how: tokens[how] / max(tokens.total(), 1) for how in _WAYS}
        splits[split] = {
            "types": types.total(),
            "tokens": tokens.total(),
            "types_found": 1 - types["missing"] / max(types.total(), 1),
            "tokens_found": 1 - shares["missing"],
            **shares,
        }
    frequent = sorted(missing.items(), key=lambda pair: (-pair[1], pair[0]))[:_FEW]
    return Coverage(splits, tuple(frequent))


@dataclass(frozen=True)
class Fit:
    """Whether a set of vectors is for the words of some texts.

    Attributes:
        words_found: The share of the texts' words that have a vector, 0 to 1. Only words with a
            letter count, because sets of any language share numbers and punctuation.
        rows_used: The share of the file's words that the texts need, 0 to 1.
    """

    words_found: float
    rows_used: float

    @property
    def is_doubtful(self) -> bool:
        """Whether few words have a vector, and most of the file's words are not in the texts.

        A small file, most of whose words are in the texts, fits them although it covers little.
        """
        return self.words_found < _LITTLE and self.rows_used < 0.5

    @property
    def is_none(self) -> bool:
        """Whether it is doubtful, and next to no word has a vector."""
        return self.is_doubtful and self.words_found < _NOTHING


def measure_fit(counts: Counts, vectors: WordVectors) -> Fit:
    """Measures whether a set of vectors is for the words of some texts."""
    total = found = 0
    rows: set[int] = set()
    for words in counts.values():
        has_letters = any(any(map(str.isalpha, word)) for word in words)
        for word, count in words.items():
            if any(map(str.isalpha, word)) or not has_letters:
                used = match(word, vectors)[1]
                rows.update(used)
                total += count
                found += count * bool(used)
    return Fit(found / max(total, 1), len(rows) / max(vectors.words_in_file, 1))
