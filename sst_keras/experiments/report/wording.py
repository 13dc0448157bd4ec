"""Figures, differences, settings and verdicts in words, as Markdown has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sst_keras.experiments.report import comparison
from sst_keras.experiments.report.comparison import Difference, Effect, Key, Summary
from sst_keras.settings import Pipeline

LAST, BEST = "last epoch", "best epoch by dev"  # whose weights are scored
SETTINGS = {
    "data.batch_size": "batch size",
    "data.examples": "training examples",
    "data.lowercase": "lower case",
    "embedding.vectors": "word vectors",
    "embedding.dim": "vectors' width",
    "embedding.trainable": "vectors trained",
    "embedding.optimizer": "vectors' optimizer",
    "embedding.learning_rate": "vectors' learning rate",
    "embedding.dropout": "dropout of vectors",
    "model.name": "model",
    "model.bidirectional": "both directions",
    "model.pooling": "pooling",
    "model.num_layers": "layers",
    "model.units": "hidden size",
    "model.dropout": "dropout",
    "training.learning_rate": "learning rate",
    "training.optimizer": "optimizer",
    "training.loss": "loss",
    "training.label_smoothing": "label smoothing",
    "training.l2": "L2 term",
    "training.weight_decay": "weight decay",
    "training.clip_norm": "gradient norm bound",
    "training.patience": "patience",
    "training.epochs": "epochs",
}
_VALUES = {
    "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "momentum": "SGD with momentum",
    "last": "last step", "last_padded": "last step of padding", ("auto",): "pretrained",
    "lstm": "LSTM", "mlp": "MLP", "cnn": "CNN", "cnn-multichannel": "CNN, multichannel",
}  # fmt: skip
_POOLINGS = {
    "attention": " + attention",
    "last": "",
    "last_padded": ", last step of padding",
    "mean": " + mean",
    "max": " + maximum",
}


# === Markdown ===


def text(value: object) -> str:
    """Returns a text such that Markdown and HTML show it as it is."""
    flat = " ".join(str(value).split())
    return re.sub(r"([\\`*\[\]|])", r"\\\1", flat).replace("<", "&lt;")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> str:
    """Returns a table.

    Args:
        headings: Its head.
        rows: Its rows' cells, with Markdown in them.
        sides: `l` or `r` for each column: where its cells stand.
    """
    rules = ["---:" if side == "r" else "---" for side in sides]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rules, *rows))


def slug(name: str) -> str:
    """Returns a name as a file's name has it."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-")


# === Numbers ===


def number(value: float | None) -> str:
    """Returns an accuracy in percent."""
    return "–" if value is None else f"{value:.1f}"


def mean(summary: Summary | None) -> str:
    """Returns mean ± standard deviation (n)."""
    if summary is None:
        return "–"
    sd = "" if summary.sd is None else f" ± {summary.sd:.1f}"
    return f"{summary.mean:.1f}{sd} ({summary.n})"


def published(value: float | None) -> str:
    """Returns a published accuracy in percent, with the digits that it was published with."""
    if value is None or value == round(value, 1):
        return number(value)
    return f"{value:g}"


def points(value: float | None, digits: int = 1) -> str:
    """Returns a difference with its sign; one that rounds to 0 has none."""
    if value is None:
        return "–"
    shown = f"{value:+.{digits}f}"
    return shown.replace("-", "−") if float(shown) else shown[1:]


def difference(value: Difference | None) -> str:
    """Returns a difference with its interval; bold where the interval leaves out 0.

    The interval's ends have a digit more, so that it is seen on which side of 0 they lie.
    """
    if value is None:
        return "–"
    if value.low is None:
        return f"{points(value.mean)} (one seed)"
    shown = f"{points(value.mean)} [{points(value.low, 2)}, {points(value.high, 2)}]"
    return f"**{shown}**" if value.sign else shown


def share(part: float, whole: float) -> str:
    """Returns a share in percent, without the sign."""
    return f"{100 * part / whole:.1f}" if whole else "–"


def seconds(value: float) -> str:
    """Returns a time."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def counted(count: int, noun: str) -> str:
    """Returns a number of things."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ranges(numbers: Sequence[int]) -> str:
    """Returns whole numbers, sorted, the ones in a row drawn together: 1–3, 5."""
    runs: list[list[int]] = []
    for value in numbers:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


# === Names ===


def name(key: Key) -> str:
    """Returns an experiment's name."""
    tag, variant = key
    return text(f"{tag}/{variant}" if variant else tag)


def setting(key: str) -> str:
    """Returns a setting's name in plain English where it has one."""
    return SETTINGS.get(key, f"`{key}`")


def value(of_setting: Any) -> str:
    """Returns a setting's value."""
    if isinstance(of_setting, bool):
        return "yes" if of_setting else "no"
    if of_setting in _VALUES:
        return _VALUES[of_setting]
    if isinstance(of_setting, float):
        return f"{of_setting:g}"
    if isinstance(of_setting, tuple):
        return " + ".join(text(str(entry).rpartition("/")[2]) for entry in of_setting)
    return text(of_setting)


def model(pipeline: Pipeline) -> str:
    """Returns what a pipeline's model is, such as `LSTM + attention, no pretrained vectors`."""
    settings = pipeline.model
    words = value(settings.name)
    if settings.name == "lstm":
        words = ("Bi" if settings.bidirectional else "") + words + _POOLINGS[settings.pooling]
    return words + (", no pretrained vectors" * (pipeline.embedding.vectors == ("none",)))


def vectors(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the word vectors of records, each kind once."""
    return list(dict.fromkeys(value(tuple(record["vectors"])) for record in records))


# === Verdicts ===


def verdict(found: Difference | None) -> str:
    """Returns whether a finding holds, the finding being that the difference is above 0."""
    if found is None:
        return "cannot be told"
    return {1: "holds", -1: "the opposite holds", 0: "not shown"}[found.sign]


def nested(effect: Effect) -> bool:
    """Returns whether one side's epochs are the first ones of the other's."""
    return effect.setting == "training.epochs"


def direction(found: Difference) -> str:
    """Returns what a difference shows."""
    if found.low is None:
        return "one seed alone shows nothing"
    return {1: "better", -1: "worse", 0: "neither shown to be better"}[found.sign]


def reason(effect: Effect) -> str:
    """Returns why a finding's verdict is what it is: figures, and the rows compared."""
    change = f"{value(effect.after)} against {value(effect.before)}"
    if not effect.pairs:
        return (
            f"No two experiments with runs differ in the {setting(effect.setting)} alone, "
            f"{change}: it cannot be told from these runs."
        )
    pairs = ", ".join(f"{name(after)} with {name(before)}" for before, after in effect.pairs)
    words = f"{setting(effect.setting).capitalize()}, {change}: {pairs}."
    if any(key[1] for pair in effect.pairs for key in pair):
        words += " No two rows differ in this alone, so that variants are compared."
    if effect.last is None or effect.best is None:
        return f"{words} No seed has been run in all of them."
    words += (
        f" {difference(effect.last)} points with the weights of the {LAST}, "
        f"{difference(effect.best)} with those of the {BEST}; n = {effect.last.n}."
    )
    if effect.published is not None:
        words += f" In the report {points(effect.published)}."
    if effect.last.low is None:
        return f"{words} One seed alone has no interval, and shows nothing."
    if not effect.last.sign:
        words += " The interval holds 0: the true difference may have either sign."
    if nested(effect):
        words += (
            f" The {BEST} cannot tell: of the longer run it is chosen among the shorter one's "
            f"epochs too, which are the same, so that it cannot be worse but by chance."
        )
    elif effect.best.sign != effect.last.sign:
        words += f" With the weights of the {BEST}: {verdict(effect.best)}."
    return words


def turn(
    curve: Sequence[Sequence[float]],
    series: Sequence[Mapping[str, Sequence[float]]],
    column: str,
    sign: int,
) -> str:
    """Returns the epoch of a mean curve's lowest point, and the range over single seeds.

    Args:
        curve: Epochs, means and standard deviations of the column.
        series: Each seed's columns, `epoch` among them.
        column: Which column.
        sign: -1 for the highest point.
    """
    at = curve[0][comparison.lowest(curve[1], sign)]
    single = [one["epoch"][comparison.lowest(one[column], sign)] for one in series]
    if len(single) == 1:
        return f"{at:.4g}"
    return f"{at:.4g} [{min(single):.4g}–{max(single):.4g}]"
