"""Pipelines read from TOML files, changed setting by setting, and read back from saved runs.

A pipeline file states what its model relies on, or `extends` another and states what it changes.
Settings that no file states have the defaults of `sst_keras.settings`. What is saved states every
setting.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from sst_keras import locations
from sst_keras.errors import UsageError
from sst_keras.settings import FORMAT, HINTS, SECTIONS, SETTINGS, Pipeline

log = logging.getLogger(__name__)

# Former name of a setting → its present name.
RENAMED: dict[str, str] = {}
# Format → the values, other than today's defaults, of settings that files of that format do not
# state. The name of another setting means the value of that setting.
UNSTATED: dict[int, dict[str, Any]] = {1: {"data.split_seed": "training.seed"}, 2: {}}


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UsageError: If the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a TOML file in UTF-8. {error}.") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a TOML file. {error.strerror}.") from None


def pipeline_names() -> list[str]:
    """Returns the names of the pipelines that ship with the package, sorted."""
    return sorted(path.stem for path in locations.bundled("pipelines").glob("*.toml"))


def load_pipeline(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Pipeline:
    """Reads a pipeline and applies overrides.

    Args:
        name_or_path: The name of one that ships with the package, or the path of a TOML file. A
            run's own `pipeline.toml` is read as `load_saved` reads it.
        overrides: Settings as `section.key=value`. Values are TOML; quotes around text may be left
            out.

    Raises:
        UsageError: If there is no such pipeline, or a setting is unknown or out of range.
    """
    pipeline = _load(name_or_path, ())
    for override in overrides:
        pipeline = with_override(pipeline, override)
    return pipeline


def _load(name_or_path: str | Path, extending: tuple[Path, ...]) -> Pipeline:
    """Reads a pipeline and what it extends; `extending` holds the files that led here."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = locations.bundled("pipelines") / f"{name_or_path}.toml"
        names = pipeline_names()
        if str(name_or_path) not in names:
            raise UsageError(
                f"There is no pipeline {str(name_or_path)!r}{suggest(name_or_path, names)}. "
                f"Expected one of {', '.join(names)}, or the path of a .toml file."
            )
    if path in extending:
        raise UsageError(f"{path}: expected pipelines that extend each other without a circle.")
    tables = read_toml(path)
    if "format" in tables:
        return load_saved(path)
    base = Pipeline()
    if "extends" in tables:
        parent = str(tables.pop("extends"))
        base = _load(
            path.parent / parent if parent.endswith(".toml") else parent, (*extending, path)
        )
    return with_tables(dataclasses.replace(base, name=path.stem, description=""), tables, str(path))


def load_saved(path: Path) -> Pipeline:
    """Reads the `pipeline.toml` of a run, which another version of the package may have written.

    Renamed settings are read under their present names. Unknown settings are ignored, and missing
    ones have the value they had in the file's format; one warning names both.

    Raises:
        UsageError: If the file is not a saved pipeline, or its format is newer than this version.
    """
    tables = read_toml(path)
    saved = {
        f"{section}.{key}": value
        for section, table in tables.items()
        if isinstance(table, Mapping)
        for key, value in table.items()
    }
    settings, notes = complete(saved, tables.get("format", 1), str(path))
    if notes:
        log.warning(f"{path}: written by another version of sst_keras; {'; '.join(notes)}.")
    head = {key: str(tables[key]) for key in ("name", "description") if key in tables}
    return dataclasses.replace(with_settings(Pipeline(), settings, str(path)), **head)


def complete(
    saved: Mapping[str, Any], format: Any, source: str
) -> tuple[dict[str, Any], list[str]]:
    """Returns saved settings as this version knows them, and notes on what was done to them.

    Args:
        saved: `section.key` → value, as they were saved.
        format: The format that they were saved in.
        source: The file, for errors.

    Raises:
        UsageError: If this version does not know the format.
    """
    if format not in UNSTATED:
        raise UsageError(
            f"{source}: expected format 1 to {FORMAT}. Received: {format!r}. A newer version of "
            f"sst_keras wrote it: update the package."
        )
    renamed = {RENAMED.get(name, name): value for name, value in saved.items()}
    unknown = [name for name in renamed if name not in SETTINGS]
    missing = {name: SETTINGS[name].default for name in SETTINGS if name not in renamed}
    for name in UNSTATED[format].keys() & missing.keys():
        value = UNSTATED[format][name]
        missing[name] = renamed.get(value, value)
    notes = []
    if unknown:
        notes.append(f"ignored unknown settings: {', '.join(unknown)}")
    if missing:
        filled = (f"{name} = {value!r}" for name, value in missing.items())
        notes.append(f"filled in missing settings: {', '.join(filled)}")
    known = {name: value for name, value in renamed.items() if name in SETTINGS}
    return missing | known, notes


# === Changing settings ===


def with_override(pipeline: Pipeline, override: str) -> Pipeline:
    """Returns `pipeline` with one setting changed, given as `section.key=value`."""
    setting, equals, text = override.partition("=")
    if not (equals and "." in setting):
        raise UsageError(
            f"expected section.key=value, such as model.units=256. Received: {override!r}",
            setting="--set",
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:  # text without quotes
        value = text.strip()
    return with_settings(pipeline, {setting.strip(): value}, source="--set")


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
    return dataclasses.replace(with_settings(pipeline, settings, source), **head)


def with_settings(
    pipeline: Pipeline, settings: Mapping[str, Any], source: str = "pipeline"
) -> Pipeline:
    """Returns `pipeline` with some settings changed.

    Args:
        pipeline: The pipeline.
        settings: `section.key` → value.
        source: Where the values come from, for errors.

    Raises:
        UsageError: If a setting is unknown or out of range.
    """
    changed: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if section not in SECTIONS:
            raise UsageError(
                f"{source}: unknown section {section!r}{suggest(section, SECTIONS)}. "
                f"Expected one of {', '.join(SECTIONS)}."
            )
        if name not in SETTINGS:
            keys = ", ".join(item.name for item in dataclasses.fields(SECTIONS[section]))
            raise UsageError(
                f"{source}: unknown setting {name!r}{suggest(name, SETTINGS)}. [{section}] has "
                f"{keys}."
            )
        changed.setdefault(section, {})[key] = checked(name, value, source)
    sections = {
        section: dataclasses.replace(getattr(pipeline, section), **values)
        for section, values in changed.items()
    }
    return dataclasses.replace(pipeline, **sections)


def checked(setting: str, value: Any, source: str) -> Any:
    """Returns `value` with the type that `setting` has.

    Raises:
        UsageError: If the setting cannot have this value.
    """
    about, hint, place = SETTINGS[setting].metadata, HINTS[setting], f"{source}: {setting}"
    low, high = about["low"], about["high"]
    if get_origin(hint) is tuple:
        return _checked_list(value, get_args(hint)[0], low, f"{place}", about["about"])
    if hint is float and type(value) is int:
        value = float(value)
    if hint is str and isinstance(value, (int, float)):
        value = str(value)
    if type(value) is not hint:
        raise UsageError(
            f"{place}: expected {_NAMES[hint]} ({about['about']}). Received: {value!r}"
        )
    if about["choices"] and value not in about["choices"]:
        raise UsageError(
            f"{place}: expected one of {', '.join(about['choices'])}. Received: {value!r}"
            f"{suggest(value, about['choices'])}"
        )
    # Written so that nan, which compares false with everything, is refused.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise UsageError(f"{place}: expected {bound} ({about['about']}). Received: {value!r}")
    return value


def _checked_list(value: Any, kind: type, fewest: int | None, place: str, about: str) -> tuple:
    """Returns the entries of a list setting; a single value is a list of one."""
    entries = value if isinstance(value, (list, tuple)) else [value]
    if kind is str:
        entries = [str(entry) for entry in entries]
    if not all(type(entry) is kind for entry in entries):
        raise UsageError(
            f"{place}: expected a list of {_NAMES[kind]} ({about}). Received: {value!r}"
        )
    if kind is int and min(entries, default=1) < 1:
        raise UsageError(f"{place}: expected numbers of at least 1. Received: {value!r}")
    if len(set(entries)) < len(entries):
        raise UsageError(f"{place}: expected each entry once. Received: {value!r}")
    if len(entries) < (fewest or 0):
        raise UsageError(f"{place}: expected at least {fewest} of them. Received none.")
    return tuple(entries)


_NAMES: Mapping[type, str] = types.MappingProxyType(
    {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
)


def suggest(word: object, known: Iterable[str]) -> str:
    """Returns ` (did you mean ...?)` if a known word is close, else nothing."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
