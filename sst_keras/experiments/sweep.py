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

    [variants.frozen]            # rows with further changes, to answer a question
    question = "Should word vectors train?"
    rows = ["wide"]              # default: all rows
    seeds = 2
    dev_checks = 4               # dev is scored four times per epoch; default: once
    embedding.trainable = false

A sweep needs `[rows]`, `[grid]` or both. A grid without rows is one row per combination. A search
has neither, but ranges:

    [search]
    model.units = { low = 64, high = 512, log = true }
    training.learning_rate = { low = 1e-4, high = 1e-2, log = true }
    model.pooling = ["attention", "mean"]

`searching` makes it. Its only row, `best`, has the settings that it starts from. `Sweep` describes
the tables `[report]` and `[published]`; `pipelines/sweeps/paper.toml` has both.
"""

import fnmatch
import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from sst_keras import config, locations
from sst_keras.errors import UsageError
from sst_keras.experiments.records import RunKey
from sst_keras.settings import Pipeline

# The tables of a sweep's file: a key → the type of its value; "*" for any other key. An int is
# from 1 to `_MOST_RUNS`, and a float is an accuracy in percent.
_FINDING = {"claim": str, "setting": str, "better": object, "worse": object}
_VARIANT = {"question": str, "rows": [str], "seeds": int, "dev_checks": int}
_READINGS = {"rows": [str], "variants": [str]}
_TABLES = {
    "description": str, "pipeline": str, "seeds": int, "base": dict,
    "rows": {"*": {"published": float, "pipeline": str, "*": object}},
    "grid": {"*": {"*": list}},
    "search": {"*": {"*": object}},
    "variants": {"*": {**_VARIANT, "*": object}},
    "report": {"notes": [str], "curves": [str], "out": str, "html": str},
    "published": {"source": str, "short": str, "findings": [_FINDING], "readings": _READINGS},
}  # fmt: skip
_REQUIRED = ("source", *_FINDING)
_NAMES = {str: "text", list: "a list", dict: "a table"}
_MOST_RUNS = 10_000  # of a sweep, which are planned in memory
_NAMES |= {int: f"a number from 1 to {_MOST_RUNS:,}", float: "an accuracy in percent"}
# Settings that change what a score on dev means, or what a trial is: not for a search.
_NOT_SEARCHED = {
    "data.dataset", "data.text_column", "data.label_column", "data.group_column", "data.labels",
    "data.split_seed", "training.checks_per_epoch", "training.monitor", "training.seed",
}  # fmt: skip
_MOST_BYTES = 150  # of the names of a row and a variant together, which become names of files


@dataclass(frozen=True)
class Experiment:
    """One pipeline of a sweep, trained with several seeds.

    Attributes:
        variant: The variant's name; None for the row itself.
        seeds: Number of seeds, from 1.
        pipeline: The pipeline, which has the experiment's name.
        published: The published test accuracy of the row in percent; None if there is none.
        dev_checks: How many times per epoch dev is scored. This does not change the training.
        own_vectors: Whether the variant is about other word vectors than the row's.
    """

    sweep: str
    row: str
    variant: str | None
    seeds: int
    pipeline: Pipeline
    published: float | None = None
    dev_checks: int = 1
    own_vectors: bool = False

    @property
    def name(self) -> str:
        """The name that `find_pipeline` takes, such as `paper/V2.3/frozen`."""
        return f"{self.sweep}/{self.short_name}"

    @property
    def short_name(self) -> str:
        """The name within the sweep, such as `V2.3/frozen`."""
        return "/".join(filter(None, (self.row, self.variant)))

    def key(self, seed: int) -> RunKey:
        """Returns the key of the run with one seed."""
        return RunKey(self.sweep, self.row, self.variant, seed)

    def changed(self, vectors: Sequence[str] = (), overrides: Iterable[str] = ()) -> Self:
        """Returns the experiment with `overrides`, and with `vectors` in place of pretrained ones.

        Variants that are about their word vectors keep them.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        pipeline = self.pipeline
        if vectors and pipeline.embedding.vectors != ("none",) and not self.own_vectors:
            pipeline = config.with_settings(pipeline, {"embedding.vectors": vectors}, "vectors")
        return replace(self, pipeline=functools.reduce(config.with_override, overrides, pipeline))


@dataclass(frozen=True)
class Range:
    """The values of a setting that are tried: choices, or all from `low` to `high`.

    Attributes:
        log: Whether the logarithm of the value is drawn evenly.
    """

    low: float | int = 0
    high: float | int = 0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def labels(self) -> dict[str, Any]:
        """The name of each choice → its value."""
        return {_label(value): value for value in self.choices}


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
        short: The source's name in columns of tables.
        reading_rows: The rows over which different readings of the source are compared.
        reading_variants: The variants that are readings. Each has all `reading_rows`.
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
        out: The report's Markdown file; `html` is its HTML page.
        notes: What a reader of the results should know.
        curves: The rows whose learning curves the report draws.
        published: What a published source reports about the rows, if there is one.
        ranges: Setting → its range, of a search.
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
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Returns settings that a search has drawn, with the values that the choices name."""
        return {
            name: self.ranges[name].labels[value] if self.ranges[name].choices else value
            for name, value in drawn.items()
        }

    def experiment(self, name: str) -> Experiment:
        """Returns the experiment of a row, or of a row and a variant: `V2.3`, `V2.3/frozen`.

        Raises:
            UsageError: If there is none with that name.
        """
        same_kind = [item for item in self.experiments if bool(item.variant) == ("/" in name)]
        known = {item.name: item for item in same_kind}
        if (full := f"{self.name}/{name}") not in known:
            raise config.unknown("there is no experiment", full, known)
        return known[full]

    def select(
        self, rows: Sequence[str] = (), variants: Sequence[str] = (), seeds: int | None = None
    ) -> list[tuple[Experiment, int]]:
        """Returns experiments with their seeds: first all with seed 1, then all with seed 2.

        Args:
            rows: Patterns of row names, such as `V2.*`; empty for all rows.
            variants: Patterns of variant names. They select variants instead of the rows.
            seeds: Number of seeds, in place of the file's.

        Raises:
            UsageError: If a pattern matches nothing.
        """
        chosen = [item for item in self.experiments if bool(item.variant) == bool(variants)]
        for part, patterns in (("row", rows), ("variant", variants)):
            names = dict.fromkeys(getattr(item, part) for item in chosen)
            for pattern in patterns:
                if not fnmatch.filter(names, pattern):
                    raise config.unknown("nothing matches", pattern, names, setting=f"{part}s")
            matched = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
            chosen = [item for item in chosen if not patterns or getattr(item, part) in matched]
        jobs = [(item, seed + 1) for item in chosen for seed in range(seeds or item.seeds)]
        return sorted(jobs, key=lambda job: job[1])


def sweep_names() -> list[str]:
    """Returns the names of the sweeps that ship with the package, sorted."""
    return sorted(path.stem for path in (locations.bundled("pipelines") / "sweeps").glob("*.toml"))


def load_sweep(name_or_path: str | Path) -> Sweep:
    """Reads a sweep that ships with the package, by its name, or a TOML file.

    Raises:
        UsageError: If there is no such sweep, or its file is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(path) not in (names := sweep_names()):
            expected = [*names, "the path of a .toml file"]
            raise config.unknown("there is no sweep", str(path), expected)
        path = locations.bundled("pipelines") / "sweeps" / f"{path}.toml"
    tables = config.read_toml(path)
    if not _is_sweep(tables):
        raise UsageError(
            f"{path}: expected a sweep, with [rows], [grid] or [search]. `sst-keras train {path}` "
            f"trains a single pipeline."
        )
    _check(tables, _TABLES, f"{path}")
    if "search" in tables and not tables.keys().isdisjoint(("rows", "grid", "variants")):
        raise UsageError(f"{path}: expected [search] alone. Received also rows, grid or variants.")
    experiments = _experiments(tables, path)
    report, variants = tables.get("report", {}), tables.get("variants", {})
    rows = [item.row for item in experiments.values()]
    _require(report.get("curves", ()), rows, f"{path}: report.curves")
    published = None
    if "published" in tables:
        published = _published(tables["published"], experiments, f"{path}: published")
    return Sweep(
        name=path.stem,
        description=tables.get("description", ""),
        experiments=tuple(experiments.values()),
        questions={name: table.get("question", "") for name, table in variants.items()},
        out=_report_file(report, "out", ".md", path),
        html=_report_file(report, "html", ".html", path),
        notes=tuple(report.get("notes", ())),
        curves=tuple(report.get("curves", ())),
        published=published,
        ranges=_ranges(tables, experiments),
    )


def find_pipeline(name_or_path: str, overrides: Iterable[str] = ()) -> Pipeline:
    """Returns a pipeline as `config.load_pipeline` does, or the pipeline of an experiment.

    An experiment is a sweep's name or file with a row and, optionally, a variant: `paper/V2.3`,
    `paper/V2.3/frozen`. A name that a pipeline and a sweep share is the pipeline's.

    Raises:
        UsageError: If there is no such pipeline, or a setting is unknown or out of range.
    """
    file, place = re.match(r"(.+?\.toml(?=/|$)|[^/]*)/?(.*)", name_or_path).groups()
    if file.endswith(".toml"):
        is_sweep = _is_sweep(config.read_toml(Path(file)))
    else:
        is_sweep = file in sweep_names() and name_or_path not in config.pipeline_names()
    if not is_sweep:
        return config.load_pipeline(name_or_path, overrides)
    sweep = load_sweep(file)
    if sweep.ranges:
        raise UsageError(
            f"{file} is a search. `sst-keras search {file}` writes the pipeline with the settings "
            f"that do best on dev, best.toml."
        )
    if not place:
        raise UsageError(
            f"{file} is a sweep of several pipelines. `sst-keras reproduce {file}` runs them; "
            f"`sst-keras train {file}/{sweep.experiments[0].row}` trains one of them."
        )
    return sweep.experiment(place.rstrip("/")).changed(overrides=overrides).pipeline


def _is_sweep(tables: Mapping[str, Any]) -> bool:
    return not tables.keys().isdisjoint(("rows", "grid", "search"))


def _report_file(report: Mapping[str, str], key: str, ending: str, path: Path) -> str:
    """Returns the name of a report's file, which a sweep of others must not choose freely."""
    if key not in report:
        return f"results/{path.stem}{ending}"
    name = report[key]
    is_below = not Path(name).anchor and ".." not in Path(name).parts
    if not is_below or not name.isprintable() or Path(name).suffix != ending:
        raise UsageError(
            f"{path}: report.{key}: expected a file below the working directory that ends in "
            f"{ending}. Received: {name!r}. `sst-keras report --{key} FILE` writes anywhere."
        )
    return name


def _experiments(tables: Mapping[str, Any], path: Path) -> dict[str, Experiment]:
    """Returns each row at each point of the grid, then the variants, by name without the sweep."""
    points = _points(tables.get("grid", {}), f"{path}: grid")
    found: dict[str, Experiment] = {}
    nameless = "best" if "search" in tables else ""
    described = tables.get("rows") or {nameless: {}}
    number = len(described) * len(points)
    runs = number * tables.get("seeds", 1)
    for table in tables.get("variants", {}).values():
        rows_of_variant = len(table["rows"]) if "rows" in table else number
        runs += rows_of_variant * table.get("seeds", tables.get("seeds", 1))
    if runs > _MOST_RUNS:
        raise UsageError(
            f"{path}: expected at most {_MOST_RUNS:,} runs: rows times combinations times seeds, "
            f"and those of the variants. Received: {runs:,}. Share them out to several sweeps."
        )
    for row, table in described.items():
        start = table.get("pipeline", tables.get("pipeline", "lstm-attention"))
        if start.endswith(".toml"):  # relative to the sweep's file, as in `extends`
            start = path.parent / start
        changes = {key: table[key] for key in table if key not in ("published", "pipeline")}
        pipeline = config.load_pipeline(start)
        pipeline = config.with_tables(pipeline, tables.get("base", {}), f"{path}: base")
        pipeline = config.with_tables(pipeline, changes, f"{path}: rows.{row}")
        seeds, published = tables.get("seeds", 1), table.get("published")
        for label, settings in points:
            name = ",".join(filter(None, (row, label)))
            changed = config.with_settings(pipeline, settings, f"{path}: grid")
            item = Experiment(path.stem, name, None, seeds, changed, published)
            _add(found, item, f"{path}: rows")
    rows = dict(found)
    for variant, table in tables.get("variants", {}).items():
        place = f"{path}: variants.{variant}"
        changes = {key: table[key] for key in table if key not in _VARIANT}
        names = table.get("rows", list(rows))
        _require(names, rows, place)
        for row in map(rows.__getitem__, names):
            pipeline = config.with_tables(row.pipeline, changes, place)
            seeds, checks = table.get("seeds", row.seeds), table.get("dev_checks", 1)
            item = replace(row, variant=variant, seeds=seeds, pipeline=pipeline, dev_checks=checks)
            item = replace(item, own_vectors="vectors" in changes.get("embedding", {}))
            _add(found, item, f"{path}: variants")
    return found


def _add(found: dict[str, Experiment], item: Experiment, place: str) -> None:
    """Adds an experiment whose names are new and can be names of files."""
    full = item.name.removeprefix(f"{item.sweep}/")
    name = item.row if item.variant is None else item.variant
    long = len(full.encode()) > _MOST_BYTES
    if long or not name.isprintable() or "/" in name or name[:1] in ("", "."):
        raise UsageError(
            f"{place}: expected names without '/' and control characters, without '.' at the "
            f"start, and of at most {_MOST_BYTES} bytes for a row and a variant together. "
            f"Received: {name!r}"
        )
    if full in found:
        raise UsageError(f"{place}: expected {full!r} once. Received it several times.")
    found[full] = replace(item, pipeline=replace(item.pipeline, name=item.name))


def _points(grid: Mapping[str, Any], place: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns every combination of a grid's values: its label, such as `units=64`, and settings."""
    axes = {f"{section}.{key}": grid[section][key] for section in grid for key in grid[section]}
    number = math.prod(map(len, axes.values()))
    if not 1 <= number <= _MOST_RUNS:
        raise UsageError(
            f"{place}: expected 1 to {_MOST_RUNS:,} combinations. Received: {number:,}"
        )
    # Dropout, for example, is a setting of two sections.
    number = Counter(key for table in grid.values() for key in table)
    short = {name: name if number[key := name.partition(".")[2]] > 1 else key for name in axes}
    points = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    return [
        (",".join(f"{short[name]}={_label(value)}" for name, value in point.items()), point)
        for point in points
    ]


def _ranges(tables: Mapping[str, Any], experiments: Mapping[str, Experiment]) -> dict[str, Range]:
    """Returns the ranges of a search, whose values fit its settings."""
    found: dict[str, Range] = {}
    for section, keys in tables.get("search", {}).items():
        for key, given in keys.items():
            name = f"{section}.{key}"
            place = f"search.{name}"
            (base,) = experiments.values()
            if name in _NOT_SEARCHED:
                raise UsageError(f"{place}: scores on dev would not be comparable.")

            def value(of: Any, name: str = name, base: Experiment = base) -> Any:
                changed = config.with_settings(base.pipeline, {name: of}, f"search.{name}")
                return changed.settings()[name]

            if isinstance(given, list):
                choices = tuple(map(value, given))
                if len(set(map(_label, choices))) < max(2, len(choices)):
                    raise UsageError(f"{place}: expected different values. Received: {given}")
                found[name] = Range(choices=choices)
                continue
            if not isinstance(given, dict) or not given.keys() >= {"low", "high"}:
                raise UsageError(
                    f"{place}: expected {{ low = ..., high = ... }} or a list. Received: {given!r}"
                )
            if unknown := given.keys() - {"low", "high", "log"}:
                raise config.unknown(
                    f"{place}: there is no key", min(unknown), ["low", "high", "log"]
                )
            low, high, log = value(given["low"]), value(given["high"]), given.get("log", False)
            is_number = type(low) in (int, float)
            if not is_number or not low < high or not isinstance(log, bool) or (log and low <= 0):
                raise UsageError(
                    f"{place}: expected numbers, low below high, above 0 with log = true. "
                    f"Received: {given!r}"
                )
            found[name] = Range(low, high, log)
    return found


def _label(value: Any) -> str:
    """Returns a value as a row's name has it."""
    if isinstance(value, list | tuple):
        return "+".join(map(_label, value))
    return Path(value).name if isinstance(value, str) else str(value).lower()


def _published(table: Mapping[str, Any], experiments: Collection[str], place: str) -> Published:
    readings = table.get("readings", {})
    rows, variants = (tuple(readings.get(name, ())) for name in ("rows", "variants"))
    pairs = [f"{row}/{variant}" for row in rows for variant in variants]
    _require([*rows, *pairs], experiments, f"{place}.readings")
    findings = []
    for entry in table.get("findings", ()):
        setting = entry["setting"]
        for name in ("better", "worse"):  # with the type that the setting has
            changed = {setting: entry[name]}
            settings = config.with_settings(Pipeline(), changed, f"{place}.findings").settings()
            entry = entry | {name: settings[setting]}
        findings.append(Finding(**entry))
    short = table.get("short", "published")
    return Published(table["source"], short, tuple(findings), rows, variants)


def _check(value: Any, kind: Any, place: str) -> None:
    """Refuses a value that is not of its kind in `_TABLES`."""
    expected = kind if isinstance(kind, type) else type(kind)
    fits = isinstance(value, expected)
    if expected is int:
        fits = type(value) is int and 1 <= value <= _MOST_RUNS
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
                raise config.unknown(f"{place}: there is no key", key, kind)
            _check(value[key], kind.get(key, kind.get("*")), f"{place}: {key}")
        for key in (key for key in _REQUIRED if key in kind and key not in value):
            raise UsageError(f"{place}: expected {key!r}. Received: {', '.join(value)}")


def _require(names: Iterable[str], known: Collection[str], place: str) -> None:
    for name in names:
        if name not in known:
            raise config.unknown(f"{place}: there is no row", name, known)
