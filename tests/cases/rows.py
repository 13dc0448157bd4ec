"""Made-up reviews, and the files that programs write of them. Nothing here is random."""

import csv as csv_module
import io
import json as json_module
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = list[tuple[str, Any]]  # text and label

FIVE = ("1", "2", "3", "4", "5")
TWO = ("bad", "good")
WORDS = ("very negative", "negative", "neutral", "positive", "very positive")
_PLACES = ("ferry", "bakery", "museum", "garage", "hostel", "orchard", "sauna")
_TIMES = ("Monday", "spring", "dusk", "noon", "August")
_GUESTS = ("my aunt", "the twins", "our host", "a porter", "the judge", "his nurse", "our crew")
_VERDICTS = ("grim", "shabby", "middling", "lively", "splendid")
MOST = len(_PLACES) * len(_TIMES) * len(_GUESTS)


def reviews(count: int, labels: Sequence[Any] = TWO, start: int = 0) -> Rows:
    """Returns `count` different texts of equal length, with `labels` in turn.

    No text is within another. Each has commas, so CSV files have quotation marks. The adjective
    follows the label, so that a model can learn it. Another `start` gives other texts.
    """
    assert start + count <= MOST
    rows = []
    for number in range(start, start + count):
        place, rest = number % len(_PLACES), number // len(_PLACES)
        time, guest = rest % len(_TIMES), rest // len(_TIMES)
        turn = number % len(labels)
        verdict = _VERDICTS[turn * len(_VERDICTS) // len(labels) if len(labels) > 1 else 0]
        text = f"At the {_PLACES[place]} in {_TIMES[time]}, {_GUESTS[guest]} felt {verdict}."
        rows.append((text, labels[turn]))
    return rows


def relabelled(rows: Rows, changes: Mapping[int, Any]) -> Rows:
    """Returns rows with other labels at some positions, from 0."""
    return [(text, changes.get(number, label)) for number, (text, label) in enumerate(rows)]


def csv(rows: Iterable[Sequence[Any]], header: Sequence = ("text", "label"), **dialect) -> str:
    r"""Returns a table as Python's csv writes it: with `\n`, unless `dialect` says otherwise."""
    file = io.StringIO()
    writer = csv_module.writer(file, **{"lineterminator": "\n"} | dialect)
    writer.writerows([header, *rows] if header else rows)
    return file.getvalue()


def tsv(rows: Iterable[Sequence[Any]], header: Sequence[str] = ("text", "label")) -> str:
    """Returns fields between tabs, with quotation marks as they are."""
    rows = [header, *rows] if header else rows
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def objects(rows: Iterable[Sequence[Any]], names: Sequence[str] = ("text", "label")) -> list[dict]:
    """Returns a dictionary per row."""
    return [dict(zip(names, row, strict=True)) for row in rows]


def jsonl(rows: Iterable[Sequence[Any]], names: Sequence[str] = ("text", "label")) -> str:
    """Returns a JSON object per line."""
    return "".join(json_module.dumps(row) + "\n" for row in objects(rows, names))


def json(rows: Iterable[Sequence[Any]], names: Sequence[str] = ("text", "label"), **form) -> str:
    """Returns one JSON array."""
    return json_module.dumps(objects(rows, names), **form)


def lines(rows: Rows, form: str) -> str:
    """Returns a line per row, such as `__label__{label} {text}`."""
    return "".join(form.format(text=text, label=label) + "\n" for text, label in rows)


def folder(write, ending: str, train: Any, dev: Any, test: Any, dev_name: str = "dev") -> dict:
    """Returns the contents of a folder's three files, each written by `write`."""
    parts = {"train": train, dev_name: dev, "test": test}
    return {f"{name}{ending}": write(rows) for name, rows in parts.items()}
