"""Sentences whose answers are clear: which of them does a model get wrong?

In the manner of Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList",
ACL 2020. The sentences are in `data/behaviour/`, a file for each capability, and its README says
when a model fails.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import locations
from sst_keras.errors import InputError, UsageError
from sst_keras.serving.prediction import Prediction, Predictor

# The order in which people read them; files of other names follow.
_ORDER = ("plain", "negation", "negated-negatives", "contrast", "comparatives", "questions")
# What the lowest and the highest class may be called, as in "very negative".
_NEGATIVE = ("negative", "neg", "bad", "poor", "terrible", "awful")
_POSITIVE = ("positive", "pos", "good", "great", "excellent")
_OF_ONE = ("negative", "positive", "not negative", "not positive")
_OF_TWO = ("same", "higher", "lower")


@dataclass(frozen=True)
class Case:
    """A sentence, or two, and what a model should say of them.

    Attributes:
        expected: `negative`, `positive`, `not negative` or `not positive` for one sentence; `same`,
            `higher` or `lower` for what the `other` one changes.
    """

    capability: str
    text: str
    expected: str
    other: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a model said of a case.

    Attributes:
        answers: The predicted class of each sentence.
        mean_classes: The mean class of each, from 0, weighted by the probabilities.
    """

    case: Case
    answers: tuple[str, ...]
    mean_classes: tuple[float, ...]
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns sentences, answers and whether they are as expected, for JSON."""
        case = self.case
        other = {"other": case.other} if case.other else {}
        said = {"answers": list(self.answers), "mean_classes": list(self.mean_classes)}
        return {
            "text": case.text, **other, "expected": case.expected, **said, "passed": self.passed,
        }  # fmt: skip


@dataclass(frozen=True)
class Capability:
    """The outcomes of the cases of one capability."""

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> list[Outcome]:
        """The cases that the model gets wrong."""
        return [outcome for outcome in self.outcomes if not outcome.passed]

    @property
    def failure_rate(self) -> float:
        """The share of the cases that the model gets wrong, 0 to 1."""
        return len(self.failures) / len(self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Returns counts, the failure rate and every outcome, for JSON."""
        return {
            "capability": self.name,
            "cases": len(self.outcomes),
            "failures": len(self.failures),
            "failure_rate": self.failure_rate,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
        }


def is_sentiment(class_names: Sequence[str]) -> bool:
    """Returns whether the names of the classes say that they go from negative to positive."""
    ends = class_names[0].lower().split()[-1:], class_names[-1].lower().split()[-1:]
    lowest, highest = ("".join(end) for end in ends)
    return lowest in _NEGATIVE and highest in _POSITIVE


def load_cases(folder: str | Path | None = None) -> list[Case]:
    """Reads the cases of a folder, by default those that ship with the package.

    Raises:
        InputError: If a file is not such a file.
    """
    folder = Path(folder or locations.bundled("behaviour"))
    found = sorted(folder.glob("*.csv"))
    if not found:
        raise InputError(f"{folder}: expected files of cases (*.csv). Install the package again.")
    order = {name: place for place, name in enumerate(_ORDER)}
    found.sort(key=lambda path: (order.get(path.stem, len(order)), path.stem))
    return [case for path in found for case in _read(path)]


def _read(path: Path) -> list[Case]:
    cases = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            has_two = bool(row.get("other"))
            kinds = _OF_TWO if has_two else _OF_ONE
            if None in row or not row.get("text") or row.get("expected") not in kinds:
                raise InputError(
                    f"{path}, case {len(cases) + 1}: expected a text, and as expected one of "
                    f"{', '.join(kinds)}. Received: {row}"
                )
            cases.append(Case(path.stem, row["text"], row["expected"], row.get("other", "")))
    return cases


def check(
    predict: Callable[[Sequence[str]], Sequence[Prediction]], cases: Sequence[Case]
) -> list[Capability]:
    """Returns what a model says of the cases, by capability.

    `predict` returns a prediction for each text. The classes must be a scale from negative to
    positive.

    Raises:
        UsageError: If there are fewer than two classes.
    """
    texts = list(dict.fromkeys(text for case in cases for text in (case.text, case.other) if text))
    found = dict(zip(texts, predict(texts), strict=True))
    if len(next(iter(found.values())).probabilities) < 2:
        raise UsageError("expected a model of two or more classes, from negative to positive.")
    by_name: dict[str, list[Outcome]] = {}
    for case in cases:
        answers = [found[text] for text in (case.text, case.other) if text]
        names = tuple(answer.class_name for answer in answers)
        means = tuple(_mean_class(answer) for answer in answers)
        outcome = Outcome(case, names, means, _passes(case.expected, answers, means))
        by_name.setdefault(case.capability, []).append(outcome)
    return [Capability(name, tuple(outcomes)) for name, outcomes in by_name.items()]


def summary(predictor: Predictor) -> list[dict[str, Any]]:
    """Returns a model's `Capability.to_dict`s; none if its classes are not sentiments."""
    if not is_sentiment(predictor.class_names):
        return []
    return [capability.to_dict() for capability in check(predictor.predict, load_cases())]


def _passes(expected: str, answers: Sequence[Prediction], means: Sequence[float]) -> bool:
    if expected == "same":
        return answers[0].label == answers[1].label
    if expected in _OF_TWO:
        return means[1] > means[0] if expected == "higher" else means[1] < means[0]
    (answer,) = answers
    middle = (len(answer.probabilities) - 1) / 2
    side = "negative" if answer.label < middle else "positive" if answer.label > middle else ""
    denied = expected.removeprefix("not ")
    return side != denied if denied != expected else side == expected


def _mean_class(answer: Prediction) -> float:
    probabilities = list(answer.probabilities.values())
    return float(np.dot(probabilities, range(len(probabilities))))
