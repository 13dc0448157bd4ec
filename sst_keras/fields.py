"""What a JSON file of ours must hold, and the check that it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any

from sst_keras.errors import InputError

NUMBER = int | float


@dataclass(frozen=True)
class Range:
    """A whole number from `low` to `high`; with `kind=NUMBER`, any number, but not nan."""

    low: float
    high: float
    kind: type | UnionType = int

    def __str__(self) -> str:
        return f"{_named(self.kind)} from {self.low:,} to {self.high:,}"


@dataclass(frozen=True)
class OneOf:
    """One of some texts."""

    texts: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(self.texts)}"


# A type, a union of them, a `Range`, or `OneOf` some texts; `[kind]` for a list of that kind; a
# tuple of kinds for a list of such items; or name → kind, where a name that ends in `?` may be
# absent. Names that are not listed may be there, too, of the kind of the name `*` if there is one.
Kind = type | UnionType | Range | OneOf | list | tuple | Mapping[str, Any]


def check_fields(value: Any, kind: Kind, place: str, advice: str) -> None:
    """Checks that what was read from JSON is of a kind. `True` and `False` are no numbers.

    Raises:
        InputError: If it is not. The message begins with `place`, names the field, and ends with
            `advice`.
    """
    for where, expected, found in _wrong(value, kind, ""):
        received = "nothing" if found is _ABSENT else f"{found!r:.60}"
        name = f" in {where.lstrip('.')}" if where else ""
        raise InputError(f"{place}: expected {expected}{name}. Received: {received}. {advice}")


def other_format(place: object, expected: object, found: object) -> str:
    """Returns the message of an error about a file in a format that this version does not know."""
    return (
        f"{place}: expected format {expected}. Received: {found!r}. If a newer version of "
        f"sst_keras wrote it, update the package."
    )


_ABSENT = object()


def _wrong(value: Any, kind: Kind, where: str) -> Any:
    """Yields the place, what was expected and what came, of each value of another kind."""
    if isinstance(kind, Mapping):
        if not isinstance(value, Mapping):
            yield where, "an object", value
            return
        for name, each in kind.items():
            key = name.removesuffix("?")
            if key in value:
                yield from _wrong(value[key], each, f"{where}.{key}")
            elif key == name != "*":
                yield f"{where}.{key}", _named(each), _ABSENT
        for key in value.keys() - {name.removesuffix("?") for name in kind} if "*" in kind else ():
            yield from _wrong(value[key], kind["*"], f"{where}.{key}")
    elif isinstance(kind, list):
        if not isinstance(value, list | tuple):
            yield where, "a list", value
            return
        for number, item in enumerate(value):
            yield from _wrong(item, kind[0], f"{where}[{number}]")
    elif isinstance(kind, tuple):
        if not isinstance(value, list) or len(value) != len(kind):
            yield where, f"a list of {len(kind)}", value
            return
        for number, (item, each) in enumerate(zip(value, kind, strict=True)):
            yield from _wrong(item, each, f"{where}[{number}]")
    elif isinstance(kind, Range):
        is_number = isinstance(value, kind.kind) and not isinstance(value, bool)
        if not is_number or not kind.low <= value <= kind.high:
            yield where, str(kind), value
    elif isinstance(kind, OneOf):
        if value not in kind.texts:
            yield where, str(kind), value
    elif isinstance(value, bool) if kind is not bool else not isinstance(value, bool):
        yield where, _named(kind), value
    elif not isinstance(value, kind):
        yield where, _named(kind), value


def _named(kind: Kind) -> str:
    if isinstance(kind, Mapping | list | tuple):
        return "an object" if isinstance(kind, Mapping) else "a list"
    if isinstance(kind, Range | OneOf):
        return str(kind)
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    if kind == NUMBER:
        return "a number"
    parts = getattr(kind, "__args__", (kind,))
    return " or ".join(names.get(part, "null") for part in parts)
