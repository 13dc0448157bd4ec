"""How files of vectors write their words: `/c/en/film`, `film_NOUN`. Patterns, and which one fits.

A pattern has `{word}` where the word is, and may have `{tag}` where a part of speech or another
mark is, which is passed over: `/c/en/{word}`, `{word}_{tag}`.
"""

import json
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sst_keras.errors import UsageError

PLAIN = "{word}"
_PLACES = {"{word}": "(?P<word>.+)", "{tag}": "(?:.+?)"}
# Runs of letters that may be a word. Ġ is the space of byte-pair encodings.
_LETTERS = re.compile(r"[^\W\d_Ġ]{3,}")
_SHOWN = 3  # words in a message
_LEAST = 0.3  # share of the texts' words, or of the keys, that a pattern must find


def compile_pattern(pattern: str) -> re.Pattern[bytes] | None:
    """Returns the expression whose group `word` is a key's word; None for the pattern `{word}`.

    Raises:
        UsageError: If the pattern does not have `{word}` once and `{tag}` at most once.
    """
    if pattern.count("{word}") != 1 or pattern.count("{tag}") > 1:
        raise UsageError(
            f"expected {{word}} where the file's keys have the word, and at most one {{tag}}, such "
            f"as /c/en/{{word}} or {{word}}_{{tag}}. Received: {pattern!r}",
            setting="embedding.key_pattern",
        )
    if pattern == PLAIN:
        return None
    parts = re.split(r"(\{word\}|\{tag\})", pattern)
    source = "".join(_PLACES.get(part) or re.escape(part) for part in parts)
    return re.compile(source.encode("utf-8"), re.DOTALL)


@dataclass(frozen=True)
class Diagnosis:
    """Why the keys of a file are not the words of some texts.

    Attributes:
        keys: A few keys of the file. If there is a pattern, it fits the first.
        words: A few words of the texts. If there is a pattern, the first is that of the first key.
        pattern: The pattern that makes words of the texts out of the keys; empty if there is none.
        scripts: The most frequent alphabets of the keys and of the words, such as CYRILLIC.
    """

    keys: tuple[str, ...]
    words: tuple[str, ...]
    pattern: str
    scripts: tuple[str, str]

    def __str__(self) -> str:
        keys, words = (", ".join(map(repr, shown)) for shown in (self.keys, self.words))
        message = f"The file has {keys}; the texts have {words}."
        if self.pattern:
            # A value in quotes would be read without them.
            is_quoted = self.pattern[0] in "\"'"
            value = json.dumps(self.pattern, ensure_ascii=False) if is_quoted else self.pattern
            override = shlex.quote(f"embedding.key_pattern={value}")
            return f"{message} The file writes its words as {self.pattern}: use --set {override}."
        theirs, ours = self.scripts
        if theirs and ours and theirs != ours:
            return f"{message} The file's alphabet is {theirs.title()}, the texts' {ours.title()}."
        return f"{message} They may be of different languages or spellings."


def diagnose(keys: Iterable[bytes], counts: Mapping[str, int]) -> Diagnosis:
    """Compares the keys of a file with how often each word occurs in some texts."""
    words = {word.lower(): count for word, count in counts.items() if _LETTERS.fullmatch(word)}
    found: dict[str, dict[str, str]] = {}  # pattern → word → its first key
    total = 0
    first: list[str] = []
    scripts: Counter[str] = Counter()
    for raw in keys:
        key = raw.decode("utf-8", "replace")
        total += 1
        if len(first) < 1000 and any(map(str.isalpha, key)):
            first.append(key)
            scripts.update(_scripts(key))
        for run in _LETTERS.finditer(key):
            word = run[0].lower()
            if word in words:
                for pattern in _patterns(key[: run.start()], key[run.end() :]):
                    found.setdefault(pattern, {}).setdefault(word, key)
    occurrences = sum(words.values())
    shares = {
        pattern: max(sum(map(words.get, by_word)) / occurrences, len(by_word) / total)
        for pattern, by_word in found.items()
    }
    pattern = _best(shares)
    frequent = sorted(
        (word for word in counts if any(map(str.isalpha, word))),
        key=lambda word: (-counts[word], word),
    )
    shown_keys, shown_words = first[:_SHOWN], frequent[:_SHOWN]
    if pattern:
        word = min(found[pattern], key=lambda word: (-words[word], word))
        shown_keys, shown_words = [found[pattern][word]], [word]
    theirs = [name for name, _ in scripts.most_common(1)]
    ours = Counter(name for word in frequent[:1000] for name in _scripts(word)).most_common(1)
    return Diagnosis(
        tuple(shown_keys),
        tuple(shown_words),
        pattern,
        (theirs[0] if theirs else "", ours[0][0] if ours else ""),
    )


def _patterns(before: str, after: str) -> Iterator[str]:
    """Yields the patterns that a key may have which is a word with something before and after."""
    if any(sign in before + after for sign in "{}") or any(map(str.isspace, before + after)):
        return
    fronts, backs = [before], [after]
    if re.fullmatch(r"[^\W_]+[\W_]", before):
        fronts.append("{tag}" + before[-1])
    if len(after) > 1 and not after[0].isalnum():
        backs.append(after[0] + "{tag}")
    for front in fronts:
        for back in backs:
            if "{tag}" not in front or "{tag}" not in back:
                yield f"{front}{{word}}{back}"


def _best(shares: Mapping[str, float]) -> str:
    """Returns the pattern to propose: one without a tag if it finds nearly as much."""
    if not shares:
        return ""
    best = max(shares, key=lambda pattern: (shares[pattern], -len(pattern), pattern))
    exact = [name for name in shares if "{tag}" not in name and shares[name] >= 0.9 * shares[best]]
    if exact:
        best = max(exact, key=lambda name: (shares[name], -len(name), name))
    plain = shares.get(PLAIN, 0.0)
    return best if best != PLAIN and shares[best] >= max(_LEAST, 2 * plain) else ""


def _scripts(text: str) -> Iterator[str]:
    """Yields the alphabet of each letter, such as LATIN."""
    for sign in text:
        if sign.isalpha():
            yield unicodedata.name(sign, "UNKNOWN").split()[0]
