"""Scores, settings and verdicts in words, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sst_keras.experiments.records import RunRecord, Weights
from sst_keras.experiments.report.comparison import Effect, Key, Runs, Summary
from sst_keras.settings import Pipeline, label

_VALUES = {
    "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "momentum": "SGD with momentum",
    "last": "last step", "last_padded": "last step of padding", ("auto",): "pretrained",
    "lstm": "LSTM", "mlp": "MLP", "cnn": "CNN", "cnn-multichannel": "CNN, multichannel",
}  # fmt: skip
_POOLINGS = {
    "attention": " + attention", "last": "", "last_padded": ", last step of padding",
    "mean": " + mean", "max": " + maximum",
}  # fmt: skip
NOT_COMPARABLE = "not comparable"


# === Markdown ===


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
    """Returns a table.

    Args:
        rows: The rows: heading → cell, as Markdown. All have the same headings.
        sides: The alignment of each column, `l` or `r`; the last letter is repeated.
    """
    sides = sides.ljust(len(rows[0]), sides[-1])[: len(rows[0])]
    rules = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in (rows[0], rules, *(row.values() for row in rows))
    )


# === Numbers ===


def spread(summary: Summary | None) -> str:
    """Returns mean ± standard deviation, in percent."""
    if summary is None:
        return "–"
    return f"{summary.mean:.1f}" + ("" if summary.sd is None else f" ± {summary.sd:.1f}")


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


def share(part: float, total: float) -> str:
    """Returns a share in percent, without the sign."""
    return f"{100 * part / total:.1f}" if total else "–"


def counted(count: int, noun: str) -> str:
    """Returns a number of things."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# === Names ===


def name(key: Key) -> str:
    """Returns an experiment's name."""
    return text("/".join(filter(None, key)))


def value(of_setting: Any) -> str:
    """Returns the value of a setting."""
    if isinstance(of_setting, (bool, float)):
        return f"{of_setting:g}" if isinstance(of_setting, float) else ("no", "yes")[of_setting]
    if isinstance(of_setting, tuple) and of_setting not in _VALUES:
        return " + ".join(text(str(entry).rpartition("/")[2]) for entry in of_setting)
    return _VALUES.get(of_setting) or text(of_setting)


def model(pipeline: Pipeline) -> str:
    """Returns a pipeline's model, such as `LSTM + attention, no pretrained vectors`."""
    settings = pipeline.model
    words = value(settings.name)
    if settings.name == "lstm":
        words = ("Bi" if settings.bidirectional else "") + words + _POOLINGS[settings.pooling]
    return words + ", no pretrained vectors" * (pipeline.embedding.vectors == ("none",))


def change(effect: Effect) -> str:
    """Returns the values of a change."""
    return f"{value(effect.before)} → {value(effect.after)}"


def vectors(records: Iterable[RunRecord]) -> list[str]:
    """Returns the word vectors of records, each kind once."""
    return list(dict.fromkeys(value(record.vectors) for record in records))


def title(runs: Runs, keys: Iterable[Key], split: str = "test") -> str:
    """Returns what a figure is of: data set, split and word vectors."""
    records = runs.of(*keys)
    names = dict.fromkeys(record.dataset for record in records)
    found = dict.fromkeys(" + ".join(record.vectors) for record in records)
    return f"{', '.join(names)}, {split}; word vectors: {', '.join(found)}"


def caption(runs: Runs, keys: Iterable[Key]) -> str:
    """Returns the line that names the word vectors behind a table or figure."""
    groups: dict[str, list[str]] = {}
    for key in dict.fromkeys(keys):
        for kind in vectors(runs.of(key)):
            groups.setdefault(kind, []).append(name(key))
    most = max(groups, key=lambda kind: len(groups[kind]), default="")
    others = [f"{kind} ({', '.join(groups[kind])})" for kind in groups if kind != most]
    return f"*Word vectors: {'; '.join([most, *others])}.*" if groups else ""


# === Verdicts ===


def by_weights(found: Mapping[Weights, str]) -> str:
    """Joins a phrase for each set of weights."""
    return ", and ".join(f"{one} with the weights of the {w.value}" for w, one in found.items())


def verdict(effect: Effect, weights: Weights) -> str:
    """Returns whether a finding holds, which claims that the effect is above 0."""
    found = effect.differences[weights]
    if found is None:
        return "not tested"
    if effect.is_nested and weights is Weights.BEST:
        return NOT_COMPARABLE
    return {1: "holds", -1: "the opposite holds", 0: "not shown"}[found.sign]


def reason(effect: Effect) -> str:
    """Returns why a finding's verdict is what it is: the rows compared, and their scores."""
    setting = label(effect.setting)
    values = f"{value(effect.after)} against {value(effect.before)}"
    if not effect.pairs:
        return f"No two experiments with runs differ only in the {setting}, {values}."
    pairs = ", ".join(f"{name(after)} with {name(before)}" for before, after in effect.pairs)
    words = f"{setting.capitalize()}, {values}: {pairs}."
    if any(variant for pair in effect.pairs for _, variant in pair):
        words += " No two rows differ only in this, so variants are compared."
    last, best = effect.differences.values()
    if last is None or best is None:
        return f"{words} No seed was run in all of them."
    shown = {weights: f"{difference(one)} points" for weights, one in effect.differences.items()}
    words += f" The difference is {by_weights(shown)}; n = {last.n}."
    if effect.published is not None:
        words += f" The published difference is {points(effect.published)}."
    if last.interval is None:
        return f"{words} A single seed has no interval and shows nothing."
    if not last.sign:
        words += " The interval contains 0: the true difference may have either sign."
    if effect.is_nested:
        words += (
            " The best epoch by dev cannot settle this: the longer run contains the shorter one, "
            "so its best epoch can be worse only by chance."
        )
    elif best.sign != last.sign:
        words += f" With the weights of the best epoch by dev: {verdict(effect, Weights.BEST)}."
    return words
