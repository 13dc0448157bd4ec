"""A classifier on a split of a data set → `Evaluation`: accuracy, F1, confusion, calibration."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from sst_keras import error_analysis
from sst_keras.calibration import FEWEST, fit_temperature
from sst_keras.classifier import Classifier
from sst_keras.corpora import SPLITS, Corpus, Split, load_corpus, read_phrases
from sst_keras.error_analysis import ErrorAnalysis
from sst_keras.errors import InputError, UsageError
from sst_keras.metrics import Metrics, PairedDifference, compute_metrics, paired_difference
from sst_keras.runs import RunDirectory
from sst_keras.settings import DataConfig

log = logging.getLogger(__name__)

_ORDINAL = (
    "mean_absolute_error", "within_one_accuracy", "polarity_accuracy", "quadratic_weighted_kappa",
)  # fmt: skip
# The settings with which a run also reads another data set.
_KEPT = (
    "text_column", "label_column", "group_column", "labels", "ordinal", "split_seed", "markup",
)  # fmt: skip
_FEW = 100  # texts; with fewer, the interval of an accuracy of 50 % is wider than 19 points


@dataclass(frozen=True)
class Evaluation:
    """The scores of a classifier on a split.

    Attributes:
        dataset: The data set's name or path.
        class_names: The classes, lowest first.
        is_own_data: Whether the run was trained with this data set.
        ordered: Whether the order of the classes is a scale. If not, scores that measure distances
            between classes are None in `to_dict`.
        notes: What a user should know about the data set, one sentence each.
        uncalibrated: The run's `temperature` and, without it, `loss` and
            `expected_calibration_error`, if they were measured.
        errors: Where it is wrong, if that was asked for.
        against: Name of another run → its accuracy on the same texts, and how this run differs.
    """

    dataset: str
    split: str
    class_names: tuple[str, ...]
    metrics: Metrics
    is_own_data: bool = True
    ordered: bool = True
    notes: tuple[str, ...] = ()
    uncalibrated: Mapping[str, float] | None = None
    errors: ErrorAnalysis | None = None
    against: Mapping[str, tuple[float, PairedDifference]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the scores by name, for JSON."""
        scores = self.metrics.to_dict()
        for row in scores["per_class"]:
            row["class_name"] = self.class_names[row["label"]]
        if not self.ordered:
            scores |= dict.fromkeys(_ORDINAL)
        head = {"dataset": self.dataset, "split": self.split, "class_names": list(self.class_names)}
        more = {"uncalibrated": self.uncalibrated} if self.uncalibrated else {}
        if self.errors:
            more["errors"] = self.errors.to_dict()
        if self.against:
            more["against"] = [
                {"run": name, "accuracy": accuracy} | asdict(difference)
                for name, (accuracy, difference) in self.against.items()
            ]
        return {**head, **scores, **more, "warnings": self.warnings()}

    @property
    def majority_class(self) -> str:
        """The name of the split's largest class."""
        return self.class_names[self.metrics.majority_label]

    def warnings(self) -> list[str]:
        """Returns what makes these scores say less than they seem to, one sentence each."""
        metrics, largest = self.metrics, self.majority_class
        rows = list(zip(self.class_names, metrics.per_class, strict=True))
        absent = [name for name, row in rows if not row["support"]]
        predicted = [name for name, row in rows if row["predicted"]]
        found = []
        if len(absent) == len(rows) - 1:
            found.append(
                f"All texts of {self.split} have the class {largest!r}: the scores show nothing "
                f"about the other classes."
            )
        elif len(predicted) == 1:
            found.append(f"The model predicts {predicted[0]!r} for every text of {self.split}.")
        if 0 < len(absent) < len(rows) - 1:
            names = ", ".join(map(repr, absent))
            found.append(f"{self.split} has no text of {names}; macro F1 counts each as 0.")
        if metrics.n < _FEW:
            low, high = (f"{end:.0%}" for end in metrics.accuracy_interval)
            texts = "1 text" if metrics.n == 1 else f"{metrics.n} texts"
            found.append(
                f"{self.split} has only {texts}: the accuracy is a rough estimate, from {low} to "
                f"{high} with a confidence of 95 %."
            )
        return found


def evaluate(
    run: RunDirectory,
    split: str | None = None,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    errors: bool = False,
    against: Sequence[RunDirectory] = (),
    **reading: Any,
) -> Evaluation:
    """Scores a run's classifier.

    Args:
        run: The run.
        split: `train`, `dev` or `test` of a data set; by default test, and all texts of another
            data set that is one file.
        dataset: A data set with the same classes, to score instead of the run's own.
        data_dir: The folder that has `sst/`, instead of the environment's.
        errors: Whether to find out where the classifier is wrong, too.
        against: Runs with the same classes to compare it with, on the same texts.
        reading: Settings of `data` that say how another data set's files are read.

    Raises:
        UsageError: If there is no such split or data set, or other runs have other classes.
        InputError: If a file cannot be read, or the data set's classes are not the run's.
    """
    if split not in (None, *SPLITS):
        raise UsageError(f"expected one of {', '.join(SPLITS)}. Received: {split!r}", "split")
    notes: tuple[str, ...] = ()
    classifier = Classifier.load(run)
    if dataset is None:
        corpus, notes = own_corpus(run, data_dir)
        is_own_data = not notes
    else:
        own = replace(run.pipeline.data, examples="sentences", labels=classifier.class_names)
        corpus, is_own_data = _read_other(run, own, dataset, split, data_dir, reading)
        if not is_own_data:
            notes = _other_names(corpus.class_names, own.labels)
            notes += _trained_on(run, corpus.split(split or "test"))
    others = _others(against, run, classifier)
    for other in against:
        if other.environment().get("data_fingerprint") != corpus.fingerprint():
            notes += _trained_on(other, corpus.split(split or "test"), other.name)
    evaluation = score(classifier, corpus, split or "test", errors, others)
    if errors:
        data = replace(run.pipeline.data, dataset=corpus.name)
        if labelled := read_phrases(data, split or "test", data_dir):
            log.info(f"Scoring {len(labelled):,} labelled phrases ...")
            share = error_analysis.phrases(labelled, classifier.probabilities(labelled))
            evaluation = replace(evaluation, errors=replace(evaluation.errors, phrases=share))
    name = evaluation.split if len(corpus.train) else "all"
    notes = (*corpus.notes, *notes)
    before = run.metrics().get(name, {}).get("uncalibrated") if is_own_data else None
    return replace(
        evaluation, split=name, is_own_data=is_own_data, notes=notes, uncalibrated=before
    )


def own_corpus(
    run: RunDirectory, data_dir: str | Path | None = None, dataset: str | None = None
) -> tuple[Corpus, tuple[str, ...]]:
    """Reads the data set of a run, and returns a note if it has changed since.

    `dataset` is its current path, if it has moved.

    Raises:
        UsageError: If it is not there.
    """
    own = replace(run.pipeline.data, examples="sentences")
    own = replace(own, dataset=dataset or own.dataset)
    if own.dataset not in ("sst5", "sample") and not Path(own.dataset).exists():
        raise UsageError(
            f"the run was trained on {own.dataset!r}, which does not exist here. Give the "
            f"data set's current path.",
            setting="data.dataset",
        )
    corpus = load_corpus(own, data_dir)
    if corpus.fingerprint() == run.environment().get("data_fingerprint"):
        return corpus, ()
    return corpus, (f"{corpus.name} has changed since the run was trained.",)


def _read_other(
    run: RunDirectory,
    own: DataConfig,
    dataset: str,
    split: str | None,
    data_dir: str | Path | None,
    reading: Mapping[str, Any],
) -> tuple[Corpus, bool]:
    """Reads a data set by its path, and returns whether it is the run's own.

    The run's columns and classes apply to it, but its format is found anew.
    """
    own, known = replace(own, dataset=dataset), run.environment()
    kept = {name: getattr(own, name) for name in _KEPT}
    data = DataConfig(dataset=dataset, **(kept | reading))
    if split is None and "group_column" not in reading:
        data = replace(data, group_column="")  # Nothing is split.
    _check_names(data.labels, own.labels)
    try:
        corpus = load_corpus(data, data_dir, complete=split is None)
    except InputError as error:
        if error.setting != "data.labels" or "labels" in reading:
            raise
        raise type(error)(
            f"{error.message} These are the run's classes. If the data set has other names for "
            f"them, give those in the same order.",
            setting=error.setting,
        ) from None
    if corpus.rows_fingerprint() == known.get("rows_fingerprint"):
        corpus = load_corpus(own, data_dir)  # the run's own file, split as in training
    return corpus, corpus.fingerprint() == known.get("data_fingerprint")


def _check_names(given: Sequence[str], names: Sequence[str]) -> None:
    """Raises a `UsageError` if names of classes cannot be other names of the run's classes."""
    places = {name.casefold(): place for place, name in enumerate(names)}
    is_moved = any(places.get(name.casefold(), place) != place for place, name in enumerate(given))
    if len(given) != len(names) or is_moved:
        raise UsageError(
            f"expected the run's classes in its order, {', '.join(names)}, or other names for them "
            f"in this order. Received: {', '.join(given)}.",
            setting="data.labels",
        )


def _other_names(found: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Returns a note on classes of a data set that have other names than the run's."""
    pairs = zip(found, names, strict=True)
    renamed = [f"{a} = {b}" for a, b in pairs if a.casefold() != b.casefold()]
    if not renamed:
        return ()
    return (f"Classes of the data set and the model's classes: {', '.join(renamed)}.",)


def _others(
    against: Sequence[RunDirectory], run: RunDirectory, own: Classifier
) -> dict[str, Classifier]:
    """Returns the classifiers of runs that are compared with `run`, by name."""
    paths = [each.path.resolve() for each in (run, *against)]
    if twice := [path for number, path in enumerate(paths) if path in paths[:number]]:
        raise UsageError(f"expected other runs. {twice[0]} is named twice.", setting="against")
    names = [other.name for other in against]
    found = {}
    for other, name in zip(against, names, strict=True):
        classifier = Classifier.load(other)
        classes = [each.class_names for each in (own, classifier)]
        if len({tuple(map(str.casefold, each)) for each in classes}) > 1:
            raise UsageError(
                f"expected a run with the classes {', '.join(classes[0])}. {name} has "
                f"{', '.join(classes[1])}.",
                setting="against",
            )
        found[name if names.count(name) == 1 else str(other.path)] = classifier
    return found


def _trained_on(run: RunDirectory, examples: Split, name: str = "The model") -> tuple[str, ...]:
    """Returns a note if a run was trained on some of the texts."""
    count = int(np.isin(examples.texts.keys(), run.training_texts()).sum())
    if not count:
        return ()
    return (f"{name} was trained on {count:,} of these {len(examples):,} texts.",)


def score(
    classifier: Classifier,
    corpus: Corpus,
    split: str,
    errors: bool = False,
    others: Mapping[str, Classifier] = MappingProxyType({}),
) -> Evaluation:
    """Scores a classifier on a split of a data set.

    It perhaps also finds where it is wrong, and how it differs from others, which are named.
    """
    examples = corpus.split(split)
    probabilities = classifier.probabilities(examples)
    found = error_analysis.analyse(corpus, examples, probabilities) if errors else None
    hits, against = _hits(examples, probabilities), {}
    for name, other in others.items():
        other_hits = _hits(examples, other.probabilities(examples))
        against[name] = float(other_hits.mean()), paired_difference(hits, other_hits)
    return replace(_evaluation(corpus, split, probabilities), errors=found, against=against)


def _hits(examples: Split, probabilities: np.ndarray) -> np.ndarray:
    """Returns bool[examples], whether the most probable class is the true one."""
    return probabilities.argmax(axis=1) == examples.labels


def _evaluation(corpus: Corpus, split: str, probabilities: np.ndarray) -> Evaluation:
    metrics = compute_metrics(corpus.split(split).labels, probabilities)
    return Evaluation(corpus.name, split, corpus.class_names, metrics, ordered=corpus.ordered)


def calibrate(
    classifier: Classifier, corpus: Corpus, divide: Callable[[float], None]
) -> tuple[dict[str, Evaluation], dict[str, Evaluation]]:
    """Gives a classifier the temperature that suits dev.

    `divide` changes the classifier's model so that its logits are divided by a number. It is not
    called if dev has too few texts.

    Returns:
        `dev` and `test` → the scores with the temperature, and the same without it.
    """
    found = {split: classifier.probabilities(corpus.split(split)) for split in ("dev", "test")}
    before = {split: _evaluation(corpus, split, each) for split, each in found.items()}
    if len(corpus.dev) < FEWEST:
        log.info(
            f"Probabilities are not calibrated: dev has {len(corpus.dev)} texts, fewer than "
            f"{FEWEST}."
        )
        return before, before
    temperature = fit_temperature(corpus.dev.labels, found["dev"])
    divide(temperature)
    scores = {}
    for split, evaluation in before.items():
        metrics = evaluation.metrics
        old = {name: getattr(metrics, name) for name in ("loss", "expected_calibration_error")}
        old["temperature"] = temperature
        scores[split] = replace(score(classifier, corpus, split), uncalibrated=old)
    return scores, before


def save_evaluation(
    run: RunDirectory, evaluation: Evaluation, digests: bytes | None = None
) -> None:
    """Adds an evaluation on a finished run's own data to its `metrics.json`.

    Args:
        run: The run.
        evaluation: Its evaluation.
        digests: `run.digests()` before it was evaluated.

    Raises:
        UsageError: If another process trains into the run, or has done so since.
    """
    scores = replace(evaluation, errors=None, against={}).to_dict()
    with run.added_to(digests):
        if not run.is_finished:
            raise UsageError(f"expected a finished run. {str(run.path)!r} is none.")
        run.write_metrics({**run.metrics(), evaluation.split: scores})
