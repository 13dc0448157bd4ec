"""Control characters in texts that others wrote."""

import re

# Those but tab and line feed, and those that change the direction of writing: they could clear the
# screen, set its title, or make a text look like another. Halves of surrogate pairs, which stand
# for bytes of a file's name that are not UTF-8, could not be written at all.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069"
    "\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Returns a text with control characters in their escaped form, such as `\\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def in_json(text: str) -> str:
    """Returns JSON with control characters in its strings as JSON's escapes, such as `\\u009b`."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
