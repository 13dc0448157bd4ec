"""Scores, settings and names in words, as Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sst_keras.experiments.records import RunRecord, Weights
from sst_keras.experiments.report.comparison import Found, Runs, Summary

_VALUES = {
    "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "momentum": "SGD with momentum",
    "last": "last step", "last_padded": "last step of padding", ("auto",): "pretrained",
    "lstm": "LSTM", "mlp": "MLP", "cnn": "CNN", "cnn-multichannel": "CNN, multichannel",
}  # fmt: skip


def text(value: object) -> str:
    """Returns a text on one line, escaped so that Markdown and HTML show it as it is."""
    flat = " ".join(str(value).split())
    flat = re.sub(r"&(?=#?\w+;)", "&amp;", flat).replace("<", "&lt;").replace("~", "&#126;")
    flat = re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", flat)
    # What would begin a heading, a list or a quotation.
    return re.sub(r"^(\d*)([#>]|[.)](?= )|[+-](?=[ +-]|$))", r"\1\\\2", flat)


def code(value: object) -> str:
    """Returns a text as code."""
    return f"`{str(value).replace('`', '')}`"


def bullets(lines: Iterable[str]) -> str:
    """Returns a list."""
    return "\n".join(f"- {line}" for line in lines)


def table(rows: Sequence[Mapping[str, str]], sides: str = "lr") -> str:
    """Returns a table. Each row has heading → cell, as Markdown.

    `sides` has the alignment of each column, `l` or `r`; the last letter is repeated.
    """
    sides = sides.ljust(len(rows[0]), sides[-1])[: len(rows[0])]
    rules = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in (rows[0], rules, *(row.values() for row in rows))
    )


def spread(summary: Summary | None, digits: int = 1) -> str:
    """Returns mean ± standard deviation."""
    if summary is None:
        return "–"
    end = "" if summary.sd is None else f" ± {summary.sd:.{digits}f}"
    return f"{summary.mean:.{digits}f}{end}"


def mean(summary: Summary | None) -> str:
    """Returns mean ± standard deviation (n)."""
    return f"{spread(summary)} ({summary.n})" if summary else "–"


def published(value: float | None) -> str:
    """Returns a published accuracy in percent, with the digits that it was published with."""
    return "–" if value is None else f"{value:.1f}" if value == round(value, 1) else f"{value:g}"


def points(value: float | None, digits: int = 1) -> str:
    """Returns a difference with its sign; one that rounds to 0 has none."""
    if value is None:
        return "–"
    shown = f"{value:+.{digits}f}"
    return shown.replace("-", "−") if float(shown) else shown[1:]


def difference(value: Summary | None) -> str:
    """Returns a difference with its interval; bold if the interval excludes 0.

    The ends of the interval have a digit more, to show on which side of 0 they are.
    """
    if value is None or value.interval is None:
        return f"{points(value.mean)} (one seed)" if value else "–"
    low, high = (points(end, 2) for end in value.interval)
    shown = f"{points(value.mean)} [{low}, {high}]"
    return f"**{shown}**" if value.sign else shown


def differences(found: Found) -> dict[str, str]:
    """Returns the cells of `n` and of the difference with each set of weights."""
    n = max(one.n if one else 0 for one in found.values())
    return {"n": str(n)} | {weights.value: difference(one) for weights, one in found.items()}


def of_source(runs: Runs, shown: str) -> dict[str, str]:
    """Returns the cell of a published score or difference; none if no row has a score."""
    return {text(runs.source): shown} if runs.published else {}


def by_weights(found: Mapping[Weights, str]) -> str:
    """Joins a phrase for each set of weights."""
    return ", and ".join(f"{one} with the weights of the {w.value}" for w, one in found.items())


def value(of_setting: Any) -> str:
    """Returns the value of a setting."""
    if isinstance(of_setting, bool):
        return "yes" if of_setting else "no"
    if isinstance(of_setting, float):
        return f"{of_setting:g}"
    if isinstance(of_setting, tuple) and of_setting not in _VALUES:
        return " + ".join(text(str(entry).rpartition("/")[2]) for entry in of_setting)
    return _VALUES.get(of_setting) or text(of_setting)


def vectors(records: Iterable[RunRecord]) -> list[str]:
    """Returns the word vectors of records, each kind once."""
    return list(dict.fromkeys(value(record.vectors) for record in records))


def title(runs: Runs, names: Iterable[str], split: str = "test") -> str:
    """Returns what a figure is of: data set, split and word vectors."""
    records = runs.of(names)
    sets = dict.fromkeys(record.dataset for record in records)
    found = dict.fromkeys(" + ".join(record.vectors) for record in records)
    return f"{', '.join(sets)}, {split}; word vectors: {', '.join(found)}"


def caption(runs: Runs, names: Iterable[str]) -> str:
    """Returns the line that names the word vectors behind a table or figure."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        for kind in vectors(runs.of([name])):
            groups.setdefault(kind, []).append(text(name))
    most = max(groups, key=lambda kind: len(groups[kind]), default="")
    others = [f"{kind} ({', '.join(groups[kind])})" for kind in groups if kind != most]
    return f"*Word vectors: {'; '.join([most, *others])}.*" if groups else ""
