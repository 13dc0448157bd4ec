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

With `[rows]` and `[grid]` both, each row is run at each point of the grid.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_keras import config, locations
from sst_keras.config import Pipeline
from sst_keras.errors import UsageError

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
    "findings",
)


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
class Sweep:
    """What a sweep's file states.

    Attributes:
        name: The file's name, without the ending.
        description: What it is, in a line.
        notes: What a reader of its results should know, a sentence or two each.
        experiments: The rows in the file's order, then the variants.
        questions: A variant's name → the question that it answers.
        curves: The tags of the rows whose curves a report draws.
        findings: Published claims that a report holds the runs to.
    """

    name: str
    description: str
    notes: tuple[str, ...]
    experiments: tuple[Experiment, ...]
    questions: Mapping[str, str]
    curves: tuple[str, ...]
    findings: tuple[Finding, ...]

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
    if not config.is_sweep(path):
        raise UsageError(
            f"{path}: expected a sweep, with [rows] or [grid]. For one pipeline there is "
            f"`sst-keras train`."
        )
    base = config.load_pipeline(tables.get("pipeline", "lstm-attention"))
    base = config.with_tables(base, tables.get("base", {}), f"{path}: base")
    seeds = _seeds(tables, 1, f"{path}")

    rows = []
    for tag, table in _tables(tables, "rows", path).items() or [("", {})]:
        published = table.get("published")
        if published is not None and type(published) not in (int, float):
            raise UsageError(
                f"{path}: rows.{tag}.published: expected an accuracy in percent. "
                f"Received: {published!r}"
            )
        changes = {key: value for key, value in table.items() if key != "published"}
        row = config.with_tables(base, changes, f"{path}: rows.{tag}")
        for point in _points(_tables(tables, "grid", path), path):
            pipeline, names = row, [tag] if tag else []
            for section, key, value in point:
                pipeline = config.with_setting(pipeline, section, key, value, f"{path}: grid")
                names.append(f"{key}={_short(value)}")
            name = ",".join(names)
            pipeline = config.named(pipeline, f"{path.stem}/{name}")
            rows.append(Experiment(path.stem, name, None, published, seeds, pipeline))
    if len({row.tag for row in rows}) < len(rows):
        raise UsageError(f"{path}: grid: expected each value of a setting once.")

    variants, questions = [], {}
    for name, table in _tables(tables, "variants", path).items():
        place = f"{path}: variants.{name}"
        questions[name] = str(table.get("question", ""))
        tags = table.get("rows", [row.tag for row in rows])
        changes = {
            key: value for key, value in table.items() if key not in ("question", "rows", "seeds")
        }
        for tag in tags:
            row = next((row for row in rows if row.tag == tag), None)
            if row is None:
                known = [row.tag for row in rows]
                raise UsageError(
                    f"{place}: there is no row {tag!r}{config.suggest(tag, known)}. "
                    f"Expected of {', '.join(known)}."
                )
            pipeline = config.with_tables(row.pipeline, changes, place)
            pipeline = config.named(pipeline, f"{path.stem}/{tag}/{name}")
            number = _seeds(table, seeds, place)
            variants.append(Experiment(path.stem, tag, name, row.published, number, pipeline))
    return Sweep(
        name=path.stem,
        description=str(tables.get("description", "")),
        notes=tuple(str(note) for note in tables.get("notes", ())),
        experiments=(*rows, *variants),
        questions=questions,
        curves=tuple(str(tag) for tag in tables.get("curves", ())),
        findings=tuple(_finding(entry, path) for entry in tables.get("findings", ())),
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


def _tables(tables: Mapping[str, Any], name: str, path: Path) -> dict[str, Mapping[str, Any]]:
    """Returns the table `name` of tables, empty where it is left out."""
    found = tables.get(name, {})
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
    if not isinstance(entry, Mapping) or set(entry) != set(names):
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
