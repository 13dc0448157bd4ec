"""Rows → train, dev and test, so that nothing of a training text is in another split."""

import re
from typing import NamedTuple

import numpy as np

from sst_keras.errors import InputError

# Words in the names of columns whose equal values belong together.
_GROUPS = frozenset(
    "id ids asin user author reviewer product item business sentence document doc article "
    "conversation thread session customer group".split()
)


class Assignment(NamedTuple):
    """The split of each row, int8[rows]: 0 train, 1 dev, 2 test; and notes for the user."""

    sides: np.ndarray
    notes: tuple[str, ...]


def split_rows(
    labels: np.ndarray,
    keys: np.ndarray,
    groups: np.ndarray | None,
    seed: int,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> Assignment:
    """Splits rows so that equal texts, and rows of one group, stay together.

    Rows that belong together form a component. The components of each class are dealt in random
    order, in the shares asked for, counted in rows. The class of a component is its most frequent
    one. Components that dev and test cannot take without missing their shares go to train.

    Args:
        labels: int32[rows], the classes.
        keys: uint64[rows], equal for equal texts.
        groups: int64[rows], equal for rows of one group, -1 without a group; None for no groups.
        seed: The seed of the order.
        shares: The shares of train, dev and test; a share of 0 gives an empty split.

    Raises:
        InputError: If a split that has a share gets no rows.
    """
    component = _components(keys, groups)
    size = np.bincount(component)  # int64[components]
    kind = _majority(component, labels)
    targets = np.asarray(shares) * len(labels)
    side = np.zeros(len(size), np.int8)
    # Larger components than dev or test should have rows go to train.
    small = size <= max(1.0, min(target for target in targets if target))
    dev_from, test_from = shares[0], shares[0] + shares[1]  # shares of the small components
    if rest := len(labels) - size[~small].sum():
        if not small.all():  # Dev and test get their rows, but at most a quarter of these each.
            held_out = np.minimum(targets[1:], 0.25 * rest) / rest
            dev_from, test_from = 1 - held_out.sum(), 1 - held_out[1]
    random = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(small & (kind == label)))
        ends = np.cumsum(size[members])
        total = ends[-1] if len(ends) else 0
        dev, test = round(dev_from * total), round(test_from * total)
        # A component belongs to the split in which its middle row is.
        middle = ends - (size[members] + 1) / 2
        side[members] = (middle >= dev).astype(np.int8) + (middle >= test)
    sides = side[component]
    counts = np.bincount(sides, minlength=3)
    if any(share and not count for share, count in zip(shares, counts, strict=True)):
        raise InputError(
            f"{len(labels)} rows are too few to split into train, dev and test, or too many belong "
            f"together. Expected at least 10 different texts of some class."
        )
    notes = []
    if not small.all() and abs(counts[0] - targets[0]) > 0.05 * len(labels):
        rows = int(size[~small].sum())
        notes.append(
            f"{rows:,} rows are {int((~small).sum()):,} text(s) or group(s) with many rows, which "
            f"stay in train. So the splits have other shares than asked for."
        )
    return Assignment(sides, tuple(notes))


def _components(keys: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Returns int64[rows], the number of each row's component, by first occurrence."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    texts = _numbered(keys)
    if groups is None:
        return texts
    rows = np.flatnonzero(groups >= 0)
    shift = texts.max() + 1
    named = _numbered(groups[rows]) + shift
    size = int(named.max(initial=shift) + 1)
    edges = coo_array((np.ones(len(rows), np.int8), (texts[rows], named)), shape=(size, size))
    joined = connected_components(edges, directed=False)[1]
    return _numbered(joined[texts])


def _numbered(values: np.ndarray) -> np.ndarray:
    """Returns int64[n], the values' numbers in the order of their first occurrence."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _majority(component: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns int64[components], the most frequent class of each, the lowest on a tie."""
    classes = int(labels.max()) + 1
    pairs, counts = np.unique(component * classes + labels, return_counts=True)
    order = np.lexsort((pairs, -counts, pairs // classes))
    first = np.unique((pairs // classes)[order], return_index=True)[1]
    return pairs[order][first] % classes


def looks_like_group(name: str, values: np.ndarray) -> bool:
    """Whether the rows with equal values of a column seem to belong together.

    Its name is that of a number or person (SentenceId, asin, user_id), and its values repeat.

    Args:
        name: The column's name.
        values: int64[rows], equal for equal values.
    """
    distinct = len(np.unique(values))
    return may_group(name) and 2 < distinct <= len(values) / 1.5


def may_group(name: str) -> bool:
    """Whether a column is called like one whose equal values belong together."""
    words = re.sub("([a-z0-9])([A-Z])", r"\1 \2", name).casefold()
    return bool(set(re.split("[^a-z0-9]+", words)) & _GROUPS)
