"""JSON → objects, one per row, and the line where each starts; their values as texts and labels."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sst_keras.errors import InputError
from sst_keras.tables import parquet
from sst_keras.tables.encodings import read_lines
from sst_keras.tables.formats import Format

NAMED = 100  # the first objects, whose names are those of the columns


def object_names(path: Path, found: Format) -> tuple[str, ...]:
    """Returns the names in a file's first objects, in the order in which they come."""
    if found.kind == "parquet":
        return parquet.column_names(path)
    names: dict[str, None] = {}
    objects = read_objects(path, found, lenient=found.encoding.errors != "strict")
    rows = [row for _, row in islice(objects, NAMED) if not isinstance(row, InputError)]
    if len(rows) == 1 and any(map(_holds_rows, rows[0].values())):
        raise InputError(
            f"{path}, line 1: expected an array of JSON objects, or one per line. Received one "
            f"object, which holds others: {shown_names(list(rows[0]))}. Write an object per text, "
            f"for example by pandas' to_json(orient='records')."
        )
    for row in rows:
        names |= dict.fromkeys(row)
    if not names:
        raise InputError(f"{path}: expected JSON objects with a text and a label. Received none.")
    return tuple(names)


def _holds_rows(value: Any) -> bool:
    first = next(iter(value), None) if isinstance(value, list) else None
    return isinstance(value, dict) or isinstance(first, dict | list)


def shown_names(names: Sequence[str]) -> str:
    """Returns the first names, for messages."""
    shown = ", ".join(name[:40] for name in names[:12])
    return f"{shown}, ... ({len(names):,})" if len(names) > 12 else shown


def read_objects(
    path: Path, found: Format, lenient: bool = False
) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    """Yields the objects of JSON Lines, or of other JSON, and the line where each starts.

    The objects of Parquet are its rows, and their lines are the rows' numbers, from 1. Numbers that
    are not finite, such as the NaN of data frames, are None. If `lenient`, the error comes in the
    place of a line of JSON Lines that cannot be read.
    """
    if found.kind == "parquet":
        yield from enumerate(parquet.read_rows(path), start=1)
        return
    if found.kind in ("json", "json-objects"):
        content = "".join(read_lines(path, found.encoding))
        yield from _all_objects(path, content, found.kind == "json")
        return
    for line, content in enumerate(read_lines(path, found.encoding), start=1):
        if content.strip():
            try:
                yield line, _object(_DECODER.decode, content, f"{path}, line {line}")[0]
            except InputError as error:
                if not lenient:
                    raise
                yield line, error


def _all_objects(
    path: Path, content: str, is_array: bool
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields the objects of an array, or objects one after the other, over any lines."""
    decode = _DECODER.raw_decode
    gap = re.compile(r"[\s,]*")
    place, line = content.index("[") + 1 if is_array else 0, 1
    line += content.count("\n", 0, place)
    while True:
        start = gap.match(content, place).end()
        line += content.count("\n", place, start)
        if content[start : start + 1] in ("]" if is_array else "", ""):
            break
        row, end = _object(lambda text, at=start: decode(text, at), content, f"{path}, line {line}")
        yield line, row
        line += content.count("\n", start, end)
        place = end
    if is_array and content[start : start + 1] != "]":
        raise InputError(f"{path}: expected a complete JSON array. Its end is missing.")


def _object(read: Any, content: str, place: str) -> tuple[Mapping[str, Any], int]:
    """Returns a JSON object and where it ends, if `read` returns that."""
    try:
        found = read(content)
    except (ValueError, RecursionError) as error:
        problem = "nested too deep" if isinstance(error, RecursionError) else error
        problem = error.msg if isinstance(error, json.JSONDecodeError) else problem
        raise InputError(f"{place}: expected a JSON object ({problem}).") from None
    row, end = found if isinstance(found, tuple) else (found, 0)
    if isinstance(row, str):  # a list of texts
        row = {"text": row}
    if not isinstance(row, dict):
        shown = f"{row!r:.60}"
        raise InputError(f"{place}: expected a JSON object per row. Received: {shown}")
    return row, end


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{name!r} is in it twice")
    return row


def _finite(number: str) -> float | None:
    found = float(number)
    return found if math.isfinite(found) else None


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=lambda name: None
)


def text_of(value: Any, name: str, place: str) -> str:
    """Returns a text. A list of strings is a text that is cut into tokens."""
    if isinstance(value, parquet.Binary):
        raise InputError(f"{place}: expected text in UTF-8 in {name!r}. Received bytes.")
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(token, str) for token in value):
        return " ".join(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    raise InputError(
        f"{place}: expected a string or a list of strings in {name!r}. Received: "
        f"{json.dumps(value)[:60]}"
    )


def label_of(value: Any, name: str, place: str) -> str:
    """Returns a label: a string, a number, a list of one of these, or an empty one for null."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise InputError(
        f"{place}: expected one label in {name!r}: a string or a number. Received: "
        f"{json.dumps(value)[:60]}"
    )
