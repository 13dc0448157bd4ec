"""Where a classifier is wrong: by length, negation and contrast, and which classes it mixes up."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from sst_keras.corpora import Corpus, Split
from sst_keras.metrics import wilson_interval
from sst_keras.texts import Texts

# English words; a token that ends in "n't" counts as a negation, too.
NEGATIONS = frozenset(
    "not no never nothing nobody none neither nor nowhere without hardly barely scarcely "
    "cannot n't".split()
)
CONTRASTS = frozenset("but however although though yet despite nevertheless nonetheless".split())
_LENGTHS = ((1, 10), (11, 20), (21, 30), (31, None))  # tokens
_CONFUSIONS, _EXAMPLES = 5, 3  # the most that are listed


@dataclass(frozen=True)
class Share:
    """The accuracy on some of the texts.

    Attributes:
        interval: Lower and upper end of the accuracy's 95 % interval (Wilson).
    """

    name: str
    n: int
    accuracy: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, name: str, right: np.ndarray) -> Self:
        """Counts bool[n], n above 0: whether each prediction is right."""
        count = int(right.sum())
        return cls(name, len(right), count / len(right), wilson_interval(count, len(right)))


@dataclass(frozen=True)
class Confusion:
    """Texts of one class that are taken for another.

    Attributes:
        examples: The texts of which the model is most sure, each with the probability of the wrong
            class.
    """

    true: str
    predicted: str
    n: int
    examples: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ErrorAnalysis:
    """What a classifier gets wrong.

    Attributes:
        groups: What the texts are grouped by → the accuracy of each group that has texts.
        confusions: The most frequent ones, by falling frequency.
        phrases: The accuracy on all labelled phrases of a treebank, complete sentences and single
            words included: what Socher et al. 2013 call all nodes. None for other data.
    """

    groups: Mapping[str, tuple[Share, ...]]
    confusions: tuple[Confusion, ...]
    phrases: Share | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes, for JSON."""
        return asdict(self)


def analyse(corpus: Corpus, split: Split, probabilities: np.ndarray) -> ErrorAnalysis:
    """Groups the texts of a split, and finds what is confused in it.

    Args:
        corpus: The data set, for the names of its classes.
        split: The texts and their labels.
        probabilities: float[examples, classes].
    """
    predicted = probabilities.argmax(axis=1)
    right = predicted == split.labels
    lengths = split.texts.lengths
    groups = {
        "all": {"all texts": np.ones(len(split), bool)},
        "length": {
            f"{low} to {high} tokens" if high else f"{low} tokens or more": (lengths >= low)
            & (lengths <= (high or np.inf))
            for low, high in _LENGTHS
        },
        "negation": _with_and_without("a negation", contains(split.texts, NEGATIONS, "n't")),
        "contrast": _with_and_without(
            "a contrast (but, although, ...)", contains(split.texts, CONTRASTS)
        ),
    }
    shares = {
        what: tuple(Share.of(name, right[rows]) for name, rows in of.items() if rows.any())
        for what, of in groups.items()
    }
    return ErrorAnalysis(shares, _confusions(corpus, split, probabilities, predicted))


def phrases(split: Split, probabilities: np.ndarray) -> Share:
    """Returns the accuracy on labelled phrases, for `ErrorAnalysis.phrases`."""
    return Share.of(
        "all labelled phrases (all nodes)", probabilities.argmax(axis=1) == split.labels
    )


def contains(texts: Texts, words: Collection[str], ending: str = "") -> np.ndarray:
    """Returns bool[texts], whether a text has one of the words, or a word with this ending."""
    spellings = [word.decode("utf-8").lower() for word in texts.words.spellings]
    wanted = [word in words or bool(ending and word.endswith(ending)) for word in spellings]
    found = np.asarray(wanted, bool)[texts.ids]  # bool[tokens]
    return np.add.reduceat(found, texts.starts[:-1]) > 0 if len(texts) else np.zeros(0, bool)


def _with_and_without(name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {f"with {name}": rows, f"without {name}": ~rows}


def _confusions(
    corpus: Corpus, split: Split, probabilities: np.ndarray, predicted: np.ndarray
) -> tuple[Confusion, ...]:
    classes = len(corpus.class_names)
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (split.labels, predicted), 1)
    np.fill_diagonal(counts, 0)
    found = []
    for place in np.argsort(-counts, axis=None, kind="stable")[:_CONFUSIONS]:
        true, taken = divmod(int(place), classes)
        if not counts[true, taken]:
            break
        rows = np.flatnonzero((split.labels == true) & (predicted == taken))
        surest = rows[np.argsort(-probabilities[rows, taken], kind="stable")][:_EXAMPLES]
        examples = tuple(
            (" ".join(split.texts.row(row)), float(probabilities[row, taken])) for row in surest
        )
        names = corpus.class_names
        found.append(Confusion(names[true], names[taken], len(rows), examples))
    return tuple(found)
