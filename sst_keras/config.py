"""Pipelines read from TOML files, changed setting by setting, and read back from saved runs.

A pipeline file states what its model relies on, or `extends` another and states what it changes.
Settings that no file states have the defaults of `sst_keras.settings`. A saved pipeline states
every setting.
"""

import difflib
import functools
import logging
import math
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin

from sst_keras import locations, plugins
from sst_keras.errors import UsageError
from sst_keras.fields import other_format
from sst_keras.settings import FORMAT, SECTIONS, SETTINGS, Pipeline, not_within

log = logging.getLogger(__name__)

# Former name of a setting → its present name.
RENAMED: dict[str, str] = {}
# Format → setting → its value where a file of that format does not state it, if that is not today's
# default. The name of another setting means the value of that setting.
UNSTATED: dict[int, dict[str, Any]] = {1: {"data.split_seed": "training.seed"}, 2: {}}
# Format → settings that had another meaning in it. They are ignored.
_FORMER = {1: {"training.checks_per_epoch"}, 2: set()}
# Settings that are younger than formats, so that a run's file without a format lacks them.
_YOUNGER = {
    "data.split_seed", "data.group_column", "data.delimiter", "data.quoting", "data.header",
    "data.encoding", "data.markup", "data.ordinal", "data.batch_tokens", "data.class_weights",
    "embedding.key_pattern", "embedding.scale", "embedding.reduce", "embedding.quantized",
    "embedding.word_dropout", "model.init",
    "model.train_init", "model.shortcuts", "model.weight_dropout", "training.monitor",
    "training.checks_per_epoch", "training.average", "training.schedule",
    "data.phrases_per_sentence", "data.root_weight", "data.pseudo_labels", "data.pseudo_epochs",
}  # fmt: skip
# A byte of an argument that is not UTF-8 is half of a surrogate pair, which no file can hold.
_HALF = re.compile("[\ud800-\udfff]")
_MOST_FLOAT = 10**300
_COMMENT = re.compile(r"\s#.*")  # of TOML
_ARGUMENT = "settings"  # of those that take settings as `section.key=value`: `--set`
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UsageError: If the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected a TOML file in UTF-8. {error}.") from None


def pipeline_names() -> list[str]:
    """Returns the names of the pipelines that ship with the package, sorted."""
    return sorted(path.stem for path in locations.bundled("pipelines").glob("*.toml"))


def load_pipeline(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Pipeline:
    """Reads a pipeline and applies overrides.

    Args:
        name_or_path: The name of one that ships with the package, or the path of a TOML file. A
            run's own `pipeline.toml` is read as `load_saved` reads it.
        overrides: Settings as `section.key=value`. Values are TOML; text needs no quotes.

    Raises:
        UsageError: If there is no such pipeline, or a setting is unknown or out of range.
    """
    return functools.reduce(with_override, overrides, _load(Path(name_or_path), ()))


def _load(path: Path, extending: tuple[Path, ...]) -> Pipeline:
    """Reads a pipeline and what it extends; `extending` holds the files that led here."""
    if path.suffix != ".toml":
        if str(path) not in (names := pipeline_names()):
            raise unknown("there is no pipeline", str(path), [*names, "the path of a .toml file"])
        path = locations.bundled("pipelines") / f"{path}.toml"
    if path in extending:
        raise UsageError(f"{path}: expected pipelines that extend each other without a circle.")
    tables = read_toml(path)
    # A run's own file has a format, or comes from before formats and states every setting.
    if "format" in tables or SETTINGS.keys() - _YOUNGER <= _flat(tables).keys():
        return load_saved(path)
    base = Pipeline()
    if "extends" in tables:
        parent = Path(str(tables.pop("extends")))
        base = _load(
            path.parent / parent if parent.suffix == ".toml" else parent, (*extending, path)
        )
    return with_tables(replace(base, name=path.stem, description=""), tables, str(path))


def load_saved(path: Path) -> Pipeline:
    """Reads the `pipeline.toml` of a run, which another version of the package may have written.

    Renamed settings are read under their present names. Unknown settings are ignored. Missing ones
    have the value they had in the file's format. One warning lists the unknown and missing ones.

    Raises:
        UsageError: If the file is not a saved pipeline, or its format is newer than this version.
    """
    tables = read_toml(path)
    saved = _flat(tables)
    if not saved:
        raise UsageError(f"{path}: expected the settings of a run. Received none.")
    settings, notes = complete(saved, tables.get("format", 1), str(path))
    if notes:
        log.warning(f"{path}: written by another version of sst_keras; {'; '.join(notes)}.")
    head = {key: str(tables[key]) for key in ("name", "description") if key in tables}
    return replace(with_settings(Pipeline(), settings, str(path)), **head)


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: table for name, table in tables.items() if isinstance(table, Mapping)}
    return {f"{name}.{key}": table[key] for name, table in sections.items() for key in table}


def complete(
    saved: Mapping[str, Any], format: Any, source: str
) -> tuple[dict[str, Any], list[str]]:
    """Returns settings saved in `format` as this version knows them, and notes on the changes.

    Raises:
        UsageError: If this version does not know the format.
    """
    if not isinstance(format, int) or format not in UNSTATED:
        raise UsageError(other_format(source, f"1 to {FORMAT}", format))
    renamed = {RENAMED.get(name, name): value for name, value in saved.items()}
    ignored = [name for name in renamed if name not in SETTINGS or name in _FORMER[format]]
    renamed = {name: value for name, value in renamed.items() if name not in ignored}
    missing = {name: item.default for name, item in SETTINGS.items() if name not in renamed}
    for name in UNSTATED[format].keys() & missing.keys():
        value = UNSTATED[format][name]
        missing[name] = (missing | renamed).get(value, value)
    notes = []
    if ignored:
        notes.append(f"ignored unknown settings: {', '.join(ignored)}")
    if missing:
        filled = (f"{name} = {value!r}" for name, value in missing.items())
        notes.append(f"filled in missing settings: {', '.join(filled)}")
    return missing | renamed, notes


def with_override(pipeline: Pipeline, override: str) -> Pipeline:
    """Returns `pipeline` with one setting changed, given as `section.key=value`."""
    setting, equals, text = override.partition("=")
    if not (equals and "." in setting):
        raise UsageError(
            f"expected section.key=value, such as model.units=256. Received: {override!r}",
            setting=_ARGUMENT,
        )
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # text without quotes, or a number of 5,000 digits
        found = {"value": text.strip()}
    value, item = found["value"], SETTINGS.get(setting.strip())
    if item and item.type is str and not isinstance(value, (str, list, dict)):
        value = _COMMENT.sub("", text).strip()  # as it is written: 1_000 or true may be a name
    if len(found) > 1 or "\n" in str(value):
        message = f"expected one setting. Received several lines: {override!r:.100}"
        raise UsageError(message, setting=_ARGUMENT)
    return with_settings(pipeline, {setting.strip(): value}, source=_ARGUMENT)


def with_tables(pipeline: Pipeline, tables: Mapping[str, Any], source: str) -> Pipeline:
    """Returns `pipeline` with what the tables of a pipeline file state.

    Raises:
        UsageError: If a setting is unknown or out of range.
    """
    head, settings = {}, {}
    for section, table in tables.items():
        if section in ("name", "description"):
            head[section] = str(table)
        elif section in SECTIONS and isinstance(table, Mapping):
            settings |= {f"{section}.{key}": value for key, value in table.items()}
        else:
            raise UsageError(
                f"{source}: expected tables of settings: {', '.join(SECTIONS)}. Received: "
                f"{section} = {table!r}{suggest(section, SECTIONS)}"
            )
    return replace(with_settings(pipeline, settings, source), **head)


def with_settings(
    pipeline: Pipeline, settings: Mapping[str, Any], source: str = "pipeline"
) -> Pipeline:
    """Returns `pipeline` with some settings changed; errors name the `source` of the values.

    Raises:
        UsageError: If a setting is unknown or out of range.
    """
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if section not in SECTIONS:
            expected = f"{suggest(section, SECTIONS)}. Expected one of {', '.join(SECTIONS)}."
            raise _refused(f"unknown section {section!r}{expected}", source)
        if name not in SETTINGS:
            keys = ", ".join(vars(getattr(pipeline, section)))
            message = f"unknown setting {name!r}{suggest(name, SETTINGS)}. [{section}] has {keys}."
            raise _refused(message, source)
        changed = {key: _checked(name, value, source)}
        pipeline = replace(pipeline, **{section: replace(getattr(pipeline, section), **changed)})
    return pipeline


def _checked(setting: str, value: Any, source: str) -> Any:
    """Returns `value` with the type that the setting has; a list setting takes a single entry."""
    kind, about = SETTINGS[setting].type, SETTINGS[setting].metadata
    low, high, choices = about["low"], about["high"], about["choices"]

    def refusal(expected: str) -> UsageError:
        received = f"{value!r:.200}{suggest(value, choices)}"
        message = f"{setting}: expected {expected} ({about['about']}). Received: {received}"
        return _refused(message, source)

    entries = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(entry, str) and _HALF.search(entry) for entry in entries):
        raise refusal("text in UTF-8")
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
        entries = tuple(map(_as_text, entries) if kind is str else entries)
        if not all(type(entry) is kind for entry in entries):
            raise refusal(f"a list of {_NAMES[kind]}")
        if kind is int and (outside := [each for each in entries if not_within(each, low=1)]):
            raise refusal(f"numbers {not_within(outside[0], low=1)}")
        if len(set(entries)) < len(entries):
            raise refusal("each entry once")
        if len(entries) < (low or 0):
            raise refusal(f"at least {low} of them")
        return entries
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < _MOST_FLOAT else math.inf
    if kind is str and isinstance(value, (int, float)):
        value = _as_text(value)
    if type(value) is not kind:
        raise refusal(_NAMES[kind])
    if setting == "model.name" and value not in choices:
        choices += tuple(name for name in plugins.encoders() if name not in choices)
    if expected := not_within(value, choices, low, high):
        raise refusal(expected)
    return value


def _as_text(value: Any) -> Any:
    """Returns a value such as the class 5 as a text; a number that nobody writes as it is."""
    is_number = not isinstance(value, float) or math.isfinite(value)
    return str(value) if is_number else value


def _refused(message: str, source: str) -> UsageError:
    """Returns an error that names where a setting comes from: a file, or the argument."""
    if source == _ARGUMENT:
        return UsageError(message, source)
    return UsageError(f"{source}: {message}")


def unknown(problem: str, name: Any, known: Collection[str], setting: str = "") -> UsageError:
    """Returns the error about an unknown name; `problem` opens its message."""
    expected = ", ".join(known) or "none"
    message = f"{problem} {name!r}{suggest(name, known)}. Expected one of {expected}."
    return UsageError(message, setting)


def suggest(word: object, known: Iterable[str]) -> str:
    """Returns ` (did you mean ...?)` if a known word is close, else nothing."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
