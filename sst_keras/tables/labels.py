"""Labels as people write them → classes, by one rule.

1. White space and invisible characters do not count, nor does the case of letters.
2. Numbers of equal value are one class: `1`, `1.0`, `+1`, `01`. They are named in their shortest
   form.
3. Words for nothing (`nan`, `null`, `none`, `n/a`, `-`, empty) are no label.
4. Classes are sorted as numbers; as numbers within words (`1 star`, `10 %`); as a known scale
   (`very negative` to `very positive`, `low` to `high`); or else by the alphabet. In the last case
   they are not known to be ordered.

Names that the user gives take precedence: they name the classes, and their order.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sst_keras.errors import UsageError

_NOTHING = {"", "nan", "null", "none", "n/a", "na", "#n/a", "<na>", "nat", "nil", "-", "--", "?"}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?")
_WITHIN = re.compile(r"\d+(?:\.\d+)?")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
# Known scales, from low to high. A place may have several names.
_SCALES = tuple(
    tuple(tuple(name.strip() for name in place.split("/")) for place in scale.split("<"))
    for scale in (
        "very negative/strongly negative/extremely negative < negative/neg < "
        "slightly negative/somewhat negative/weakly negative < neutral/neu/mixed < "
        "slightly positive/somewhat positive/weakly positive < positive/pos < "
        "very positive/strongly positive/extremely positive",
        "worst < terrible/awful/horrible/very bad/very poor < bad/poor < "
        "ok/okay/average/fair/so so/mediocre/medium/neutral/acceptable < good < very good/great < "
        "excellent/best/perfect",
        "very low < low < medium/moderate/middle < high < very high",
        "never < rarely/seldom < sometimes/occasionally < often/usually/frequently < always",
        "strongly disagree < disagree < neutral/neither agree nor disagree/undecided < agree < "
        "strongly agree",
        "very dissatisfied < dissatisfied/unsatisfied < neutral < satisfied < very satisfied",
        "very unlikely < unlikely < neutral/possible < likely < very likely",
        "no/n < maybe/perhaps < yes/y",
        "false/f < true/t",
        "small < medium < large",
        "none < mild < moderate < severe",
        "fail < pass",
        "dislike < like < love",
        "detractor < passive < promoter",
    )
)


@dataclass(frozen=True)
class Labels:
    """The classes that some labels are.

    Attributes:
        classes: Their names, lowest first.
        ordered: Whether their order is known: numbers, a known scale, or as the user gave them.
        codes: Spelling → number of the class, or -1 for no label. A spelling that is none of the
            classes that the user gave has no entry.
        joined: Class → its spellings → rows, for classes with several spellings.
        missing: Spelling of no label → rows.
    """

    classes: tuple[str, ...]
    ordered: bool
    codes: Mapping[str, int]
    joined: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]


def read_labels(counts: Mapping[str, int], given: Sequence[str] = ()) -> Labels:
    """Returns the classes of labels.

    Args:
        counts: Spelling → the number of rows that have it.
        given: The names of the classes, lowest first; empty if they are to be found.

    Raises:
        UsageError: If two of the given names are the same class.
    """
    members: dict[str, dict[str, int]] = {}  # what counts of a label → its spellings → rows
    missing = {}
    asked: dict[str, str] = {}
    for name in given:
        if _key(name) in asked:
            message = f"expected different classes. Received {asked[_key(name)]!r} and {name!r}."
            raise UsageError(message, setting="data.labels")
        asked[_key(name)] = name
    for spelling in sorted(counts):
        key = _key(spelling)
        if key in asked or key not in _NOTHING:
            members.setdefault(key, {})[spelling] = counts[spelling]
        else:
            missing[spelling] = counts[spelling]
    if given:
        keys, ordered, names = list(asked), True, asked
    else:
        keys, ordered = _sorted(members)
        names = {key: _name(key, members[key]) for key in keys}
    codes = dict.fromkeys(missing, -1)
    for number, key in enumerate(keys):
        codes |= dict.fromkeys(members.get(key, ()), number)
    joined = {names[key]: members[key] for key in keys if len(members.get(key, ())) > 1}
    return Labels(tuple(names[key] for key in keys), ordered, codes, joined, missing)


def _key(label: str) -> str:
    """Returns what counts of a label: its value, or its visible letters without case."""
    visible = (
        " " if unicodedata.category(each)[0] in "CZ" and each.isspace() else each
        for each in unicodedata.normalize("NFKC", label)
        if each.isspace() or unicodedata.category(each) not in ("Cf", "Cc", "Co", "Cn")
    )  # fmt: skip
    text = " ".join("".join(visible).replace("\u2212", "-").split()).casefold()
    text = re.sub("[\ufe00-\ufe0f]", "", text)
    number = re.sub(r"^([+-]?\d+),(\d+)$", r"\1.\2", text)
    if text.isascii() and _NUMBER.fullmatch(number):
        return _shortest(Decimal(number))
    return re.sub(r"(?<=\w)[_-](?=\w)", " ", text)


def _shortest(value: Decimal) -> str:
    if value == value.to_integral_value():
        return str(int(value))
    return format(value.normalize(), "f")


def _name(key: str, spellings: Mapping[str, int]) -> str:
    """Returns the name of a class: the number, or the most frequent spelling."""
    if _NUMBER.fullmatch(key):
        return key
    best = min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
    visible = (
        each for each in best if unicodedata.category(each) not in ("Cf", "Cc") or each == " "
    )
    return " ".join("".join(visible).split())


def _sorted(keys: Iterable[str]) -> tuple[list[str], bool]:
    """Returns classes in order, and whether the order is known."""
    keys = sorted(keys)
    if all(_NUMBER.fullmatch(key) for key in keys):
        return sorted(keys, key=Decimal), True
    if places := _numbers_within(keys) or _places(keys):
        return sorted(keys, key=places.__getitem__), True
    return keys, False


def _numbers_within(keys: Sequence[str]) -> dict[str, Decimal] | None:
    """Returns the number within each class, if they differ in one number only."""
    found, rests = {}, set()
    for key in keys:
        if key and not key.strip("*★⭐☆"):
            found[key] = Decimal(len(key.rstrip("☆")))
            rests.add("*")
            continue
        words = [str(_WORDS.index(word)) if word in _WORDS else word for word in key.split()]
        text = " ".join(words)
        numbers = _WITHIN.findall(text)
        if not numbers:
            return None
        found[key] = Decimal(numbers[0])
        rest = text.replace(numbers[0], "#", 1)
        rests.add(re.sub(r"s\b", "", rest))  # 1 star, 2 stars
    return found if len(rests) == 1 and len(set(found.values())) == len(found) else None


def _places(keys: Sequence[str]) -> dict[str, int] | None:
    """Returns the place of each class on the first known scale that has them all."""
    for scale in _SCALES:
        places = {name: place for place, names in enumerate(scale) for name in names}
        found = {key: places[key] for key in keys if key in places}
        if len(found) == len(keys) == len(set(found.values())):
            return found
    return None
