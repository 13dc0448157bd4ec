"""A sweep: many pipelines, each trained with several seeds, described by one TOML file.

    description = "Hidden size and dropout."
    pipeline = "lstm"            # the pipeline that all rows start from; default: lstm-attention
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

    [report]                     # what `sst-keras report` writes, and where
    notes = ["What a reader of the results should know."]
    curves = ["wide"]            # the rows whose learning curves are drawn
    out = "results/own.md"
    html = "results/own.html"

    [published]                  # what a published source reports about these rows
    source = "Title of the paper"
    short = "the paper"
    readings = { rows = ["wide"], variants = ["frozen"] }
    findings = [{ claim = "Wide is better.", setting = "model.units", better = 256, worse = 128 }]

A sweep needs `[rows]`, `[grid]` or both. A grid without rows is a row per combination.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_keras import config, locations
from sst_keras.errors import UsageError
from sst_keras.experiments.records import RunKey
from sst_keras.settings import Pipeline

# The keys of a sweep's file and of its tables, with the type of each value.
_SWEEP = {
    "description": str, "pipeline": str, "seeds": int, "base": dict, "rows": dict, "grid": dict,
    "variants": dict, "report": dict, "published": dict,
}  # fmt: skip
_REPORT = {"notes": list, "curves": list, "out": str, "html": str}
_PUBLISHED = {"source": str, "short": str, "findings": list, "readings": dict}
_READINGS = {"rows": list, "variants": list}
_FINDING = {"claim": str, "setting": str, "better": object, "worse": object}
_TYPES = {str: "text", int: "a whole number", list: "a list", dict: "a table"}
_MOST_POINTS = 10_000  # of a grid
_MOST_BYTES = 150  # of a row's and a variant's name, which become the names of files


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
        return "/".join(filter(None, (self.sweep, self.row, self.variant)))

    def key(self, seed: int) -> RunKey:
        """Returns the key of the run with one seed."""
        return RunKey(self.sweep, self.row, self.variant, seed)

    def changed(self, vectors: Sequence[str] = (), overrides: Iterable[str] = ()) -> Experiment:
        """Returns the experiment with other settings.

        Args:
            vectors: Word vectors; a pipeline that learns its vectors from scratch keeps doing so.
            overrides: Settings as `section.key=value`.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        pipeline = self.pipeline
        if vectors and pipeline.embedding.vectors != ("none",):
            settings = {"embedding.vectors": list(vectors)}
            pipeline = config.with_settings(pipeline, settings, source="vectors")
        for override in overrides:
            pipeline = config.with_override(pipeline, override)
        return replace(self, pipeline=pipeline)


@dataclass(frozen=True)
class Finding:
    """A published claim: of two values of a setting, all else equal, one is better.

    Attributes:
        claim: The claim in words.
        setting: The setting, `section.key`.
        better: The value that is claimed to be better.
        worse: The other value.
    """

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
        reading_variants: The variants that are such readings; every one has all `reading_rows`.
    """

    source: str
    short: str
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
        notes: What a reader of the results should know.
        curves: The rows whose learning curves the report draws.
        out: The report's Markdown file.
        html: The report's HTML page.
        published: What a published source reports about the rows; None if there is none.
    """

    name: str
    description: str
    experiments: tuple[Experiment, ...]
    questions: Mapping[str, str]
    notes: tuple[str, ...]
    curves: tuple[str, ...]
    out: str
    html: str
    published: Published | None = None

    def experiment(self, row: str, variant: str | None = None) -> Experiment:
        """Returns a row, or a variant of it.

        Raises:
            UsageError: If there is none with that name.
        """
        found = {(item.row, item.variant): item for item in self.experiments}
        if (row, variant) in found:
            return found[row, variant]
        wanted, known = row, {item.row for item in self.experiments}
        if variant is not None and row in known:
            wanted = f"{row}/{variant}"
            known = {f"{item.row}/{item.variant}" for item in self.experiments if item.variant}
        raise _unknown(self.name, "row" if wanted == row else "variant", wanted, sorted(known))

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
            chosen = _matching(chosen, field, patterns)
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
            raise UsageError(
                f"There is no sweep {str(name_or_path)!r}{config.suggest(name_or_path, names)}. "
                f"Expected one of {', '.join(names)}, or the path of a .toml file."
            )
        path = locations.bundled("pipelines") / "sweeps" / f"{name_or_path}.toml"
    tables = config.read_toml(path)
    if not _is_sweep(tables):
        raise UsageError(
            f"{path}: expected a sweep, with [rows] or [grid]. `sst-keras train {path}` trains a "
            f"single pipeline."
        )
    tables = _checked(tables, _SWEEP, str(path))
    rows = _rows(tables, path)
    variants = _variants(tables, rows, path)
    report = _checked(tables.get("report", {}), _REPORT, f"{path}: report")
    for row in report.get("curves", ()):
        _require(row, [item.row for item in rows], "row", f"{path}: report.curves")
    return Sweep(
        name=path.stem,
        description=tables.get("description", ""),
        experiments=(*rows, *variants),
        questions={
            name: str(table.get("question", ""))
            for name, table in tables.get("variants", {}).items()
        },
        notes=tuple(map(str, report.get("notes", ()))),
        curves=tuple(report.get("curves", ())),
        out=report.get("out", f"results/{path.stem}.md"),
        html=report.get("html", f"results/{path.stem}.html"),
        published=_published(tables["published"], rows, variants, f"{path}: published")
        if "published" in tables
        else None,
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
    file, ending, place = f"{name_or_path}/".partition(".toml/")
    if not ending:
        file, _, place = f"{name_or_path}/".partition("/")
    file, place = f"{file}{ending.rstrip('/')}", place.removesuffix("/")
    if not (_is_sweep(config.read_toml(Path(file))) if ending else file in sweep_names()):
        return config.load_pipeline(name_or_path, overrides)
    sweep = load_sweep(file)
    if not place:
        raise UsageError(
            f"{file} is a sweep of several pipelines. `sst-keras reproduce {file}` runs them; "
            f"`sst-keras train {file}/{sweep.experiments[0].row}` trains one of them."
        )
    row, _, variant = place.partition("/")
    return sweep.experiment(row, variant or None).changed(overrides=overrides).pipeline


# === Reading a sweep's file ===


def _is_sweep(tables: Mapping[str, Any]) -> bool:
    """Returns whether the tables of a TOML file are a sweep's and not a pipeline's."""
    return "rows" in tables or "grid" in tables


def _rows(tables: Mapping[str, Any], path: Path) -> list[Experiment]:
    """Returns the experiments of `[rows]`, each at every point of `[grid]`."""
    default = tables.get("pipeline", "lstm-attention")
    seeds = _count(tables, "seeds", 1, str(path))
    points = _points(tables.get("grid", {}), f"{path}: grid")
    rows = []
    for row, table in (tables.get("rows") or {"": {}}).items():
        place = f"{path}: rows.{row}"
        table = dict(_checked(table, None, place))
        published = table.pop("published", None)
        # Written so that nan, which compares false with everything, is refused.
        if published is not None and not (
            type(published) in (int, float) and 0 <= published <= 100
        ):
            raise UsageError(
                f"{place}.published: expected an accuracy in percent. Received: {published!r}"
            )
        pipeline = config.load_pipeline(_beside(path, str(table.pop("pipeline", default))))
        pipeline = config.with_tables(pipeline, tables.get("base", {}), f"{path}: base")
        pipeline = config.with_tables(pipeline, table, place)
        for labels, settings in points:
            name = ",".join(filter(None, (row, *labels)))
            changed = config.with_settings(pipeline, settings, f"{path}: grid")
            rows.append(_experiment(path, name, None, seeds, changed, published))
    _refuse_equal(rows, path)
    return rows


def _variants(
    tables: Mapping[str, Any], rows: Sequence[Experiment], path: Path
) -> list[Experiment]:
    """Returns the experiments of `[variants]`."""
    by_name = {row.row: row for row in rows}
    variants = []
    for variant, table in tables.get("variants", {}).items():
        place = f"{path}: variants.{variant}"
        table = dict(_checked(table, None, place))
        table.pop("question", None)
        seeds = _count(table, "seeds", rows[0].seeds, place)
        checks = _count(table, "dev_checks", 1, place)
        names = table.pop("rows", list(by_name))
        if not isinstance(names, list):
            raise UsageError(f"{place}: expected a list of rows. Received: {names!r}")
        changes = {key: value for key, value in table.items() if key not in ("seeds", "dev_checks")}
        for name in names:
            _require(name, by_name, "row", place)
            row = by_name[name]
            pipeline = config.with_tables(row.pipeline, changes, place)
            item = _experiment(path, name, variant, seeds, pipeline, row.published)
            variants.append(replace(item, dev_checks=checks))
    _refuse_equal(variants, path)
    return variants


def _experiment(
    path: Path,
    row: str,
    variant: str | None,
    seeds: int,
    pipeline: Pipeline,
    published: float | None,
) -> Experiment:
    """Returns an experiment whose pipeline has its name, which must be fit for file names."""
    for name in (row,) if variant is None else (row, variant):
        if not name or name.startswith(".") or "/" in name or not name.isprintable():
            raise UsageError(
                f"{path}: expected rows and variants with names that are printable, without '/' "
                f"and without '.' at the start. Received: {name!r}"
            )
    if len(f"{row}{variant or ''}".encode()) > _MOST_BYTES:
        raise UsageError(
            f"{path}: expected names of a row and its variant of at most {_MOST_BYTES} bytes "
            f"together. Received: {row!r}{f' and {variant!r}' if variant else ''}"
        )
    item = Experiment(path.stem, row, variant, seeds, pipeline, published)
    return replace(item, pipeline=replace(pipeline, name=item.name))


def _points(grid: Mapping[str, Any], place: str) -> list[tuple[list[str], dict[str, Any]]]:
    """Returns every combination of a grid's values: its labels, and its settings."""
    axes = {}
    for section, table in grid.items():
        for key, values in _checked(table, None, f"{place}.{section}").items():
            setting = f"{section}.{key}"
            if not isinstance(values, list) or not values:
                raise UsageError(
                    f"{place}: expected a list of values of {setting}. Received: {values!r}"
                )
            axes[setting] = values
    if (number := math.prod(map(len, axes.values()))) > _MOST_POINTS:
        raise UsageError(
            f"{place}: expected at most {_MOST_POINTS:,} combinations. Received {number:,}."
        )
    for setting, values in axes.items():
        if len({_value(setting, value, place) for value in values}) < len(values):
            raise UsageError(
                f"{place}: expected each value of {setting} once. Received: {values!r}"
            )
    # Dropout, for example, is a setting of two sections.
    keys = Counter(setting.partition(".")[2] for setting in axes)
    short = {name: name if keys[key := name.partition(".")[2]] > 1 else key for name in axes}
    return [
        ([f"{short[name]}={_label(value)}" for name, value in zip(axes, point, strict=True)],
         dict(zip(axes, point, strict=True)))
        for point in itertools.product(*axes.values())
    ]  # fmt: skip


def _label(value: Any) -> str:
    """Returns a value as a row's name has it."""
    if isinstance(value, list):
        return "+".join(map(_label, value))
    return Path(value).name if isinstance(value, str) else str(value).lower()


def _published(
    table: Any, rows: Sequence[Experiment], variants: Sequence[Experiment], place: str
) -> Published:
    """Returns what `[published]` states."""
    table = _checked(table, _PUBLISHED, place)
    if "source" not in table:
        raise UsageError(f"{place}: expected `source`, the title of what was published.")
    readings = _checked(table.get("readings", {}), _READINGS, f"{place}.readings")
    names, known = [item.row for item in rows], [f"{v.variant}/{v.row}" for v in variants]
    for row in readings.get("rows", ()):
        _require(row, names, "row", f"{place}.readings")
        for variant in readings.get("variants", ()):
            _require(f"{variant}/{row}", known, "variant", f"{place}.readings")
    findings = []
    for entry in table.get("findings", ()):
        entry = _checked(entry, _FINDING, f"{place}.findings")
        if missing := [name for name in _FINDING if name not in entry]:
            raise UsageError(
                f"{place}.findings: expected {', '.join(_FINDING)}. Missing: {', '.join(missing)}"
            )
        setting = entry["setting"]
        better, worse = (
            _value(setting, entry[name], f"{place}.findings") for name in ("better", "worse")
        )
        findings.append(Finding(entry["claim"], setting, better, worse))
    return Published(
        source=table["source"],
        short=table.get("short", "published"),
        findings=tuple(findings),
        reading_rows=tuple(readings.get("rows", ())),
        reading_variants=tuple(readings.get("variants", ())),
    )


def _beside(path: Path, pipeline: str) -> str | Path:
    """Returns a pipeline's name, or its path relative to the sweep's file, as `extends` reads it."""
    return path.parent / pipeline if pipeline.endswith(".toml") else pipeline


def _value(setting: str, value: Any, place: str) -> Any:
    """Returns a value with the type of its setting, which must exist."""
    return config.with_settings(Pipeline(), {setting: value}, place).settings()[setting]


def _count(table: Mapping[str, Any], key: str, default: int, place: str) -> int:
    """Returns a number of at least 1 from a table."""
    value = table.get(key, default)
    if type(value) is not int or value < 1:
        raise UsageError(f"{place}: {key}: expected a number of at least 1. Received: {value!r}")
    return value


def _checked(table: Any, types: Mapping[str, type] | None, place: str) -> Mapping[str, Any]:
    """Returns a table after a check of its keys and of their types; None allows any key."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{place}: expected a table. Received: {table!r}")
    for key, value in table.items() if types is not None else ():
        if key not in types:
            raise _unknown(place, "key", key, types)
        if not isinstance(value, types[key]):
            raise UsageError(f"{place}: {key}: expected {_TYPES[types[key]]}. Received: {value!r}")
    return table


def _require(name: Any, known: Iterable[str], what: str, place: str) -> None:
    """Refuses a name that is not known."""
    if name not in known:
        raise _unknown(place, what, name, known)


def _unknown(place: str, what: str, name: Any, known: Iterable[str]) -> UsageError:
    """Returns the error about a name that is not known."""
    return UsageError(
        f"{place}: there is no {what} {name!r}{config.suggest(name, known)}. "
        f"Expected one of {', '.join(known) or 'none'}."
    )


def _refuse_equal(experiments: Iterable[Experiment], path: Path) -> None:
    """Refuses two experiments with the same name, because their records would be the same file."""
    for name, number in Counter(item.name for item in experiments).items():
        if number > 1:
            raise UsageError(f"{path}: expected each row once. Received {name!r} {number} times.")


def _matching(
    experiments: list[Experiment], field: str, patterns: Sequence[str]
) -> list[Experiment]:
    """Returns the experiments whose `field` matches one of the patterns; all if there are none."""
    names = dict.fromkeys(getattr(item, field) for item in experiments)
    matched = set()
    for pattern in patterns:
        matches = {name for name in names if fnmatch.fnmatchcase(name, pattern)}
        if not matches:
            raise UsageError(
                f"nothing matches {pattern!r}. Expected one of {', '.join(names) or 'none'}.",
                setting=f"{field}s",
            )
        matched |= matches
    return [item for item in experiments if not patterns or getattr(item, field) in matched]
