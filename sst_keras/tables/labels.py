"""Labels as people write them → classes.

Two labels are the same class if they are equal in these respects:

- White space and invisible characters do not count: any Unicode space, zero-width and directional
  characters, byte order marks, soft hyphens, controls, variation selectors. A space between two
  numbers counts.
- Case does not count. Characters that Unicode calls compatible (full-width letters) are equal, and
  so are those that look the same: kinds of hyphens and quotation marks, and Greek or Cyrillic
  letters in a label that Latin ones could spell. Accents and other punctuation count.
- Spaces, hyphens and underscores between words, or between a word and a number, do not count:
  "very negative", "Very-Negative", "very_negative" and "VeryNegative" are one class. So are
  "1 star" and "1 stars".
- Numbers of equal value are equal, exactly and also within words: 1, 1.0, +1, 01, 1e0, "1,0", and
  digits of other scripts. A comma between digits is a decimal comma if it can be one in all labels
  that have it. 1_000, "1,000", inf and 0x10 are words.

A class of a number is named by its digits, "1" or "0.5". Any other is named by its most frequent
spelling. Classes that were spelled in several ways are reported, so nothing is joined silently.

Words for nothing are no label, in any case: an empty cell, nan, null, none, n/a, na, nat, nil,
empty, blank, undefined, unlabeled, a spreadsheet's errors, also in brackets; and hyphens, question
marks or dots without a word. Hyphens are labels if plus signs are.

The order is that of the user if given. Else classes are sorted by the one number that each has
("1", "2 stars", "4/5", "★★★", "three"), or by a known scale ("very negative" to "very positive",
"low" to "high", "strongly disagree" to "strongly agree", ...; see `scales`). Classes without
either are sorted by their names in lower case, and `Labels.ordered` is False.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sst_keras.errors import UsageError
from sst_keras.tables import scales, spelling

_NOTHING = frozenset(
    "nan -nan +nan null none n/a na n.a n.a. #n/a #na nat nil empty blank undefined unlabeled "
    "unlabelled #null! #ref! #value! #div/0! #name? #num! \\n".split()
) | {"no label", "not available", "not applicable", "#n/a n/a", "-1.#ind", "1.#ind", "1.#qnan"}
_MARKS = re.compile(r"[-?._/\\ ]*")
_PLUS = re.compile(r"[+ ]+")


@dataclass(frozen=True)
class Labels:
    """The classes of a data set, and what each spelling of a label means.

    Nothing here depends on the order of the rows or of `counts`.

    Attributes:
        classes: The classes, lowest first.
        ordered: Whether they are known to be a scale: given by the user, by numbers or by words.
        codes: Spelling, as in the file → class number, or -1 for no label. If the user gave the
            classes, spellings of other classes are absent.
        joined: Class → its spellings → rows, for classes with more than one spelling, the most
            frequent first.
        missing: Spelling of "no label" → rows, the most frequent first.
    """

    classes: tuple[str, ...]
    ordered: bool
    codes: Mapping[str, int]
    joined: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]


def read_labels(counts: Mapping[str, int], given: Sequence[str] = ()) -> Labels:
    """Returns the classes that labels name.

    Args:
        counts: Spelling → rows, over all splits.
        given: The classes as the user names and orders them, lowest first; empty for the order
            described above. A word for nothing is a class if it is given. A label of another class
            is no error here: it is absent from `codes`.

    Raises:
        UsageError: If a given name is blank, or two of them are the same class.
    """
    comma = spelling.uses_decimal_comma([*counts, *given])
    forms = {label: spelling.plain(label, comma) for label in [*counts, *given]}
    identities = spelling.identities(forms, comma)
    names = _given_names(given, identities)
    has_plus = any(map(_PLUS.fullmatch, forms.values()))
    members: dict[str, dict[str, int]] = {}  # identity → spelling → rows
    missing = {}
    for label, rows in _most_frequent_first(counts):
        identity = identities[label]
        if identity not in names and _is_nothing(forms[label], has_plus):
            missing[label] = rows
        else:
            members.setdefault(identity, {})[label] = rows
    if given:
        ordered = True
    else:
        names = {identity: _name(spelled, forms) for identity, spelled in members.items()}
        names, ordered = _sorted(names, comma)
    numbers = {identity: number for number, identity in enumerate(names)}
    codes = dict.fromkeys(missing, -1)
    for identity in members.keys() & numbers.keys():
        codes |= dict.fromkeys(members[identity], numbers[identity])
    return Labels(
        tuple(names.values()),
        ordered,
        dict(sorted(codes.items())),
        {
            name: members[identity]
            for identity, name in names.items()
            if len(members.get(identity, ())) > 1
        },
        missing,
    )


def _given_names(given: Sequence[str], identities: Mapping[str, str]) -> dict[str, str]:
    """Returns identity → name, in the user's order."""
    names: dict[str, str] = {}
    for name in given:
        if not spelling.shown(name):
            raise UsageError(
                f"expected names of classes. Received a blank one: {name!r}.", setting="data.labels"
            )
        if identities[name] in names:
            raise UsageError(
                f"{names[identities[name]]!r} and {name!r} name the same class: case, spaces and "
                f"the notation of a number do not count. Name each class once, lowest first.",
                setting="data.labels",
            )
        names[identities[name]] = name
    return names


def _most_frequent_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _is_nothing(text: str, has_plus: bool) -> bool:
    if _MARKS.fullmatch(text):
        return not ("-" in text and has_plus)
    return text.strip("()[]<>{} ") in _NOTHING | {""}


def _name(spelled: Mapping[str, int], forms: Mapping[str, str]) -> str:
    """Returns a class's name: its number, or its most frequent spelling, ties by code point."""
    rows: Counter[str] = Counter()
    for label, count in spelled.items():
        number = spelling.number(forms[label])
        rows[spelling.shown(label) if number is None else number] += count
    return _most_frequent_first(rows)[0][0]


def _sorted(names: Mapping[str, str], comma: bool) -> tuple[dict[str, str], bool]:
    """Returns identity → name in the order of a scale, and whether there is one."""
    items = sorted(names.items(), key=lambda item: (item[1].casefold(), item[1]))
    places = scales.order([spelling.plain(name, comma) for _, name in items])
    if places is None:
        return dict(items), False
    return dict(items[place] for place in places), True
