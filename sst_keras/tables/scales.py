"""Whether classes are a scale, and in which order: by their numbers, or by words that are known."""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from sst_keras.tables.spelling import WITHIN, glued

# Scales with two poles. How strong a pole is, is said by the words before it.
_POLES = (
    "negative neg negativ négatif negativo < positive pos positiv positif positivo",
    "bad < good",
    "dissatisfied unsatisfied < satisfied",
    "unhappy sad < happy",
    "disagree < agree",
    "unlikely < likely",
    "low < high",
    "worse < better",
    "unfavorable unfavourable < favorable favourable",
    "unhelpful < helpful",
    "unimportant < important",
    "oppose < support",
    "dislike < like",
    "bearish < bullish",
)
_STRENGTH = {
    "slightly, somewhat, weakly, weak, mildly, partly, a little, a bit": 1,
    "moderately, rather, fairly, mostly": 2,
    "": 3,
    "very, v, strongly, strong, highly, much, a lot, really, sehr, très, muy, molto, muito": 4,
    "extremely, completely, totally, entirely, fully": 5,
}
_LACK = {"not at all": -5, "not": -3, "not very": -1, "not so": -1}  # before the upper pole
_MIDDLE = (
    "neutral, neu, neut, neutre, neutro, neither, mixed, ok, okay, average, medium, moderate, "
    "normal, mid, fair, so so, undecided, unsure, not sure, indifferent, the same, same, "
    "about the same, unchanged, no change"
)
# Other scales: synonyms are separated by commas.
_LADDERS = (
    "worst < terrible, awful, horrible, dreadful, abysmal, extremely poor, extremely bad, "
    "unacceptable < very poor, very bad < poor, bad, unsatisfactory, inadequate, weak < "
    "below average, mediocre, needs improvement < average, ok, okay, fair, so so, acceptable, "
    "adequate, medium, moderate, neutral, satisfactory, fine < above average, decent < good < "
    "very good, great < excellent, amazing, awesome, outstanding, superb, fantastic, wonderful, "
    "exceptional, extremely good < perfect, best",
    "worst < worse < bad < ok, okay, average, neutral < good < better < best",
    "hate, hated < dislike, disliked < neutral, ok, okay < like, liked < love, loved",
    "never < almost never, very rarely < rarely, seldom < sometimes, occasionally < "
    "often, frequently < usually, very often, almost always < always",
    "lowest, extremely low < very low < low < medium, moderate, mid, med, average, normal < high < "
    "very high < highest, extremely high, critical",
    "minimal, very mild < mild, minor, slight < moderate, medium < severe, major, serious < "
    "critical, extreme, very severe",
    "xxs < tiny, xs, extra small, very small < small, s < medium, m, mid, average < large, big, l "
    "< huge, xl, extra large, very large < xxl < xxxl",
    "impossible < very unlikely < unlikely, improbable < possible, maybe < likely, probable < "
    "very likely < certain",
    "definitely not, definitely no < no, n, probably not, probably no < maybe, perhaps, unsure, "
    "undecided, not sure, partly, partially, neutral < yes, y, probably, probably yes < "
    "definitely, definitely yes",
    "false, f < true, t",
    "off < on",
    "fail, failed < pass, passed",
    "not recommended, not recommend < neutral, mixed < recommended, recommend < "
    "highly recommended, strongly recommended",
    "thumbs down < thumbs up",
    "👎 < 👍",
    "rotten < fresh",
    "loss < draw < win",
    "strong sell < sell < hold < buy < strong buy",
    "dovish < neutral < hawkish",
    "against < neutral, neither < favor, favour, for, in favor, in favour",
    "con, cons < neutral < pro, pros",
    "detractor < passive < promoter",
    "down < flat, neutral < up",
    "n+ < n < neu < p < p+",
    ":(( < :( < :| < :) < :))",
    "😡, 😠 < 🙁, ☹, 😞, 😢, 😟 < 😐, 😶 < 🙂, 😊, 😀, 😃, ☺ < 😍",
    "--- < -- < - < 0, o, +-, +/-, ±, neutral < + < ++ < +++",
)
# Fewer to more: "★★☆" is two.
_STAR = re.compile(r"(?<!\d)([★⭐🌟✭✮*](?: ?[★⭐🌟✭✮*])*)?((?: ?☆)*)(?!\d)")
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_NUMBER_WORD = re.compile(rf"(?<![^\W_])(?:{'|'.join(_WORDS)})(?![^\W_])")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)(?![^\W_])")


def order(labels: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the places of `labels`, lowest first, or None if they are not known to be a scale.

    Args:
        labels: Labels as `spelling.plain` returns them, all different.
    """
    return _by_number(labels) or _by_length(labels) or _by_words([glued(x) for x in labels])


def _by_number(labels: Sequence[str]) -> tuple[int, ...] | None:
    """Sorts labels of which exactly one number varies.

    The words around it must be equal, unless each label begins or ends with its number.
    """
    texts = [_with_digits(label) for label in labels]
    found = [[Decimal(number) for number in WITHIN.findall(text)] for text in texts]
    if not found or len({len(numbers) for numbers in found}) > 1:
        return None
    columns = [column for column in zip(*found, strict=True) if len(set(column)) > 1]
    if len(labels) == 1 and found[0]:
        columns = [(found[0][0],)]
    if len(columns) != 1 or len(set(columns[0])) < len(labels):
        return None
    values = columns[0]
    places = tuple(sorted(range(len(labels)), key=values.__getitem__))
    words = [WITHIN.sub("\0", glued(text)) for text in texts]
    if len(set(words)) == 1:
        # In "1/2" and "1/4" the denominator varies.
        varies = [len(set(column)) > 1 for column in zip(*found, strict=True)]
        return None if True in varies[1:] and re.search(r"/\0|of\0", words[0]) else places
    begins = all(re.match(r"\W*\d+(?:\.\d+)?(?![^\W_])", text) for text in texts)
    ends = all(re.search(r"(?<![^\W_])(?<!\d\.)\d+(?:\.\d+)?\W*$", text) for text in texts)
    if len(found[0]) > 1 or not (begins or ends):
        return None
    by_words = _by_words([re.sub(r"[\0\W]", "", text) for text in words])
    return places if by_words in (None, places, places[::-1]) else None


def _with_digits(label: str) -> str:
    text = _ORDINAL.sub("", label)
    if re.search(r"\d", text) is None:
        text = _NUMBER_WORD.sub(lambda match: str(_WORDS.index(match[0])), text)
    return _STAR.sub(lambda match: _stars(match) if match[0] else "", text)


def _stars(match: re.Match) -> str:
    return str(len((match[1] or "").replace(" ", "")))


def _by_length(labels: Sequence[str]) -> tuple[int, ...] | None:
    """Sorts runs of one symbol, such as "$" and "$$$"."""
    runs = [label.replace(" ", "") for label in labels]
    lengths = {len(run) for run in runs}
    if len(set("".join(runs))) != 1 or runs[0][0].isalnum() or len(lengths) < len(runs):
        return None
    return tuple(sorted(range(len(runs)), key=lambda place: len(runs[place])))


def _by_words(labels: Sequence[str]) -> tuple[int, ...] | None:
    """Sorts labels that are distinct places of a known scale, if no other scale contradicts."""
    orders = {
        tuple(sorted(range(len(labels)), key=lambda place: scale[labels[place]]))
        for scale in _scales()
        if all(label in scale for label in labels)
        and len({scale[label] for label in labels}) == len(labels) > 1
    }
    return orders.pop() if len(orders) == 1 else None


@cache
def _scales() -> tuple[dict[str, int], ...]:
    """Returns word without spaces → place, for each known scale."""
    scales = []
    for poles in _POLES:
        low, high = (pole.split() for pole in poles.split(" < "))
        scale = dict.fromkeys(_glued_list(_MIDDLE), 0)
        scale |= {f"neither{a}nor{b}": 0 for x in low for y in high for a, b in ((x, y), (y, x))}
        for words, strength in _STRENGTH.items():
            for word in _glued_list(words):
                scale |= {word + pole: -strength for pole in low}
                scale |= {word + pole: strength for pole in high}
        scale |= {glued(lack) + pole: place for lack, place in _LACK.items() for pole in high}
        scales.append(scale)
    for ladder in _LADDERS:
        rungs = ladder.split(" < ")
        scales.append({word: place for place, x in enumerate(rungs) for word in _glued_list(x)})
    return tuple(scales)


def _glued_list(words: str) -> list[str]:
    return [glued(word) for word in words.split(", ")]
