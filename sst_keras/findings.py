"""What is unusual about a user's texts and labels, in figures and in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from sst_keras.errors import InputError
from sst_keras.settings import DataConfig
from sst_keras.tables.labels import Labels
from sst_keras.tables.splits import counted
from sst_keras.texts import Texts, contained, hash_words
from sst_keras.vocabulary import UNKNOWN

# The most training tokens among which dev and test texts are sought, which takes a second.
_MOST_TOKENS = 10_000_000
# A longest text beyond this many tokens and this many medians is reported.
_LONG, _FAR_LONGER = 1000, 20
_ENGLISH = (
    b"the and a of to is it in this that was i for with but my you not on have very so they are be "
    b"as at".split()
)
_ENOUGH = 12  # tokens in which English nearly always has one of these words


@dataclass(frozen=True)
class Findings:
    """What was found in a user's files.

    Attributes:
        read: How each file was read.
        joined: Class → its spellings → rows, for classes that are spelled in several ways.
        left_out: The rows that were left out: `reason`, `rows`, and the first `places`.
        repeats: Number of rows that repeat an earlier text, after tokenizing and lower-casing.
        contradicted: Number of distinct texts that have several labels.
        leaks: `dev` and `test` → `equal`, the texts that are a training text, and `within`, the
            other ones that occur word for word within one; None if that was not checked.
        group_columns: Columns whose equal values seem to belong in one split.
        longest: Tokens of the longest text.
        not_english: Number of texts of 12 or more tokens without a common English word.
        notes: What a user should know, one sentence each.
    """

    read: tuple[str, ...] = ()
    joined: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    left_out: tuple[Mapping[str, Any], ...] = ()
    repeats: int = 0
    contradicted: int = 0
    leaks: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    group_columns: tuple[str, ...] = ()
    longest: int = 0
    not_english: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the findings by name, for JSON."""
        return asdict(self)


def leaks(
    splits: Mapping[str, tuple[Texts, np.ndarray]], keys: Mapping[str, np.ndarray]
) -> dict[str, dict[str, int | None]]:
    """Returns `Findings.leaks`, from split → texts and classes, and split → the texts' keys."""
    train, known = splits["train"][0], np.sort(keys["train"])
    found = {}
    for name in ("dev", "test"):
        places = np.searchsorted(known, keys[name]).clip(max=len(known) - 1)
        equal = known[places] == keys[name]
        others = splits[name][0].take(np.flatnonzero(~equal))
        is_checked = len(train.ids) <= _MOST_TOKENS
        within = int(contained(others, train).sum()) if is_checked else None
        found[name] = {"equal": int(equal.sum()), "within": within}
    return found


def not_english(texts: Texts) -> int:
    """Returns the number of texts of 12 or more tokens without a common English word."""
    common = np.isin(texts.words.hashes, hash_words(_ENGLISH))
    has_common = np.logical_or.reduceat(common[texts.ids], texts.starts[:-1])
    return int((~has_common & (texts.lengths >= _ENOUGH)).sum())


def label_notes(labels: Labels, missing: int, places: str) -> list[str]:
    """Returns notes on joined spellings, on rows without a label, and on the order of the classes.

    Args:
        labels: The classes.
        missing: Number of rows without a label.
        places: Where the first of these rows are.
    """
    notes = []
    joined = [
        f"{name} = " + ", ".join(f"{each!r} ({count:,})" for each, count in spellings.items())
        for name, spellings in labels.joined.items()
    ]
    if joined:
        notes.append(f"Classes with several spellings, and their rows: {'; '.join(joined)}.")
    if missing:
        words = ", ".join(
            f"{repr(each) if each.strip() else 'empty'} ({count:,})"
            for each, count in labels.missing.items()
        )
        was = "was" if missing == 1 else "were"
        notes.append(
            f"{counted(missing, 'row has', 'rows have')} no label and {was} left out: {words}; "
            f"{places}."
        )
    if not labels.ordered and len(labels.classes) > 2:
        notes.append(
            f"The classes are in alphabetical order: {', '.join(labels.classes)}. Metrics that "
            f"need an order are omitted. If there is one, give it by data.labels, lowest first."
        )
    return notes


def class_notes(
    members: Mapping[str, np.ndarray],
    classes: np.ndarray,
    names: Sequence[str],
    data: DataConfig,
) -> list[str]:
    """Returns notes that name the classes which a split lacks.

    Args:
        members: Split → int64[texts], the rows of its texts.
        classes: int32[rows].
        names: The classes.
        data: The settings.

    Raises:
        InputError: If train has none of the classes of dev or of test.
    """
    counts = {
        split: np.bincount(classes[each], minlength=len(names)) for split, each in members.items()
    }
    total = sum(counts.values())
    notes = []
    for split, count in counts.items():
        foreign = [
            name for name, n, t in zip(names, count, counts["train"], strict=True) if n > t == 0
        ]
        if split != "train" and len(members[split]) and not (counts["train"][count > 0]).any():
            raise InputError(
                f"{data.dataset}: all {len(members[split]):,} {split} texts have the label "
                f"{', '.join(foreign)}, which no training text has. If the true labels are hidden, "
                f"move the file away: {split} is then cut from train."
            )
        lacking = [
            f"{name} ({counted(all_, 'text', 'texts')} in total)"
            for name, here, all_ in zip(names, count, total, strict=True)
            if not here
        ]
        if lacking and len(members[split]):
            notes.append(f"No {split} text has the class {' or '.join(lacking)}.")
    return notes


def text_notes(
    texts: Texts, findings: Findings, members: Mapping[str, np.ndarray], data: DataConfig
) -> list[str]:
    """Returns notes on repeated, leaked, blank and long texts, other languages, and groups.

    `members` is split → the rows of its texts.
    """
    notes = []
    total = len(texts)
    if findings.repeats:
        notes.append(
            f"{findings.repeats:,} of {total:,} rows "
            f"{'repeats' if findings.repeats == 1 else 'repeat'} an earlier text, ignoring case "
            f"and white space."
        )
    if findings.contradicted:
        texts_occur = counted(findings.contradicted, "text occurs", "texts occur")
        notes.append(f"{texts_occur} with different labels.")
    for split, leak in findings.leaks.items():
        size = len(members[split])
        if leak["equal"]:
            notes.append(f"Of {size:,} {split} texts, {leak['equal']:,} are also in train.")
        if leak["within"]:
            notes.append(
                f"Of {size:,} {split} texts, {leak['within']:,} occur word for word within a "
                f"longer training text."
            )
    if any(leak["within"] is None for leak in findings.leaks.values()):
        notes.append(
            f"Train has more than {_MOST_TOKENS:,} tokens, so it was not checked whether dev and "
            f"test texts occur within its texts."
        )
    if findings.group_columns:
        columns = ", ".join(findings.group_columns)
        notes.append(
            f"Many rows share a value of {columns}. Name one as data.group_column to keep such "
            f"rows in one split; otherwise the scores may be too optimistic."
        )
    if blank := _blank(texts):
        texts_are = counted(blank, "text is", "texts are")
        notes.append(f"{texts_are} blank; a blank text is read as one unknown token.")
    median = float(np.median(texts.lengths))
    if findings.longest > max(_LONG, _FAR_LONGER * median) and not data.max_length:
        longer = int((texts.lengths > _LONG // 2).sum())
        notes.append(
            f"The longest text has {findings.longest:,} tokens, the median {median:,.0f}. Long "
            f"texts take most of the time: {longer:,} of {total:,} have more than {_LONG // 2} "
            f"tokens, to which data.max_length={_LONG // 2} would cut those in train."
        )
    if findings.not_english > 0.01 * total:
        number = counted(findings.not_english, "text", "texts")
        notes.append(
            f"{number} of {_ENOUGH} or more tokens, without a common English word, may be in "
            f"another language."
        )
    return notes


def _blank(texts: Texts) -> int:
    """Returns the number of texts that are one unknown token."""
    unknown = np.flatnonzero(texts.words.spellings == UNKNOWN.encode())
    return int((np.isin(texts.ids[texts.starts[:-1]], unknown) & (texts.lengths == 1)).sum())
