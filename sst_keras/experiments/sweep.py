"""A sweep: many pipelines × seeds out of one TOML file, such as the report's table.

    description = "how wide, and how much dropout"
    notes = ["What a reader of the results should know."]
    pipeline = "lstm"            # what all start from; left out: lstm-attention
    seeds = 3                    # 1 to 3

    [base]                       # what all of them change in it
    training.epochs = 10

    [rows]                       # one experiment each, with what it changes
    wide = { model.units = 256, published = 44.9 }

    [grid]                       # or every combination of these
    model.units = [64, 128]
    model.dropout = [0.2, 0.5]

    [variants.frozen]            # some rows again, changed once more, to answer a question
    question = "Should word vectors train?"
    rows = ["wide"]
    embedding.trainable = false

    [readings]                   # variants that `sst-keras report` holds to what was published
    rows = ["wide"]
    variants = ["frozen"]

With `[rows]` and `[grid]` both, each row is run at each point of the grid.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_keras import config, locations
from sst_keras.errors import UsageError
from sst_keras.settings import Pipeline

_KEYS = (
    "description",
    "notes",
    "pipeline",
    "seeds",
    "curves",
    "base",
    "rows",
    "grid",
    "variants",
    "readings",
    "findings",
)
# What each of them, but for tables of tables, is.
_KINDS = {"description": str, "pipeline": str, "notes": list, "curves": list, "findings": list}


@dataclass(frozen=True)
class Experiment:
    """One pipeline of a sweep, to be trained with several seeds.

    Attributes:
        sweep: The sweep's name.
        tag: The row's name in it.
        variant: The variant's name; None for the row itself.
        published: The test accuracy that was published for the row, in percent; None for none.
        seeds: Its seeds are 1 to this.
        pipeline: Its settings.
    """

    sweep: str
    tag: str
    variant: str | None
    published: float | None
    seeds: int
    pipeline: Pipeline

    @property
    def row(self) -> str:
        """The row's name with the sweep's before it."""
        return f"{self.sweep}/{self.tag}"


@dataclass(frozen=True)
class Finding:
    """A published claim: of two values of a setting, all else alike, one is better.

    Attributes:
        claim: In words.
        setting: `section.key`.
        better: The value that is said to be better.
        worse: The other.
    """

    claim: str
    setting: str
    better: Any
    worse: Any


@dataclass(frozen=True)
class Readings:
    """Ways to read what was published, to be held to its figures.

    Attributes:
        rows: The tags of the rows that are compared, from few epochs to many, say.
        variants: The variants' names; the rows themselves are a reading too.
    """

    rows: tuple[str, ...]
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """What a sweep's file states.

    Attributes:
        name: The file's name, without the ending.
        description: What it is, in a line.
        notes: What a reader of its results should know, a sentence or two each.
        experiments: The rows in the file's order, then the variants.
        questions: A variant's name → the question that it answers.
        curves: The tags of the rows whose curves a report draws.
        readings: Variants that are ways to read what was published, over rows that all of them
            have; None for none.
        findings: Published claims that a report holds the runs to.
    """

    name: str
    description: str
    notes: tuple[str, ...]
    experiments: tuple[Experiment, ...]
    questions: Mapping[str, str]
    curves: tuple[str, ...]
    findings: tuple[Finding, ...]
    readings: Readings | None = None

    def experiment(self, tag: str, variant: str | None = None) -> Experiment:
        """Returns a row, or a variant of it.

        Raises:
            UsageError: If there is none of that name.
        """
        for experiment in self.experiments:
            if (experiment.tag, experiment.variant) == (tag, variant):
                return experiment
        wanted, known = tag, {item.tag for item in self.experiments}
        if variant is not None and tag in known:
            wanted = f"{tag}/{variant}"
            known = {f"{item.tag}/{item.variant}" for item in self.experiments if item.variant}
        raise UsageError(
            f"{self.name}: there is no {wanted!r}{config.suggest(wanted, known)}. "
            f"Expected one of {', '.join(sorted(known)) or 'none'}."
        )

    def select(
        self, rows: Sequence[str] = (), variants: Sequence[str] = (), seeds: int | None = None
    ) -> list[tuple[Experiment, int]]:
        """Returns experiments and seeds, seed by seed, so that what is done of them is a table.

        Args:
            rows: Patterns of tags, such as `V2.*`; none: all.
            variants: Patterns of variants' names, which are taken in place of the rows themselves.
            seeds: 1 to this, in place of what the file says.

        Raises:
            UsageError: If a pattern fits nothing.
        """
        chosen = [item for item in self.experiments if bool(variants) == bool(item.variant)]
        chosen = _matching(chosen, rows, "tag", "--rows")
        chosen = _matching(chosen, variants, "variant", "--variant")
        most = max((seeds or item.seeds for item in chosen), default=0)
        return [
            (item, seed)
            for seed in range(1, most + 1)
            for item in chosen
            if seed <= (seeds or item.seeds)
        ]


def sweep_names() -> list[str]:
    """Returns the names of the sweeps that ship with the package, sorted."""
    return sorted(path.stem for path in config.bundled_files() if config.is_sweep(path))


def load_sweep(name_or_path: str | Path) -> Sweep:
    """Reads a sweep.

    Args:
        name_or_path: The name of one that ships with the package, or the path of a TOML file.

    Raises:
        UsageError: If there is no such sweep, or it states what cannot be.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = locations.bundled("pipelines") / f"{name_or_path}.toml"
        if str(name_or_path) not in sweep_names():
            raise UsageError(
                f"There is no sweep {str(name_or_path)!r}. Expected one of "
                f"{', '.join(sweep_names())}, or the path of a .toml file."
            )
    elif not path.is_file():
        raise UsageError(f"There is no sweep file {str(path)!r}. Correct the path.")
    tables = config.read_toml(path)
    _refuse_unknown(tables, _KEYS, f"{path}")
    for key, kind in _KINDS.items():
        if not isinstance(tables.get(key, kind()), kind):
            raise UsageError(
                f"{path}: {key}: expected {'a list' if kind is list else 'text'}. "
                f"Received: {tables[key]!r}"
            )
    if not config.is_sweep(path):
        raise UsageError(
            f"{path}: expected a sweep, with [rows] or [grid]. For one pipeline there is "
            f"`sst-keras train`."
        )
    base = config.load_pipeline(tables.get("pipeline", "lstm-attention"))
    base = config.with_tables(base, _tables(tables, "base", path), f"{path}: base")
    seeds = _seeds(tables, 1, f"{path}")

    rows = []
    for tag, table in _tables(tables, "rows", path).items() or [("", {})]:
        published = table.get("published")
        # Written so that nan, which compares false with all, is refused.
        if "published" in table and not (type(published) in (int, float) and 0 <= published <= 100):
            raise UsageError(
                f"{path}: rows.{tag}.published: expected an accuracy in percent. "
                f"Received: {published!r}"
            )
        changes = {key: value for key, value in table.items() if key != "published"}
        row = config.with_tables(base, changes, f"{path}: rows.{tag}")
        for point in _points(_tables(tables, "grid", path), path):
            pipeline, names = row, [tag] if tag else []
            keys = [key for _, key, _ in point]
            for section, key, value in point:
                pipeline = config.with_setting(pipeline, section, key, value, f"{path}: grid")
                # Dropout, say, is a setting of two sections.
                label = key if keys.count(key) == 1 else f"{section}.{key}"
                names.append(f"{label}={_short(value)}")
            name = ",".join(names)
            if not name or "/" in name:
                raise UsageError(
                    f"{path}: expected rows with names, without '/'. Received: {name!r}"
                )
            pipeline = replace(pipeline, name=f"{path.stem}/{name}")
            rows.append(Experiment(path.stem, name, None, published, seeds, pipeline))
    _refuse_equal(rows, path)

    variants, questions = [], {}
    for name, table in _tables(tables, "variants", path).items():
        place = f"{path}: variants.{name}"
        questions[name] = str(table.get("question", ""))
        tags = table.get("rows", [row.tag for row in rows])
        if not isinstance(tags, list) or "/" in name:
            raise UsageError(
                f"{place}: expected a list of rows, and a name without '/'. Received: {tags!r}"
            )
        changes = {
            key: value for key, value in table.items() if key not in ("question", "rows", "seeds")
        }
        for tag in tags:
            row = rows[_place(tag, [row.tag for row in rows], "row", place)]
            pipeline = config.with_tables(row.pipeline, changes, place)
            pipeline = replace(pipeline, name=f"{path.stem}/{tag}/{name}")
            number = _seeds(table, seeds, place)
            variants.append(Experiment(path.stem, tag, name, row.published, number, pipeline))
    _refuse_equal(variants, path)
    tags = [row.tag for row in rows]
    for tag in tables.get("curves", ()):
        _place(tag, tags, "row", f"{path}: curves")
    return Sweep(
        name=path.stem,
        description=str(tables.get("description", "")),
        notes=tuple(str(note) for note in tables.get("notes", ())),
        experiments=(*rows, *variants),
        questions=questions,
        curves=tuple(str(tag) for tag in tables.get("curves", ())),
        findings=tuple(_finding(entry, path) for entry in tables.get("findings", ())),
        readings=_readings(tables["readings"], tags, variants, path)
        if "readings" in tables
        else None,
    )


def find_pipeline(name_or_path: str, overrides: Iterable[str] = ()) -> Pipeline:
    """Returns a pipeline as `config.load_pipeline` does, or one of a sweep's.

    Args:
        name_or_path: As `config.load_pipeline` takes it; or a sweep's name or file with a row's
            tag behind it, and a variant's name behind that: `paper/V2.3`, `paper/V2.3/frozen`.
        overrides: As `config.load_pipeline` takes them.

    Raises:
        UsageError: If there is no such pipeline, or a setting is unknown or out of its range.
    """
    file, ending, place = name_or_path.partition(".toml/")
    if ending:
        file += ".toml"
    else:
        file, _, place = name_or_path.partition("/")
        if file not in sweep_names() or not place:
            return config.load_pipeline(name_or_path, overrides)
    tag, _, variant = place.partition("/")
    pipeline = load_sweep(file).experiment(tag, variant or None).pipeline
    for override in overrides:
        pipeline = config.with_override(pipeline, override)
    return pipeline


def _place(name: Any, known: Sequence[str], what: str, place: str) -> int:
    """Returns where a name stands among those there are."""
    if name not in known:
        raise UsageError(
            f"{place}: there is no {what} {name!r}{config.suggest(name, known)}. "
            f"Expected of {', '.join(known) or 'none'}."
        )
    return list(known).index(name)


def _refuse_equal(experiments: Sequence[Experiment], path: Path) -> None:
    """Refuses two experiments of one name, whose runs could not be told apart."""
    names = [experiment.pipeline.name for experiment in experiments]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: expected each row once. Received {name!r} several times.")


def _readings(
    table: Any, tags: Sequence[str], variants: Sequence[Experiment], path: Path
) -> Readings:
    """Returns the readings that a table states."""
    place = f"{path}: readings"
    if not isinstance(table, Mapping) or {type(v) for v in table.values()} - {list}:
        raise UsageError(f"{place}: expected rows and variants, a list each. Received: {table!r}")
    _refuse_unknown(table, ("rows", "variants"), place)
    known = [f"{item.variant}/{item.tag}" for item in variants]
    for tag in table.get("rows", ()):
        _place(tag, tags, "row", place)
        for name in table.get("variants", ()):
            _place(f"{name}/{tag}", known, "variant of a row", place)
    return Readings(tuple(table.get("rows", ())), tuple(table.get("variants", ())))


def _tables(tables: Mapping[str, Any], name: str, path: Path) -> dict[str, Mapping[str, Any]]:
    """Returns the table `name` of tables, empty where it is left out."""
    found = tables.get(name, {})
    if name == "base" and isinstance(found, Mapping):
        return dict(found)  # `config` tells what is wrong in it
    if not isinstance(found, Mapping) or not all(isinstance(v, Mapping) for v in found.values()):
        raise UsageError(
            f"{path}: expected [{name}] to hold tables of settings, such as "
            f"{'model.units = [64, 128]' if name == 'grid' else 'a = { model.units = 256 }'}. "
            f"Received: {found!r}"
        )
    return dict(found)


def _points(grid: Mapping[str, Any], path: Path) -> Iterable[tuple[tuple[str, str, Any], ...]]:
    """Yields each combination of a grid's values, as (section, key, value) of each setting."""
    axes = []
    for section, table in grid.items():
        for key, values in table.items():
            if not isinstance(values, list) or not values:
                raise UsageError(
                    f"{path}: grid: expected a list of values of {section}.{key}. "
                    f"Received: {values!r}"
                )
            if any(value in values[:number] for number, value in enumerate(values)):
                raise UsageError(
                    f"{path}: grid: expected each value of {section}.{key} once. "
                    f"Received: {values!r}"
                )
            axes.append([(section, key, value) for value in values])
    return itertools.product(*axes)


def _short(value: Any) -> str:
    """Returns a value as a tag has it."""
    if isinstance(value, list):
        return "+".join(map(_short, value))
    return Path(value).name if isinstance(value, str) else str(value).lower()


def _seeds(table: Mapping[str, Any], default: int, place: str) -> int:
    """Returns a table's number of seeds."""
    seeds = table.get("seeds", default)
    if type(seeds) is not int or seeds < 1:
        raise UsageError(f"{place}: seeds: expected a number of at least 1. Received: {seeds!r}")
    return seeds


def _finding(entry: Any, path: Path) -> Finding:
    """Returns a claim."""
    names = ("claim", "setting", "better", "worse")
    if (
        not isinstance(entry, Mapping)
        or set(entry) != set(names)
        or not isinstance(entry["setting"], str)
    ):
        raise UsageError(f"{path}: findings: expected {', '.join(names)}. Received: {entry!r}")
    better, worse = (
        config.checked_setting(entry["setting"], entry[name], f"{path}: findings")
        for name in ("better", "worse")
    )
    return Finding(str(entry["claim"]), entry["setting"], better, worse)


def _refuse_unknown(tables: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    """Refuses what a sweep's file does not have."""
    for key in tables:
        if key not in known:
            raise UsageError(
                f"{place}: unknown {key!r}{config.suggest(key, known)}. A sweep has "
                f"{', '.join(known)}."
            )


def _matching(
    experiments: list[Experiment], patterns: Sequence[str], name: str, option: str
) -> list[Experiment]:
    """Returns the experiments whose attribute fits one of the patterns; all if there are none."""
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(getattr(item, name), pattern) for item in experiments):
            known = dict.fromkeys(getattr(item, name) for item in experiments)
            raise UsageError(
                f"{option}: nothing fits {pattern!r}. There are {', '.join(known) or 'none'}."
            )
    if not patterns:
        return experiments
    return [
        item
        for item in experiments
        if any(fnmatch.fnmatchcase(getattr(item, name), pattern) for pattern in patterns)
    ]
