r"""Texts as programs write them → texts as people wrote them.

Markup: tags, `&amp;`, a written-out `\n`. Python's notation: `['a', 'list']`, `b'bytes'`.
"""

import ast
import html
import re

_WRITTEN_BREAKS = re.compile(r"\\r\\n|\\n|\\r")
# `*+` never gives back what it took, so a long run of spaces costs no more than its length.
_BREAKS = re.compile(r"<\s*+(?:/\s*+)?(?:br|p)\s*+(?:/\s*+)?>", re.IGNORECASE)
_TAGS = re.compile(r"</?(?:i|b|u|em|strong|span|a|div)(?:\s[^<>]*)?>", re.IGNORECASE)
# More digits are no character, and Python refuses to read thousands of them.
_ENTITIES = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]+);")
_LIST = re.compile(r"\s*\[\s*(['\"]).*\1\s*+(?:,\s*+)?\]\s*", re.DOTALL)
_BYTES = re.compile(r"\s*b(['\"]).*\1\s*", re.DOTALL)
_WITHOUT_COMMA = re.compile(r"(?<=[^,\[\s]['\"])\s+(?=['\"])")  # in NumPy's lists
_LABEL = re.compile(r"\s*+\[\s*+(['\"]?)([^\[\],'\"]*+)\1\s*+(?:,\s*+)?\]\s*+")
_BRACKETS = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_NUMBERS = re.compile(r"[\d.]+(?:\s+[\d.]+)+")
_LONGEST = 200_000  # characters of a text in Python's notation


def undo_markup(text: str) -> str:
    r"""Returns a text with tags as spaces, `&amp;` as `&`, a written-out `\n` as a space."""
    if "\\" in text:
        text = _WRITTEN_BREAKS.sub(" ", text).replace('\\"', '"').replace("\\'", "'")
    if "<" in text:
        text = _BREAKS.sub(" ", text)
        text = _TAGS.sub("", text) if "</" in text else text
    return _ENTITIES.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text


def undo_lines(text: str) -> list[str]:
    r"""Returns the lines of a text that `<br>`, `<p>`, a written-out `\n` or a real one ends."""
    if "<" in text or "\\" in text:
        text = _BREAKS.sub("\n", _WRITTEN_BREAKS.sub("\n", text))
    return text.splitlines()


def undo_python(text: str) -> str:
    """Returns a text that was a list of strings, or bytes in UTF-8, in Python's notation.

    A longer text than a book's chapter is returned as it is: Python takes 450 times its memory.
    """
    if len(text) > _LONGEST:
        return text
    if _LIST.fullmatch(text):
        value = _value(_WITHOUT_COMMA.sub(", ", text))
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return " ".join(value)
    elif _BYTES.fullmatch(text):
        value = _value(text)
        if isinstance(value, bytes):
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return text
    return text


def only_entry(label: str) -> str | None:
    """Returns the entry of a list of one in Python's notation; None for several entries.

    Any other label is returned as it is.
    """
    if not _BRACKETS.fullmatch(label):
        return label
    found = _LABEL.fullmatch(label)
    if found is None or _NUMBERS.fullmatch(found[2]):
        return None
    return found[2]


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
