"""When two labels are the same label. The rule is in the documentation of `tables.labels`."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal

# White space, and letters and symbols that are drawn as white space.
_BLANK = re.compile("[\\s\u115f\u1160\u2800\u3164\uffa0]+")
_PICTURE = "[\u2190-\u2bff\U0001f000-\U0001faff]"
# Controls, and what Unicode calls default-ignorable. A joiner between two pictures stays: it makes
# another picture of them.
_INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200c"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    f"|(?<!{_PICTURE})(?<!{_PICTURE}\ufe0f)\u200d|\u200d(?!{_PICTURE})"
)
_BEYOND_ASCII = re.compile("[^\0-\x7f]")
# Characters that look the same, and that Unicode's compatibility form does not join.
_SAME = str.maketrans(
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2018\u2019\u02bc`´\u201c\u201d\u066b",
    "--------'''''\"\".",
)
# Greek and Cyrillic letters that look like Latin ones.
_LATIN = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοАВЕКМНОРСТУХЅІЈаеорсухѕіј", "ABEZHIKMNOPTYXoABEKMHOPCTYXSIJaeopcyxsij"
)
_GREEK_OR_CYRILLIC = re.compile("[\u0370-\u052f]")
_QUARTERS = {"¼": ".25", "½": ".5", "¾": ".75"}
_QUARTER = re.compile("(?:(?<=[0-9]) )?([¼½¾])")
_KEPT = ("<fraction>", "<super>", "<sub>")  # decompositions that change what a number means

_NUMBER = re.compile(r"[+-]?(?:\d{1,99}\.?\d{0,99}|\.\d{1,99})(?:e[+-]?\d{1,2})?")
# A number within words, but no part of a date, of a version or of a number with thousands.
WITHIN = re.compile(r"(?<!\d)(?<!\d[.,_ ])(?:(?<![^\W_])[+-])?\d+(?:\.\d+)?(?![.,_ ]?\d)")
_COMMA = re.compile(r"(?<=\d),(?=\d)")
_DECIMAL_COMMA = re.compile(r"[^,]*(?<!\d)(?:\d+,(?:\d\d?|\d{4,})|0,\d+)(?![\d.])[^,]*")
_SEPARATOR = re.compile(r"[\s_-]+")
_PLURAL = re.compile(r"(\d[\s_-]?[^\W\d_]{2,})s\b")


def shown(text: str) -> str:
    """Returns a label as one sees it: composed, single spaces, no invisible characters."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFC", _BLANK.sub(" ", text).strip())


def uses_decimal_comma(labels: Iterable[str]) -> bool:
    """Returns whether a comma between digits is a decimal comma in all labels that have one.

    "1,000" may mean a thousand, and "1,2,3" is a list: with one of them, no comma is.
    """
    return all(_DECIMAL_COMMA.fullmatch(label) for label in labels if _COMMA.search(label))


def plain(text: str, comma: bool = False) -> str:
    """Returns a label in lower case, in compatible characters, and with its numbers as `number`.

    Args:
        text: The label.
        comma: Whether a comma between digits is a decimal comma.
    """
    text = shown(text)
    if not text.isascii():
        text = _BEYOND_ASCII.sub(_compatible, text).translate(_SAME)
        text = _QUARTER.sub(lambda match: _QUARTERS[match[1]], text)
    # Turkish has an i with and one without its dot, in both cases.
    text = text.casefold().replace("i\u0307", "i").replace("ı", "i")
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    if comma:
        text = _COMMA.sub(".", text)
    value = number(text)
    if value is not None:
        return value
    words = WITHIN.sub(lambda match: number(match[0]) or match[0], text)
    return text if number(words) else words  # ".-0" is not ".0"


def number(text: str) -> str | None:
    """Returns a number exactly: in whole digits, or as its shortest decimal. None if it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    written = format(Decimal(text), "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def glued(text: str) -> str:
    """Returns what `plain` returned, without spaces, hyphens and underscores between words.

    Those between two numbers stay, and so does what may be a minus sign. The s of a plural after a
    number goes.
    """
    return _SEPARATOR.sub(_glue, _PLURAL.sub(r"\1", text))


def identities(forms: Mapping[str, str], comma: bool = False) -> dict[str, str]:
    """Returns label → a string that is the same for all spellings of one label.

    Args:
        forms: Label → what `plain` returned for it.
        comma: Whether a comma between digits is a decimal comma.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parent.setdefault(key, key)) != key:
            key = above
        return key

    keys = {label: glued(forms[label]) for label in sorted(forms)}
    for label, key in keys.items():
        if label.isascii():
            continue
        latin = shown(label).translate(_LATIN)
        if not _GREEK_OR_CYRILLIC.search(latin):
            parent[root(key)] = root(glued(plain(latin, comma)))
    return {label: root(key) for label, key in keys.items()}


def _compatible(match: re.Match) -> str:
    if unicodedata.decomposition(match[0]).startswith(_KEPT):
        return match[0]
    return unicodedata.normalize("NFKC", match[0])


def _glue(match: re.Match) -> str:
    text, start, end = match.string, match.start(), match.end()
    if start == 0 or end == len(text):
        return match[0]
    before, after = text[start - 1], text[end]
    numbers = before.isdecimal() + after.isdecimal()
    if numbers == 0 or numbers == 1 and match[0] == " ":
        return ""
    words = _is_word(before) or _is_word(after)
    # "class-1" is the class 1, but "class -1" may not be.
    return "" if numbers == 1 and words and (before.isdecimal() or len(match[0]) == 1) else match[0]


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"
