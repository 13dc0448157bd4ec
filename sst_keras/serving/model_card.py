"""A model's card: what it learned from, how good it is, and when not to trust it.

Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. It is made from a run's files.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sst_keras.history import shown
from sst_keras.runs import RunDirectory

# What is known of the licences of data sets, by name, and of word vectors, by how names begin.
_DATA = {
    "sst5": "Stanford Sentiment Treebank (Socher et al. 2013), no explicit licence, for research",
    "imdb_reviews": "reviews of IMDb's users (Maas et al. 2011), no explicit licence, for research",
    "sample": "MIT, a part of sst_keras",
}
_VECTORS = {
    "glove": "Pennington et al. 2014, Public Domain Dedication and License",
    "word2vec-google-news": "Mikolov et al. 2013, no explicit licence",
    "googlenews": "Mikolov et al. 2013, no explicit licence",
    "en_core_web": "spaCy, MIT, made of sources with other licences",
    "sample": "MIT, a part of sst_keras",
}
_OTHER = "see the licence of its source"
_KINDS = {
    "language_model": "Language model",
    "pseudo_labels": "Pseudo-labels",
    "earlier_run": "Fine-tuned from",
}


def model_card(
    run: RunDirectory,
    class_names: Sequence[str],
    has_attention: bool = False,
    behaviour: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Returns the card of a run as Markdown.

    Args:
        run: The run.
        class_names: The classes, lowest first.
        has_attention: Whether it can show its attention.
        behaviour: `checklist.Capability.to_dict` of each capability; empty if it was not checked.
    """
    parts = _parts(run, class_names, has_attention, behaviour)
    return "\n\n".join(filter(None, parts)) + "\n"


def _parts(
    run: RunDirectory,
    class_names: Sequence[str],
    has_attention: bool,
    behaviour: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    pipeline, metrics = run.pipeline, run.metrics()
    about = run.environment() if run.environment_file.is_file() else {}
    test = metrics.get("test", {})
    yield f"# {run.name}"
    description = pipeline.description.rstrip(".") or "no description"
    yield (
        f"A classifier of texts into {len(class_names)} classes: {', '.join(class_names)}. "
        f"Pipeline `{pipeline.name}`: {description}."
    )
    yield (
        "It is a TensorFlow SavedModel that takes raw text. Use it with `sst-keras predict`, "
        "TensorFlow Serving or `tf.saved_model.load`."
    )
    yield "## What it learned from"
    yield "\n".join([_data(run, about, metrics), *_learned_from(about)])
    yield "## Scores"
    yield _scores(metrics)
    old = test.get("uncalibrated")
    if old:
        yield (
            f"Its probabilities are calibrated: logits are divided by {old['temperature']:.2f}, "
            f"fitted on dev. Without this, the expected calibration error on test would be "
            f"{old['expected_calibration_error']:.1%}."
        )
    if behaviour:
        yield "## Behaviour"
        yield (
            "The share of test sentences about films that it gets wrong, by capability. They were "
            "written for this check, and were not used to choose a model. `sst-keras "
            "evaluate RUN --behaviour` lists failures. Read the rates together: a model that gives "
            "every sentence the same class fails none of `names` and `typos`."
        )
        rows = [
            f"| {each['capability']} | {each['cases']} | {each['failure_rate']:.0%} |"
            for each in behaviour
        ]
        yield "\n".join(("| capability | cases | wrong |", "| --- | ---: | ---: |", *rows))
    yield "## Limits"
    yield "\n".join(_limits(run, test, bool(old), has_attention))
    yield "## Licences"
    yield "The code is MIT. The weights are made from these sources:"
    yield "\n".join(f"- {name}: {known}." for name, known in _licences(run, about).items())
    versions = ", ".join(f"{name} {value}" for name, value in about.get("versions", {}).items())
    commit = f", commit {about['git_commit'][:12]}" if about.get("git_commit") else ""
    yield f"Made with {versions or 'unknown versions'}{commit}."


def _data(run: RunDirectory, about: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    data, counts = run.pipeline.data, about.get("examples")
    texts = f", {counts['train']:,} training texts" if counts else ""
    if data.examples != "sentences":
        texts += f" and the labelled phrases in them ({data.examples})"
    line = f"- **Data:** {_short(data.dataset)}{texts}; {_print(about, 'data_fingerprint')}."
    kept = metrics.get("best_epoch")
    if data.pseudo_labels and kept is not None and kept <= data.pseudo_epochs:
        line += (
            f" The kept model is that of epoch {shown(kept)}. Training on these texts began after "
            f"epoch {data.pseudo_epochs}, so it knows their labels only through the teachers of "
            f"its pseudo-labels."
        )
    return line


def _learned_from(about: Mapping[str, Any], level: int = 0) -> Iterator[str]:
    """Yields a line for each source of a run, and below it those of the runs that it is made of."""
    indent = "    " * level
    for each in about.get("vectors", ()):
        yield (
            f"{indent}- **Word vectors:** {each['name']}, {each['dim']} dimensions; {_print(each)}."
        )
    for kind, what in _KINDS.items():
        if each := about.get(kind):
            by = f", {_labelled_by(each)}" if kind == "pseudo_labels" else ""
            yield (
                f"{indent}- **{what}:** {_short(each['name'])}, on {_corpus(each)}{by}; "
                f"{_print(each)}."
            )
            yield from _learned_from(each, level + 1)
            lines = (_learned_from(teacher, level + 1) for teacher in _teachers(each))
            yield from dict.fromkeys(chain.from_iterable(lines))  # most teachers share theirs
    for each in about.get("members", ()):
        yield (
            f"{indent}- **Member:** {_short(each['name'])}, pipeline `{each['pipeline']}`, seed "
            f"{each['seed']}; {_print(each)}."
        )
        yield from _learned_from(each, level + 1)


def _labelled_by(pseudo_labels: Mapping[str, Any]) -> str:
    """Returns who labelled the sentences, and whether the labels of their texts helped."""
    names = ", ".join(map(_short, pseudo_labels.get("teachers", {}).get("names", ())))
    with_labels = pseudo_labels.get("settings", {}).get("document_labels")
    by = f"labelled by {names or 'unknown runs'}"
    return f"{by}, corrected with the labels of their texts" if with_labels else by


def _teachers(source: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Returns what each teacher learned from, if a source is pseudo-labels that say it."""
    return source.get("teachers", {}).get("sources", ())


def _scores(metrics: Mapping[str, Any]) -> str:
    rows = []
    for split in ("dev", "test"):
        if scores := metrics.get(split):
            low, high = (f"{100 * end:.1f}" for end in scores.get("accuracy_interval", (0, 1)))
            shares = (
                f"{scores[name]:.1%}" if name in scores else "–"
                for name in ("majority", "macro_f1", "expected_calibration_error")
            )
            rows.append(
                f"| {split} | {scores['n']:,} | {scores['accuracy']:.1%} | {low}-{high}% "
                f"| {' | '.join(shares)} |"
            )
    if not rows:
        return "None: its training was not finished."
    names = "texts", "accuracy", "95 % interval", "largest class", "macro F1", "calibration error"
    head = f"| split | {' | '.join(names)} |"
    note = "Dev was used for choices, so its scores are a little too good."
    return "\n".join((head, f"| --- |{' ---: |' * 6}", *rows)) + f"\n\n{note}"


def _limits(
    run: RunDirectory, test: Mapping[str, Any], is_calibrated: bool, has_attention: bool
) -> Iterator[str]:
    yield (
        f"- It was trained on texts like those of `{_short(run.pipeline.data.dataset)}`. It also "
        f"assigns a class to any other text, in any language, even to nonsense."
    )
    weak = [row for row in test.get("per_class", ()) if row["support"] and row["recall"] < 0.4]
    if weak:
        names = ", ".join(f"{row['class_name']} ({row['recall']:.0%})" for row in weak)
        yield f"- It often misses these classes (recall in brackets): {names}."
    if is_calibrated:
        yield "- The calibration holds only for texts like those of the dev split."
    else:
        yield "- Its probabilities are not calibrated: do not read them as chances of being right."
    if has_attention:
        yield "- Attention shows what it weighed, not why it decided so (Jain and Wallace 2019)."
    yield "- Do not use it to decide about people."
    for warning in test.get("warnings", ()):
        yield f"- {warning}"


def _licences(run: RunDirectory, about: Mapping[str, Any]) -> dict[str, str]:
    """Returns source → what is known of its licence."""
    name = _short(run.pipeline.data.dataset)
    return {name: _DATA.get(name, _OTHER)} | dict(_sources(about))


def _sources(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in about.get("vectors", ()):
        name = each["name"]
        known = (text for start, text in _VECTORS.items() if name.lower().startswith(start))
        corpus = name.partition("-")[0]  # of vectors that were trained here
        yield name, next(known, _DATA.get(corpus, _OTHER))
    earlier = (about.get(kind) for kind in _KINDS)
    for each in (*earlier, *about.get("members", ()), *_teachers(about)):
        if each:
            if "dataset" in each or "corpus" in each:
                yield _corpus(each), _DATA.get(_corpus(each), _OTHER)
            yield from _sources(each)


def _corpus(earlier: Mapping[str, Any]) -> str:
    """Returns the name of the corpus or data set of an earlier run."""
    found = earlier.get("corpus") or earlier.get("dataset") or "unknown"
    return _short(found["name"] if isinstance(found, Mapping) else found)


def _print(about: Mapping[str, Any], name: str = "fingerprint") -> str:
    return f"fingerprint `{(about.get(name) or 'unknown')[:12]}`"


def _short(name: str) -> str:
    """Returns a name without the folders of the machine on which the run was made."""
    path = Path(name)
    return path.name if path.is_absolute() or ".." in path.parts else name
