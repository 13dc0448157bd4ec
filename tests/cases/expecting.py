"""A case: files, the options that a user gives, and what `sst-keras data check` should answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Refused:
    """An exit code, or either of both if it is None, and words that the error has in any case."""

    words: tuple[str, ...]
    code: int | None = None

    def problems(self, code: int, message: str) -> list[str]:
        """Returns what differs; empty if the refusal is the one that was expected."""
        found = []
        if code not in ((1, 2) if self.code is None else (self.code,)):
            found.append(f"exit code {code}")
        errors = [line for line in message.splitlines() if line.startswith("Error: ")]
        message = errors[0] if errors else ""
        if len(errors) != 1:
            found.append("expected one line, Error: ...")
        if len(message) > 600:
            found.append(f"{len(message)} characters are no message")
        found += [f"{word!r} is not in it" for word in self.words if not has(message, word)]
        return found


@dataclass(frozen=True)
class Case:
    """What a user has and should get.

    Attributes:
        name: What is unusual.
        files: Name → content. One file is the data set; of several, their folder is.
        options: The command line's options, separated by spaces.
        answer: A part of the JSON answer; a `Refused`; or several of these, any of which will do.
        rows: Every text with the name of its class, if reading must give exactly these.
    """

    name: str
    files: Mapping[str, str | bytes]
    answer: Any
    options: str = ""
    rows: list[tuple[str, Any]] | None = None

    @property
    def answers(self) -> list[Any]:
        """The answers any of which will do."""
        return self.answer if isinstance(self.answer, list) else [self.answer]


def refused(*words: str, code: int | None = None) -> Refused:
    """Returns a refusal whose message has `words`."""
    return Refused(words, code)


def has(text: str, word: str) -> bool:
    """Whether a text has a word; `one|another` is either."""
    return any(each in text.lower() for each in word.lower().split("|"))


def says(*words: str) -> Check:
    """Expects one sentence that has all `words`; `one|another` is either of two words."""
    return lambda sentences: any(all(has(each, word) for word in words) for each in sentences)


def at(name: str, *numbers: int) -> Check:
    """Expects the places `name, line N`, whatever folder they are in."""

    def check(places: list[str]) -> bool:
        expected = [f"{name}, line {number}" for number in numbers]
        pairs = zip(places, expected, strict=False)
        return len(places) == len(expected) and all(p.endswith(e) for p, e in pairs)

    return check


def near(number: float, tolerance: float) -> Check:
    """Expects a number within a distance."""
    return lambda found: abs(found - number) <= tolerance


def positive(number: int) -> bool:
    """Expects a number above zero."""
    return number > 0


def left_out(name: str, *numbers: int, rows: int | None = None) -> dict[str, Any]:
    """Expects `rows` rows without a label to be left out, with these first lines."""
    entry = {"rows": rows or len(numbers), "places": at(name, *numbers[:5])}
    return {"left_out": [entry]}


def differences(expected: Any, found: Any, where: str = "answer") -> list[str]:
    """Returns where `found` lacks what is `expected`; dictionaries may have other keys besides."""
    if callable(expected):
        return [] if expected(found) else [f"{where}: {found!r}"]
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return [f"{where}: {found!r}"]
        pairs = ((key, expected[key], found.get(key)) for key in expected)
        return [each for key, a, b in pairs for each in differences(a, b, f"{where}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [each for n, (a, b) in pairs for each in differences(a, b, f"{where}[{n}]")]
    return [] if expected == found else [f"{where}: expected {expected!r}, found {found!r}"]
