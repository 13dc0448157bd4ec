"""Rows of one file → train, dev and test, with rows that belong together in the same split.

Rows with equal texts belong together, and rows with an equal group, such as the sentence of a
phrase. So do rows that a chain of such rows connects. Together they are a part. Half of a part in
train would let the model recognize the other half in test.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sst_keras.errors import InputError

SPLITS = ("train", "dev", "test")
_FEWEST = 10  # rows of some class
_MOST = 2.5  # dev and test have at most this many times their share of the parts
_TOLERANCE = 0.02  # sizes that differ from the shares by more of all rows are reported
_FEWEST_VALUES, _ROWS_PER_VALUE = 3, 1.5

# What a row can be a part of, or come from, as the name of a column says it.
_WHOLES = frozenset(
    "app article asin author book business chapter client conversation convo critic customer "
    "debate dialog dialogue doc document ean essay episode film game hotel interview isbn item "
    "listing member movie paper paragraph patient participant person place play post product "
    "profile question respondent restaurant review reviewer sentence seller session shop show sku "
    "song speaker store story student subject thread title topic transcript tweet upc user venue "
    "video writer".split()
)
_TEXTS = frozenset("paragraph post question review sentence title topic tweet".split())
_NUMBER_OF = frozenset(
    "id ids no nr num number code key hash idx index name handle slug url uri".split()
)
# The number of the row itself, of a class, or of a rater who rates texts of all sources.
_NO_WHOLES = frozenset(
    "annotator category class cluster coder country fold judge label lang language line phrase "
    "rater rating record row sample score sentiment span split star stars token utterance "
    "worker".split()
)


@dataclass(frozen=True)
class Assignment:
    """A split of each row, and what the user should know about it.

    Attributes:
        sides: int8[rows], 0 for train, 1 for dev, 2 for test.
        notes: Sentences for the user.
    """

    sides: np.ndarray
    notes: tuple[str, ...]


def split_rows(
    labels: np.ndarray,
    keys: np.ndarray,
    groups: np.ndarray | None,
    seed: int,
    shares: Sequence[float] = (0.8, 0.1, 0.1),
) -> Assignment:
    """Splits rows by a seed into train, dev and test, each class by itself.

    The shares count rows. A part that is larger than half of dev or test goes to train, the largest
    first, until train is full. The other parts of each class (a part's most frequent one) are
    shuffled and cut where that is nearest to the shares. A split that gets too many rows of one
    class gets fewer of the next. If large parts take more than the share of train, dev and test
    still get theirs, but each at most about a quarter of the parts.

    Args:
        labels: int32[rows], classes from 0.
        keys: uint64[rows]; equal texts have equal keys.
        groups: int64[rows]; rows of an equal group belong together, and a negative group is none.
            None if there are no groups.
        seed: The seed of the shuffle.
        shares: The shares of train, dev and test, 1 in total. A split with the share 0 is empty.

    Raises:
        InputError: If there are too few rows, or too few parts. The message names no file.
    """
    text = np.unique(keys, return_inverse=True)[1]  # int64[rows], equal texts by one number
    parts = _parts(text, groups)
    asked = [side for side, share in enumerate(shares) if share > 0]
    sizes = np.bincount(parts)
    side_of, large = _assign(_majority(labels, parts), sizes, seed, np.asarray(shares, float))
    if len(np.unique(side_of)) < len(asked):
        _require(labels, sizes, [SPLITS[side] for side in asked])
        _fill(side_of, sizes, asked)
    sides = side_of[parts]
    rows = np.bincount(sides, minlength=3)
    copies = rows - np.bincount(sides[_first_rows(text)], minlength=3)
    large = sizes[large & (side_of == 0)]
    notes = _notes(rows.tolist(), copies.tolist(), shares, large, len(sizes) < len(keys))
    return Assignment(sides, notes)


def contradictions(labels: np.ndarray, keys: np.ndarray) -> int:
    """Returns how many different texts have rows of several classes.

    Args:
        labels: int32[rows].
        keys: uint64[rows]; equal texts have equal keys.
    """
    text = np.unique(keys, return_inverse=True)[1]
    several = labels != labels[_first_rows(text)][text]
    return len(np.unique(text[several]))


def looks_like_group(name: str, values: np.ndarray) -> bool:
    """Returns whether a column evidently names what a row belongs to: a sentence, product, author.

    Its name must say so, its values must repeat (1.5 rows per value), and be 3 at least.

    Args:
        name: The column's name, such as `SentenceId`, `asin` or `user_name`.
        values: int64[rows], a number per different value; negative for an empty cell.
    """
    filled = values[values >= 0]
    different = len(np.unique(filled))
    repeats = different >= _FEWEST_VALUES and len(filled) >= _ROWS_PER_VALUE * different
    return repeats and is_group_name(name)


def is_group_name(name: str) -> bool:
    """Returns whether the name of a column says that its rows belong to something."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    if not words:
        return False
    *before, last = words
    if last not in _WHOLES and last not in _NUMBER_OF:  # "userid"
        glued = re.fullmatch(rf"({'|'.join(sorted(_WHOLES))})(id|name|no)", last)
        return glued is not None
    if last in _NUMBER_OF:
        noun = before[-1] if before else ""
        return noun in _WHOLES or (last == "id" and noun not in _NO_WHOLES)
    return last not in _TEXTS


def _parts(text: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Returns int64[rows]: the part of each row, numbered by their first rows."""
    parts = text
    if groups is not None and (groups >= 0).any():
        linked = np.flatnonzero(groups >= 0)
        group = text.max() + 1 + np.unique(groups[linked], return_inverse=True)[1]
        edges = (np.ones(len(linked), np.int8), (text[linked], group))
        graph = coo_array(edges, shape=(group.max() + 1,) * 2)
        parts = connected_components(graph, directed=False)[1][text]
    first = _first_rows(parts)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[parts]


def _first_rows(numbers: np.ndarray) -> np.ndarray:
    """Returns int64[different numbers]: the first row of each of the numbers from 0."""
    first = np.empty(numbers.max(initial=-1) + 1, np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]  # the last value that is written stays
    return first


def _majority(labels: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Returns int64[parts]: the most frequent class of each part, the lowest of several."""
    shape = parts.max(initial=-1) + 1, int(labels.max(initial=0)) + 1
    rows = np.bincount(parts * shape[1] + labels, minlength=shape[0] * shape[1])
    return rows.reshape(shape).argmax(axis=1)


def _assign(
    label: np.ndarray, sizes: np.ndarray, seed: int, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns int8[parts], the side of each part, and bool[parts], which parts are large.

    Args:
        label: int64[parts], the class of each part.
        sizes: int64[parts], its rows.
        seed: The seed of the shuffle.
        shares: float64[3].
    """
    random = np.random.default_rng(seed)
    members = [random.permutation(np.flatnonzero(label == x)) for x in np.unique(label)]
    side = np.zeros(len(sizes), np.int8)
    rows = sizes.sum()
    smallest = min((share for share in shares[1:] if share > 0), default=1)
    large = sizes > max(1, smallest * rows / 2)
    in_train = np.zeros(len(sizes), bool)
    if large.any():
        largest = random.permutation(np.flatnonzero(large))
        largest = largest[np.argsort(-sizes[largest], kind="stable")]
        in_train[largest[: _nearest(_bounds(sizes[largest]), shares[0] * rows)]] = True
        rest = sizes[~in_train]
        later = shares[1:] * min(rows, _MOST * len(sizes) * rest.sum() / max(len(rest), 1))
        later /= max(later.sum(), rest.sum(), 1)
        shares = np.array([1 - later.sum(), *later])
    members = [parts[~in_train[parts]] for parts in members]
    carry = np.zeros(3, np.int64)  # rows that earlier classes owe to each side
    # The classes of large parts come first, so that the others make up for them.
    for parts in sorted(members, key=lambda parts: -sizes[parts].max(initial=0)):
        bounds = _bounds(sizes[parts])
        cuts = np.round(np.cumsum(shares)[:2] * bounds[-1]).astype(np.int64)
        wanted = np.diff(cuts, prepend=0, append=bounds[-1]) + carry
        first = _nearest(bounds, wanted[0])
        second = max(first, _nearest(bounds, wanted[0] + wanted[1]))
        side[parts[first:second]], side[parts[second:]] = 1, 2
        carry = wanted - np.diff(bounds[[0, first, second, len(parts)]])
    return side, large


def _bounds(sizes: np.ndarray) -> np.ndarray:
    """Returns int64[parts + 1]: the rows before each part, and in total."""
    return np.concatenate([[0], np.cumsum(sizes)])


def _nearest(bounds: np.ndarray, rows: float) -> int:
    """Returns where ascending `bounds` are nearest to `rows`, the last of two."""
    return len(bounds) - 1 - int(np.argmin(np.abs(bounds[::-1] - rows)))


def _require(labels: np.ndarray, sizes: np.ndarray, asked: Sequence[str]) -> None:
    """Raises an `InputError` if these rows cannot fill the splits that are `asked` for."""
    splits = f"{', '.join(asked[:-1])} and {asked[-1]}"
    if np.bincount(labels, minlength=1).max() < _FEWEST:
        raise InputError(
            f"{len(labels)} rows are too few to split into {splits}. Expected at least {_FEWEST} "
            f"of some class."
        )
    if len(sizes) < len(asked):
        raise InputError(
            f"{len(labels)} rows cannot be split into {splits}: rows with equal texts or of one "
            f"group stay together, and that leaves {len(sizes)} part{'s'[: len(sizes) != 1]}."
        )


def _fill(side_of: np.ndarray, sizes: np.ndarray, asked: Sequence[int]) -> None:
    """Gives each empty side the smallest part of the side with most parts."""
    for side in asked:
        parts = np.bincount(side_of, minlength=3)
        if parts[side] == 0:
            of_donor = np.flatnonzero(side_of == parts.argmax())
            side_of[of_donor[sizes[of_donor].argmin()]] = side


def _notes(
    sizes: Sequence[int],
    copies: Sequence[int],
    shares: Sequence[float],
    large: np.ndarray,
    together: bool,
) -> tuple[str, ...]:
    """Returns sentences on an assignment.

    Args:
        sizes: The rows of train, dev and test.
        copies: How many rows of train, dev and test repeat an earlier text of the same split.
        shares: The shares that were asked for.
        large: int64[large parts in train], their rows.
        together: Whether any row belongs together with another.
    """
    total = sum(sizes)
    notes: list[str] = []
    for name, rows, size in zip(SPLITS[1:], copies[1:], sizes[1:], strict=True):
        if rows:
            repeat = "repeats" if rows == 1 else "repeat"
            notes.append(f"{rows:,} of {size:,} {name} rows {repeat} another {name} text.")
    if len(large):
        notes.append(
            f"{counted(len(large), 'text or group has', 'texts or groups have')} {large.sum():,} "
            f"of {total:,} rows, too many for dev or test; those rows are in train."
        )
    off = max(abs(size - share * total) for size, share in zip(sizes, shares, strict=True))
    if off > max(1, _TOLERANCE * total):
        wanted = "/".join(f"{100 * share:.3g}" for share in shares)
        reason = "rows that belong together are together" if together else "some classes are rare"
        found = "/".join(f"{size:,}" for size in sizes)
        notes.append(f"The rows are split {found}, not {wanted} %: {reason}.")
    return tuple(notes)


def counted(number: int, one: str, many: str) -> str:
    """Returns a number and what it counts, such as `1 text is` or `2,000 texts are`."""
    return f"{number:,} {one if number == 1 else many}"
