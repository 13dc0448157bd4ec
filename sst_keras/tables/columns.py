"""The columns of a table: which has the text, which the label, and whether there is a header."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sst_keras.errors import UsageError
from sst_keras.settings import DataConfig
from sst_keras.tables.spelling import shown

# What people call the two columns, without spaces, hyphens and underscores. They are tried if the
# table has no column of the default name.
_KNOWN = {
    "text": (
        "review", "reviewtext", "reviewbody", "reviewcontent", "reviews", "sentence", "phrase",
        "body", "content", "comment", "comments", "commenttext", "tweet", "tweettext", "message",
    ),
    "label": (
        "labels", "stars", "star", "starrating", "rating", "ratings", "score", "sentiment",
        "class", "polarity", "target", "overall",
    ),
}  # fmt: skip
_FEW = 20  # different values that a column of labels has at most
_SHORT = 24  # characters that a label has at most, where no header says what is the label
_LONGEST_NAME, _NAME_WORDS = 40, 5  # characters and words
_LONGEST = 1000  # characters of a name that a user may state
_HEADER_LINES = 10  # among which a header is looked for


class Columns(NamedTuple):
    """Places of columns, from 0, and the row in which their names are, from 0; None: no header."""

    names: tuple[str, ...]
    text: int
    label: int | None
    group: int | None
    header: int | None


def clean(name: str) -> str:
    """Returns a name in lower case, with single spaces and without invisible characters.

    A text that is too long for a name, which it takes seconds to clean, is returned as it is.
    """
    return name if len(name) > _LONGEST else shown(name).casefold()


def find_column(name: str, header: Sequence[str], setting: str) -> int | None:
    """Returns the place of a column, from 0, or None if there is none of this name.

    These are tried in turn: the exact name, the name in other case or with white space around it,
    a column's number (from 1), and, in place of a default name, the names in common use.

    Raises:
        UsageError: If several columns qualify.
    """
    exact = [place for place, each in enumerate(header) if each == name]
    cleaned = list(map(clean, header))
    similar = [place for place, each in enumerate(cleaned) if each == clean(name)]
    known = _KNOWN.get(name, ())
    usual = [
        place
        for place, each in enumerate(cleaned)
        if len(each) <= _LONGEST and re.sub("[ _-]", "", each) in known
    ]
    for places in (exact, similar):
        if len(places) > 1:
            raise UsageError(
                f"expected one column {name!r}. Received {len(places)} of this name: "
                f"{', '.join(header)}. Name the column by its number, from 1.",
                setting=setting,
            )
        if places:
            return places[0]
    # Python refuses to read thousands of digits.
    is_number = name.isascii() and name.isdigit() and len(name) < 10
    if is_number and 1 <= int(name) <= len(header):
        return int(name) - 1
    if len(usual) > 1:
        names = ", ".join(header[place] for place in usual)
        message = f"expected a column {name!r}. Several columns may be meant: {names}. Name one."
        raise UsageError(message, setting=setting)
    return usual[0] if usual else None


def find_columns(
    rows: Sequence[Sequence[str]], data: DataConfig, with_label: bool
) -> Columns | None:
    """Returns the columns of a table whose first rows are given; None if they are not found.

    Raises:
        UsageError: If several columns qualify for one.
    """
    if data.header not in ("auto", "none"):
        return None if not rows else _named(rows[0], 0, data, with_label)
    by_number = data.text_column.isdigit() and (data.label_column.isdigit() or not with_label)
    first = [name.strip() for name in rows[0]] if rows else []
    if data.header == "auto" and len(first) > 1 and first == [*map(str, range(len(first)))]:
        # pandas names columns by their numbers from 0.
        return _named(first, 0, data, with_label)
    if data.header == "auto" and not by_number:
        for place, row in enumerate(rows[:_HEADER_LINES]):
            try:
                columns = _named(row, place, data, with_label)
            except UsageError:  # A text may have these words twice, a header may not.
                if place == 0:
                    raise
                continue
            if columns and _has_row_names(row, rows[place + 1 :]):
                return _named(["", *row], place, data, with_label)
            if columns:
                return columns
    return _unnamed(rows, data, with_label)


def _has_row_names(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row begins with its number, for which the header has no name, as R writes it."""
    numbers = {row[0] for row in rows if row}
    is_wider = all(len(row) == len(header) + 1 and row[-1].strip() for row in rows)
    return bool(rows) and is_wider and len(numbers) == len(rows) and all(map(str.isdigit, numbers))


def _named(header: Sequence[str], place: int, data: DataConfig, with_label: bool) -> Columns | None:
    """Returns the columns by a row of names, or None if it lacks one."""
    names = tuple(map(str.strip, header))
    width = max((place for place, name in enumerate(names, start=1) if name), default=0)
    names = names[:width]  # A spreadsheet may end each line with separators.
    text = find_column(data.text_column, names, "data.text_column")
    label = find_column(data.label_column, names, "data.label_column")
    group = None
    if text is None or (label is None and with_label) or text == label:
        return None
    if data.group_column:
        group = find_column(data.group_column, names, "data.group_column")
        if group is None and with_label:
            raise UsageError(
                f"there is no column {data.group_column!r}. Received: {', '.join(names)}.",
                setting="data.group_column",
            )
    return Columns(names, text, label, group, place)


def _unnamed(rows: Sequence[Sequence[str]], data: DataConfig, with_label: bool) -> Columns | None:
    """Returns the columns of a table by number, or, in a table of two columns, by their values."""
    if not rows:
        return None
    width = Counter(map(len, rows)).most_common(1)[0][0]
    body = [row for row in rows if len(row) == width]
    numbers = tuple(str(number) for number in range(1, width + 1))
    text = find_column(data.text_column, numbers, "data.text_column")
    label = find_column(data.label_column, numbers, "data.label_column")
    if text is None and label is None and width == 2:
        labels = [place for place in (0, 1) if _is_label(body, place)]
        if len(labels) == 1:
            label, text = labels[0], 1 - labels[0]
    if text is None and width == 1 and not with_label and data.header == "none":
        text = 0
    if text is None or (with_label and label is None):
        return None
    group = None
    if data.group_column:
        group = find_column(data.group_column, numbers, "data.group_column")
    has_header = _has_header(body, text) if label is None else not _is_label(body, label)
    if data.header == "auto" and has_header and _is_name(body[0][text]):
        return Columns(tuple(rows[0]), text, label, group, 0)  # numbers name columns below a header
    return Columns(numbers, text, label, group, None)


def _has_header(rows: Sequence[Sequence[str]], text: int) -> bool:
    """Whether the first row has no number where others do, or two words where others have more."""
    first, *others = rows
    numbers = [
        all(re.fullmatch(r"[\d.,-]+", row[place]) for row in others) for place in range(len(first))
    ]
    is_numbered = any(
        is_number and not re.search(r"\d", name)
        for is_number, name in zip(numbers, first, strict=True)
    )
    counts = sorted(len(row[text].split()) for row in others)
    is_short = len(first[text].split()) <= 2 < counts[len(counts) // 2] if counts else False
    return bool(others) and (is_numbered or is_short)


def _is_name(field: str) -> bool:
    """Whether a field may be a column's name rather than a text."""
    return len(field) <= _LONGEST_NAME and len(field.split()) <= _NAME_WORDS


def _is_label(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether a column has few, short values, and the first row has one that comes again."""
    values = Counter(clean(row[place]) for row in rows)
    is_short = all(len(value) <= _SHORT and value[-1:] not in (*'.!?"',) for value in values)
    is_few = len(values) <= min(_FEW, len(rows) // 2)
    return is_short and is_few and values[clean(rows[0][place])] > 1
