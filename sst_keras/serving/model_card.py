"""A model's card: what it learned from, how good it is, and when not to trust it.

Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. It is made from a run's files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sst_keras.runs import RunDirectory

# Word of a name → who made the set or corpus, and what is known of its licence.
_SOURCES = {
    "sst5": "Stanford Sentiment Treebank (Socher et al. 2013): no explicit licence, meant for "
    "research",
    "imdb": "TFDS's imdb_reviews (Maas et al. 2011): reviews of IMDb's users, no explicit licence, "
    "meant for research",
    "glove": "GloVe (Pennington et al. 2014): Public Domain Dedication and License",
    "googlenews": "word2vec's GoogleNews vectors (Mikolov et al. 2013): no explicit licence",
    "core_web": "spaCy's English vectors: MIT, made of sources with other licences",
    "sample": "the sample that ships with sst_keras: MIT",
}
_OTHER = "see the licence of its source"


def model_card(run: RunDirectory, behaviour: Sequence[Mapping[str, Any]] = ()) -> str:
    """Returns the card of a run as Markdown.

    Args:
        run: The run.
        behaviour: `checklist.Capability.to_dict` of each capability; empty if it was not checked.
    """
    return "\n\n".join(filter(None, _parts(run, behaviour))) + "\n"


def _parts(run: RunDirectory, behaviour: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    pipeline, metrics, about = run.pipeline, run.metrics(), run.environment()
    test = metrics.get("test", {})
    classes = pipeline.data.labels or tuple(test.get("class_names", ()))
    yield f"# {run.name}"
    yield (
        f"A classifier of English texts into {len(classes)} classes: {', '.join(classes)}. "
        f"Pipeline `{pipeline.name}`: {pipeline.description or 'no description'}."
    )
    yield (
        "It takes raw texts, as a TensorFlow SavedModel: `sst-keras predict`, TensorFlow Serving, "
        "or `tf.saved_model.load`."
    )
    yield "## What it learned from"
    yield "\n".join(_learned_from(run, about))
    yield "## Scores"
    yield _scores(metrics)
    old = test.get("uncalibrated", {})
    if is_calibrated := old.get("temperature", 1.0) != 1.0:
        yield (
            f"Its probabilities are calibrated: logits are divided by {old['temperature']:.2f}, "
            f"fitted on dev. Without this, the expected calibration error on test would be "
            f"{old['expected_calibration_error']:.1%}."
        )
    if behaviour:
        yield "## Behaviour"
        yield (
            "How often it is wrong about sentences whose sentiment is clear. It was not trained on "
            "them or chosen by them; `sst-keras evaluate RUN --behaviour` shows each."
        )
        rows = [
            f"| {each['capability']} | {each['cases']} | {each['failure_rate']:.0%} |"
            for each in behaviour
        ]
        yield "\n".join(("| capability | cases | wrong |", "| --- | ---: | ---: |", *rows))
    yield "## Limits"
    yield "\n".join(_limits(run, test, is_calibrated))
    yield "## Licences"
    yield "\n".join(_licences(run, about))
    versions = ", ".join(f"{name} {value}" for name, value in about.get("versions", {}).items())
    commit = f", commit {about['git_commit'][:12]}" if about.get("git_commit") else ""
    yield f"Made with {versions or 'unknown versions'}{commit}."


def _learned_from(run: RunDirectory, about: Mapping[str, Any]) -> Iterator[str]:
    data = run.pipeline.data
    counts = about.get("examples", {})
    texts = f", {counts['train']:,} training texts" if counts else ""
    kind = {"sentences": "complete texts"}.get(data.examples, data.examples.replace("-", " "))
    print_ = about.get("data_fingerprint") or "unknown"
    yield f"- **Data:** {_short(data.dataset)}{texts} ({kind}); fingerprint `{print_[:12]}`."
    for each in about.get("vectors", ()):
        print_ = each.get("fingerprint", "unknown")[:12]
        yield (
            f"- **Word vectors:** {each['name']}, {each['dim']} numbers; fingerprint `{print_}`."
        )
    for name, what in (
        ("language_model", "Language model"),
        ("pseudo_labels", "Pseudo-labels"),
        ("earlier_run", "Earlier run that it started from"),
    ):
        if each := about.get(name):
            print_ = each.get("fingerprint", "unknown")[:12]
            name, on = _short(each["name"]), _corpus(each)
            yield f"- **{what}:** {name}, on {on}; fingerprint `{print_}`."
    for each in about.get("members", ()):
        print_ = each["fingerprint"][:12]
        yield (
            f"- **Member:** {_short(each['name'])}, pipeline `{each['pipeline']}`, seed "
            f"{each['seed']}; fingerprint `{print_}`."
        )


def _scores(metrics: Mapping[str, Any]) -> str:
    rows = []
    for split in ("dev", "test"):
        if scores := metrics.get(split):
            low, high = (f"{100 * end:.1f}" for end in scores["accuracy_interval"])
            rows.append(
                f"| {split} | {scores['n']:,} | {scores['accuracy']:.1%} | {low}-{high}% "
                f"| {scores['majority']:.1%} | {scores['macro_f1']:.1%} "
                f"| {scores['expected_calibration_error']:.1%} |"
            )
    if not rows:
        return "None: its training was not finished."
    names = "texts", "accuracy", "95 % interval", "largest class", "macro F1", "calibration error"
    head = f"| split | {' | '.join(names)} |"
    note = "The epoch was chosen on dev, which makes the scores on dev a little too good."
    return "\n".join((head, f"| --- |{' ---: |' * 6}", *rows)) + f"\n\n{note}"


def _limits(run: RunDirectory, test: Mapping[str, Any], is_calibrated: bool) -> Iterator[str]:
    yield (
        f"- It knows texts like those of `{_short(run.pipeline.data.dataset)}`. Other texts, other "
        f"languages and nonsense get one of its classes, too."
    )
    weak = [row for row in test.get("per_class", ()) if row["support"] and row["recall"] < 0.4]
    if weak:
        names = ", ".join(f"{row['class_name']} ({row['recall']:.0%})" for row in weak)
        yield f"- It often misses these classes; in brackets, the share that it finds: {names}."
    if is_calibrated:
        yield "- Its probabilities are calibrated for texts like those of dev, and for no others."
    else:
        yield "- Its probabilities are not calibrated: do not read them as chances of being right."
    if run.pipeline.model.name == "lstm" and "attention" in run.pipeline.model.pooling:
        yield "- Attention shows what it weighed, not why it decided so (Jain and Wallace 2019)."
    yield "- Do not use it to decide about people."
    for warning in test.get("warnings", ()):
        yield f"- {warning}"


def _licences(run: RunDirectory, about: Mapping[str, Any]) -> Iterator[str]:
    yield "- Code: MIT. The weights are made from these sources:"
    names = [_short(run.pipeline.data.dataset)]
    names += [each["name"] for each in about.get("vectors", ())]
    kinds = ("language_model", "pseudo_labels", "earlier_run")
    names += [_corpus(about[kind]) for kind in kinds if kind in about]
    for name in dict.fromkeys(names):
        lower = name.lower()
        known = next((text for word, text in _SOURCES.items() if word in lower), _OTHER)
        yield f"- {name}: {known}."


def _corpus(earlier: Mapping[str, Any]) -> str:
    """Returns the name of the corpus or data set of an earlier run."""
    found = earlier.get("corpus") or earlier.get("dataset") or "unknown"
    return _short(found["name"] if isinstance(found, Mapping) else found)


def _short(name: str) -> str:
    """Returns a name without the folders of the machine on which the run was made."""
    return Path(name).name if Path(name).is_absolute() else name
