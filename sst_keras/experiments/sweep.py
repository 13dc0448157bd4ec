"""A sweep: many pipelines, each trained with several seeds, described by one TOML file.

    description = "Hidden size and dropout."
    pipeline = "lstm"            # what all rows start from; default: lstm-attention
    seeds = 3                    # each experiment is trained with seeds 1 to 3

    [base]                       # settings of all rows
    training.epochs = 10

    [rows]                       # one experiment per row, with the settings that it changes
    wide = { model.units = 256, published = 44.9 }
    cnn = { pipeline = "cnn" }   # starts from another pipeline; [base] applies to it too

    [grid]                       # every row is trained with every combination of these values
    model.dropout = [0.2, 0.5]

    [variants.frozen]            # some rows again with further changes, to answer a question
    question = "Should word vectors train?"
    rows = ["wide"]              # default: all rows
    seeds = 2
    dev_checks = 4               # dev is scored four times per epoch; default: once
    embedding.trainable = false

    [report]                     # what `sst-keras report` writes, and where (out, html)
    notes = ["What a reader of the results should know."]
    curves = ["wide"]            # the rows whose learning curves are drawn
    out = "results/own.md"

    [published]                  # what a published source reports about these rows
    source = "Title of the paper"
    short = "the paper"          # in the columns of tables
    readings = { rows = ["wide"], variants = ["frozen"] }
    findings = [{ claim = "Wide is better.", setting = "model.units", better = 256, worse = 128 }]

A sweep needs `[rows]`, `[grid]` or both. A grid without rows is a row per combination.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_keras import config, locations
from sst_keras.errors import UsageError
from sst_keras.experiments.records import RunKey
from sst_keras.settings import Pipeline

# The tables of a sweep's file: a key → the type of its value; "*" for any other key. A whole number
# is at least 1, and a float is an accuracy in percent.
_FINDING = {"claim": str, "setting": str, "better": object, "worse": object}
_VARIANT = {"question": str, "rows": [str], "seeds": int, "dev_checks": int}
_TABLES = {
    "description": str, "pipeline": str, "seeds": int, "base": dict,
    "rows": {"*": {"published": float, "pipeline": str, "*": object}},
    "grid": {"*": {"*": list}},
    "variants": {"*": {**_VARIANT, "*": object}},
    "report": {"notes": [str], "curves": [str], "out": str, "html": str},
    "published": {
        "source": str, "short": str, "findings": [_FINDING],
        "readings": {"rows": [str], "variants": [str]},
    },
}  # fmt: skip
_REQUIRED = ("source", *_FINDING)
_NAMES = {
    str: "text", int: "a number of at least 1", float: "an accuracy in percent", list: "a list",
    dict: "a table",
}  # fmt: skip
_MOST_POINTS = 10_000  # of a grid
_MOST_BYTES = 150  # of a row's and a variant's name together, which become the names of files


@dataclass(frozen=True)
class Experiment:
    """One pipeline of a sweep, trained with several seeds.

    Attributes:
        sweep: The sweep's name.
        row: The row's name.
        variant: The variant's name; None for the row itself.
        seeds: Number of seeds, from 1.
        pipeline: The pipeline. Its name is the experiment's.
        published: The published test accuracy of the row in percent; None if there is none.
        dev_checks: How many times per epoch dev is scored. This does not change the training.
    """

    sweep: str
    row: str
    variant: str | None
    seeds: int
    pipeline: Pipeline
    published: float | None = None
    dev_checks: int = 1

    @property
    def name(self) -> str:
        """The name that `find_pipeline` takes, such as `paper/V2.3/frozen`."""
        return f"{self.sweep}/{self.short_name}"

    @property
    def short_name(self) -> str:
        """The name without the sweep's: `V2.3/frozen`."""
        return f"{self.row}/{self.variant}" if self.variant else self.row

    def key(self, seed: int) -> RunKey:
        """Returns the key of the run with one seed."""
        return RunKey(self.sweep, self.row, self.variant, seed)

    def changed(self, vectors: Sequence[str] = (), overrides: Iterable[str] = ()) -> Experiment:
        """Returns the experiment with other settings.

        Args:
            vectors: Other word vectors. Vectors that are learned from scratch stay so.
            overrides: Settings as `section.key=value`.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        pipeline = self.pipeline
        if vectors and pipeline.embedding.vectors != ("none",):
            pipeline = config.with_settings(pipeline, {"embedding.vectors": vectors}, "vectors")
        for override in overrides:
            pipeline = config.with_override(pipeline, override)
        return replace(self, pipeline=pipeline)


@dataclass(frozen=True)
class Finding:
    """A published claim: all else equal, one value of a setting (`section.key`) beats another."""

    claim: str
    setting: str
    better: Any
    worse: Any


@dataclass(frozen=True)
class Published:
    """What a published source reports about a sweep's rows.

    Attributes:
        source: The source's title.
        short: What columns call it.
        findings: Its claims.
        reading_rows: The rows over which different readings of the source are compared.
        reading_variants: The variants that are such readings; each has all `reading_rows`.
    """

    source: str
    short: str = "published"
    findings: tuple[Finding, ...] = ()
    reading_rows: tuple[str, ...] = ()
    reading_variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep's file.

    Attributes:
        name: The file's name without its extension.
        description: One line for `sst-keras pipelines`.
        experiments: The rows in the file's order, then the variants.
        questions: A variant's name → the question that it answers.
        out: The report's Markdown file.
        html: The report's HTML page.
        notes: What a reader of the results should know.
        curves: The rows whose learning curves the report draws.
        published: What a published source reports about the rows; None if there is none.
    """

    name: str
    description: str
    experiments: tuple[Experiment, ...]
    questions: Mapping[str, str]
    out: str
    html: str
    notes: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    published: Published | None = None

    def experiment(self, row: str, variant: str | None = None) -> Experiment:
        """Returns a row, or a variant of it.

        Raises:
            UsageError: If there is none with that name.
        """
        name = "/".join(filter(None, (row, variant)))
        same_kind = [item for item in self.experiments if bool(item.variant) == bool(variant)]
        known = {item.short_name: item for item in same_kind}
        if name not in known:
            raise _unknown("experiment", name, known, self.name)
        return known[name]

    def select(
        self, rows: Sequence[str] = (), variants: Sequence[str] = (), seeds: int | None = None
    ) -> list[tuple[Experiment, int]]:
        """Returns experiments with their seeds: all with seed 1 first, then all with seed 2.

        Args:
            rows: Patterns of row names, such as `V2.*`; empty for all rows.
            variants: Patterns of variant names. They select variants instead of the rows.
            seeds: Number of seeds, in place of the file's.

        Raises:
            UsageError: If a pattern matches nothing.
        """
        chosen = [item for item in self.experiments if bool(item.variant) == bool(variants)]
        for field, patterns in (("row", rows), ("variant", variants)):
            names = dict.fromkeys(getattr(item, field) for item in chosen)
            matches = {pattern: fnmatch.filter(names, pattern) for pattern in patterns}
            for pattern in (pattern for pattern in patterns if not matches[pattern]):
                known = ", ".join(names) or "none"
                raise UsageError(
                    f"nothing matches {pattern!r}. Expected one of {known}.", setting=f"{field}s"
                )
            matched = set().union(*matches.values()) if patterns else names
            chosen = [item for item in chosen if getattr(item, field) in matched]
        most = max((seeds or item.seeds for item in chosen), default=0)
        return [
            (item, seed)
            for seed in range(1, most + 1)
            for item in chosen
            if seed <= (seeds or item.seeds)
        ]


def sweep_names() -> list[str]:
    """Returns the names of the sweeps that ship with the package, sorted."""
    return sorted(path.stem for path in (locations.bundled("pipelines") / "sweeps").glob("*.toml"))


def load_sweep(name_or_path: str | Path) -> Sweep:
    """Reads a sweep.

    Args:
        name_or_path: The name of one that ships with the package, or the path of a TOML file.

    Raises:
        UsageError: If there is no such sweep, or its file is not valid.
    """
    path, names = Path(name_or_path), sweep_names()
    if path.suffix != ".toml":
        if str(name_or_path) not in names:
            raise _unknown("sweep", str(name_or_path), [*names, "the path of a .toml file"])
        path = locations.bundled("pipelines") / "sweeps" / f"{name_or_path}.toml"
    tables = config.read_toml(path)
    if not _is_sweep(tables):
        raise UsageError(
            f"{path}: expected a sweep, with [rows] or [grid]. `sst-keras train {path}` trains a "
            f"single pipeline."
        )
    _check(tables, _TABLES, f"{path}")
    experiments = _rows(tables, path)
    rows = list(experiments)
    _add_variants(experiments, tables, path)
    report, variants = tables.get("report", {}), tables.get("variants", {})
    _require(report.get("curves", ()), rows, f"{path}: report.curves")
    return Sweep(
        name=path.stem,
        description=tables.get("description", ""),
        experiments=tuple(experiments.values()),
        questions={name: table.get("question", "") for name, table in variants.items()},
        out=report.get("out", f"results/{path.stem}.md"),
        html=report.get("html", f"results/{path.stem}.html"),
        notes=tuple(report.get("notes", ())),
        curves=tuple(report.get("curves", ())),
        published=_published(tables, experiments, f"{path}: published"),
    )


def find_pipeline(name_or_path: str, overrides: Iterable[str] = ()) -> Pipeline:
    """Returns a pipeline as `config.load_pipeline` does, or the pipeline of an experiment.

    Args:
        name_or_path: As `config.load_pipeline` takes it; or a sweep's name or file followed by a
            row and, if wanted, a variant: `paper/V2.3`, `paper/V2.3/frozen`.
        overrides: As `config.load_pipeline` takes them.

    Raises:
        UsageError: If there is no such pipeline, or a setting is unknown or out of range.
    """
    file, place = re.match(r"(.+?\.toml(?=/|$)|[^/]*)/?(.*)", name_or_path).groups()
    is_file = file.endswith(".toml")
    if not (_is_sweep(config.read_toml(Path(file))) if is_file else file in sweep_names()):
        return config.load_pipeline(name_or_path, overrides)
    sweep = load_sweep(file)
    if not place:
        raise UsageError(
            f"{file} is a sweep of several pipelines. `sst-keras reproduce {file}` runs them; "
            f"`sst-keras train {file}/{sweep.experiments[0].row}` trains one of them."
        )
    row, _, variant = place.partition("/")
    return sweep.experiment(row, variant or None).changed(overrides=overrides).pipeline


def _is_sweep(tables: Mapping[str, Any]) -> bool:
    return "rows" in tables or "grid" in tables


def _rows(tables: Mapping[str, Any], path: Path) -> dict[str, Experiment]:
    """Returns each row of `[rows]` at each point of `[grid]`, by name."""
    points = _points(tables.get("grid", {}), f"{path}: grid")
    found: dict[str, Experiment] = {}
    for row, table in (tables.get("rows") or {"": {}}).items():
        start = table.get("pipeline", tables.get("pipeline", "lstm-attention"))
        if start.endswith(".toml"):  # relative to the sweep's file, as in `extends`
            start = path.parent / start
        changes = {key: table[key] for key in table if key not in ("published", "pipeline")}
        pipeline = config.with_tables(
            config.load_pipeline(start), tables.get("base", {}), f"{path}: base"
        )
        pipeline = config.with_tables(pipeline, changes, f"{path}: rows.{row}")
        for label, settings in points:
            name = ",".join(filter(None, (row, label)))
            changed = config.with_settings(pipeline, settings, f"{path}: grid")
            seeds, published = tables.get("seeds", 1), table.get("published")
            item = Experiment(path.stem, name, None, seeds, changed, published)
            _add(found, item, f"{path}: rows")
    return found


def _add_variants(found: dict[str, Experiment], tables: Mapping[str, Any], path: Path) -> None:
    """Adds the experiments of `[variants]` to those of the rows."""
    rows = dict(found)
    for variant, table in tables.get("variants", {}).items():
        place = f"{path}: variants.{variant}"
        changes = {key: table[key] for key in table if key not in _VARIANT}
        names = table.get("rows", list(rows))
        _require(names, rows, place)
        for row in map(rows.__getitem__, names):
            item = replace(
                row,
                variant=variant,
                seeds=table.get("seeds", row.seeds),
                pipeline=config.with_tables(row.pipeline, changes, place),
                dev_checks=table.get("dev_checks", 1),
            )
            _add(found, item, f"{path}: variants")


def _add(found: dict[str, Experiment], item: Experiment, place: str) -> None:
    """Adds an experiment whose names are new and can be names of files."""
    name = item.row if item.variant is None else item.variant
    size = len(item.short_name.encode())
    if not name.isprintable() or name[:1] in ("", ".") or "/" in name or size > _MOST_BYTES:
        raise UsageError(
            f"{place}: expected names without '/' and control characters, without '.' at the "
            f"start, and of at most {_MOST_BYTES} bytes, a row's and a variant's together. "
            f"Received: {name!r}"
        )
    if item.short_name in found:
        raise UsageError(f"{place}: expected {item.short_name!r} once. Received it several times.")
    found[item.short_name] = replace(item, pipeline=replace(item.pipeline, name=item.name))


def _points(grid: Mapping[str, Any], place: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns every combination of a grid's values: its label, such as `units=64`, and settings."""
    axes = {f"{section}.{key}": grid[section][key] for section in grid for key in grid[section]}
    number = math.prod(map(len, axes.values()))
    if not 1 <= number <= _MOST_POINTS:
        raise UsageError(
            f"{place}: expected 1 to {_MOST_POINTS:,} combinations. Received: {number:,}"
        )
    # Dropout, for example, is a setting of two sections.
    keys = Counter(setting.partition(".")[2] for setting in axes)
    short = {name: name if keys[key := name.partition(".")[2]] > 1 else key for name in axes}
    points = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    return [
        (",".join(f"{short[name]}={_label(value)}" for name, value in point.items()), point)
        for point in points
    ]


def _label(value: Any) -> str:
    """Returns a value as a row's name has it."""
    if isinstance(value, list):
        return "+".join(map(_label, value))
    return Path(value).name if isinstance(value, str) else str(value).lower()


def _published(
    tables: Mapping[str, Any], experiments: Iterable[str], place: str
) -> Published | None:
    """Returns what `[published]` states; None without such a table."""
    if "published" not in tables:
        return None
    table = tables["published"]
    readings = table.get("readings", {})
    rows, variants = (tuple(readings.get(name, ())) for name in ("rows", "variants"))
    pairs = [f"{row}/{variant}" for row in rows for variant in variants]
    _require([*rows, *pairs], experiments, f"{place}.readings")
    findings = []
    for entry in table.get("findings", ()):
        setting = entry["setting"]
        for name in ("better", "worse"):  # with the type that the setting has
            changed = {setting: entry[name]}
            checked = config.with_settings(Pipeline(), changed, f"{place}.findings").settings()
            entry = entry | {name: checked[setting]}
        findings.append(Finding(**entry))
    short = table.get("short", "published")
    return Published(table["source"], short, tuple(findings), rows, variants)


def _check(value: Any, kind: Any, place: str) -> None:
    """Refuses a value that is not of its kind in `_TABLES`."""
    expected = kind if isinstance(kind, type) else type(kind)
    fits = isinstance(value, expected)
    if expected is int:
        fits = type(value) is int and value >= 1
    if expected is float:  # written so that nan, which compares false with everything, is refused
        fits = type(value) in (int, float) and 0 <= value <= 100
    if not fits:
        raise UsageError(f"{place}: expected {_NAMES[expected]}. Received: {value!r}")
    if isinstance(kind, list):
        for entry in value:
            _check(entry, kind[0], place)
    if isinstance(kind, dict):
        for key in value:
            if key not in kind and "*" not in kind:
                raise _unknown("key", key, kind, place)
            _check(value[key], kind.get(key, kind.get("*")), f"{place}: {key}")
        for key in (key for key in _REQUIRED if key in kind and key not in value):
            raise UsageError(f"{place}: expected {key!r}. Received: {', '.join(value)}")


def _require(names: Iterable[Any], known: Iterable[str], place: str) -> None:
    """Refuses rows and variants that are not known."""
    for name in names:
        if name not in known:
            raise _unknown("row", name, known, place)


def _unknown(what: str, name: Any, known: Iterable[str], place: str = "") -> UsageError:
    """Returns the error about a name that is not known."""
    return UsageError(
        f"{place}{': there' if place else 'There'} is no {what} {name!r}"
        f"{config.suggest(name, known)}. Expected one of {', '.join(known) or 'none'}."
    )
