"""Unlabelled sentences → the probabilities that trained classifiers, the teachers, give to them.

A student learns the average of its teachers from more sentences than they have seen: Hinton,
Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015; Xie et al., "Self-Training
With Noisy Student Improves ImageNet Classification", CVPR 2020.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import files
from sst_keras.classifier import Classifier
from sst_keras.corpora import Split
from sst_keras.errors import InputError, UsageError
from sst_keras.locks import locked
from sst_keras.pretraining.corpus import TextCorpus
from sst_keras.pretraining.text_labels import TextLabels
from sst_keras.pseudo_labels import FORMAT, PseudoLabels
from sst_keras.runs import RunDirectory, check_folder
from sst_keras.settings import LabellingConfig
from sst_keras.texts import Texts, Words

log = logging.getLogger(__name__)

_BLOCK = 1 << 13  # sentences labelled at a time
_BATCH = 256  # sentences


def label(
    corpus: TextCorpus,
    teachers: Sequence[RunDirectory],
    config: LabellingConfig,
    folder: PseudoLabels,
    on_progress: Callable[[int, int], None] = lambda done, size: None,
    text_labels: TextLabels | None = None,
) -> np.ndarray:
    """Labels sentences of a corpus with the mean probabilities of the teachers.

    The sentences are drawn from all different ones of the given lengths. What was stopped, even
    killed, goes on after the last teacher that was finished. A finished folder with the same
    settings is left as it is.

    Args:
        corpus: The sentences.
        teachers: Trained runs with the same classes.
        config: Which sentences are drawn.
        folder: Where the result goes.
        on_progress: Is called with how many sentences are labelled, and of how many.
        text_labels: The labels of the corpus's texts, for `config.document_labels`; only sentences
            of texts that have a label are drawn then.

    Returns:
        float32[sentences, classes], the probabilities.

    Raises:
        UsageError: If the teachers do not fit each other or the corpus, there are no such
            sentences, or the folder has something else.
        InputError: If a run or a file cannot be read.
    """
    names, lowercase = agreed(teachers)
    if lowercase != corpus.lowercase:
        raise UsageError(
            f"expected a corpus with lowercase={lowercase}, as the teachers read words. Prepare it "
            f"again. Received one with lowercase={corpus.lowercase}."
        )
    fingerprints = [files.sha256(run.model_file) for run in teachers]
    if len(set(fingerprints)) < len(teachers):
        raise UsageError(
            f"expected different runs. Received the same model twice among "
            f"{', '.join(run.name for run in teachers)}. Leave one out.",
            setting="teachers",
        )
    texts = draw(corpus, config, text_labels)
    counts = text_labels.counts_of(texts) if text_labels else None
    settings = asdict(config)
    labels = {}
    if text_labels:
        labels = {"labels": list(text_labels.names), "labels_fingerprint": text_labels.fingerprint}
    else:
        del settings["document_labels"]  # which earlier versions did not have
    about = {
        "format": FORMAT,
        "settings": settings,
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint} | labels,
        "teachers": {
            "names": [run.name for run in teachers],
            "fingerprints": fingerprints,
            "sources": [
                {"dataset": run.pipeline.data.dataset, **run.sources()} for run in teachers
            ],
        },
        "class_names": list(names),
        "lowercase": lowercase,
        "sentences": len(texts),
    }
    # A corpus and runs that were renamed are the same: their fingerprints are compared.
    renamed = ["corpus.name", "teachers.names", "teachers.sources"]
    if not text_labels:
        renamed.append("settings.document_labels")  # false, or not there
    teacher_files = [folder.teacher_file(number + 1) for number in range(len(teachers))]
    with locked(folder.path, "out"):
        for file in (folder.about_file, folder.sentences_file, *teacher_files):
            files.remove_partial(file)
        check_folder(folder.about_file, about, "pseudo-labels", "out", renamed)
        return _label(texts, teachers, folder, about, teacher_files, on_progress, counts)


def _label(
    texts: Texts,
    teachers: Sequence[RunDirectory],
    folder: PseudoLabels,
    about: dict[str, Any],
    teacher_files: Sequence[Path],
    on_progress: Callable[[int, int], None],
    counts: np.ndarray | None,
) -> np.ndarray:
    """Labels texts into a locked folder, and returns their probabilities."""
    if folder.is_finished:
        _remove(teacher_files)  # if it was killed before it did that
        log.info(f"{folder.path}: finished already.")
        return folder.read()[1]
    keys = hashlib.sha256(texts.keys().tobytes()).hexdigest()
    size, total = len(texts) * len(teachers), np.zeros((len(texts), len(about["class_names"])))
    for number, (run, file) in enumerate(zip(teachers, teacher_files, strict=True)):
        made_from = f"{about['teachers']['fingerprints'][number]} {keys}"
        found = _saved(file, total.shape, made_from)
        if found is None:
            before = number * len(texts)
            found = _probabilities(
                run, texts, lambda n, before=before: on_progress(before + n, size)
            )
            files.write_sealed_json(folder.about_file, about)
            with files.whole_file(file) as partial:
                np.savez(partial, probabilities=found, made_from=made_from)
        total += found
    probabilities = total / len(teachers)
    if counts is not None:
        probabilities = corrected(probabilities, counts)
    probabilities = probabilities.astype(np.float32)
    words = b"".join(word + b"\n" for word in texts.words.spellings)
    seen = np.unique(np.concatenate([run.training_texts() for run in teachers]))
    with files.whole_file(folder.sentences_file) as partial:
        np.savez(
            partial,
            words=np.frombuffer(words, np.uint8),
            ids=texts.ids,
            starts=texts.starts,
            probabilities=probabilities,
            seen=seen,
        )
    _remove(teacher_files)
    return probabilities


def draw(
    corpus: TextCorpus, config: LabellingConfig, text_labels: TextLabels | None = None
) -> Texts:
    """Returns different sentences of a corpus, in its order, or a `UsageError` if there are none.

    If the corpus has fewer than `config.sentences`, all are taken. With `text_labels`, only those
    of texts that have a label are taken.
    """
    if config.shortest > config.longest:
        raise UsageError(
            f"expected at least the {config.shortest} of shortest. Received: {config.longest}.",
            setting="longest",
        )
    words = np.array([word.encode() for word in corpus.words], object)
    texts = Texts(Words(words), np.asarray(corpus.ids), np.asarray(corpus.starts))
    fitting = (config.shortest <= texts.lengths) & (texts.lengths <= config.longest)
    rows, keys = np.flatnonzero(fitting), texts.keys()
    if text_labels:
        rows = rows[text_labels.knows(keys[rows])]
    rows = rows[np.unique(keys[rows], return_index=True)[1]]
    if not len(rows):
        labelled = ", of texts with a label" if text_labels else ""
        raise UsageError(
            f"{corpus.name}: expected sentences of {config.shortest} to {config.longest} tokens"
            f"{labelled}. Received none. Allow other lengths, or take another corpus.",
            setting="corpus",
        )
    order = np.random.default_rng(config.seed).permutation(np.sort(rows))
    taken = texts.take(np.sort(order[: config.sentences]))
    used, ids = np.unique(taken.ids, return_inverse=True)
    return Texts(Words(words[used]), ids.astype(np.int32), taken.starts)


def corrected(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the probabilities of sentences' classes once the labels of their texts are known.

    By Bayes' rule, with the label taken to depend on the sentence through its class only:
    `p(class | sentence, label) ∝ p(class | sentence) p(label | class)`. The second factor is
    estimated from all sentences. Of several labels, because the sentence occurs in several texts,
    the geometric mean counts.

    Args:
        probabilities: float[sentences, classes], without the labels.
        counts: int[sentences, labels], in how many texts with each label a sentence occurs.

    Returns:
        float64[sentences, classes].
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    joint = probabilities.T.astype(np.float64) @ shares  # [classes, labels]
    likelihood = (joint + 1) / (joint + 1).sum(axis=1, keepdims=True)  # finite for a rare label
    result = probabilities * np.exp(shares @ np.log(likelihood).T)
    return result / result.sum(axis=1, keepdims=True)


def agreed(teachers: Sequence[RunDirectory]) -> tuple[tuple[str, ...], bool]:
    """Returns the classes of the teachers, and whether they read words in lower case.

    Teachers that differ in these, or are not finished, raise a `UsageError`.
    """
    found = {}
    for run in teachers:
        if not run.is_finished:
            raise UsageError(
                f"the run {run.name} is not finished. Train it to its end first.",
                setting="teachers",
            )
        found.setdefault((run.class_names, run.pipeline.data.lowercase), run.name)
    if len(found) > 1:
        shown = "; ".join(
            f"{name} with {', '.join(labels)} and data.lowercase={lowercase}"
            for (labels, lowercase), name in found.items()
        )
        raise UsageError(
            f"expected runs with the same classes and the same case of words. Received: {shown}. "
            f"Leave out those that differ.",
            setting="teachers",
        )
    return next(iter(found))


def _probabilities(
    run: RunDirectory, texts: Texts, on_progress: Callable[[int], None]
) -> np.ndarray:
    """Returns float32[sentences, classes], what one teacher says."""
    classifier = Classifier.load(run)
    order, found = np.argsort(texts.lengths, kind="stable"), []
    for start in range(0, len(texts), _BLOCK):
        on_progress(start)
        part = texts.take(order[start : start + _BLOCK])
        found.append(classifier.probabilities(Split(part, np.zeros(len(part), np.int32)), _BATCH))
    on_progress(len(texts))
    by_length = np.concatenate(found)
    probabilities = np.empty_like(by_length)
    probabilities[order] = by_length
    return probabilities


def _saved(file: Path, shape: tuple[int, ...], made_from: str) -> np.ndarray | None:
    """Returns the probabilities in a teacher's file; None if there are none of this teacher."""
    if not file.is_file():
        return None
    try:
        arrays = files.read_arrays(file)
        found = arrays.get("probabilities", np.empty(0))
        is_whole = found.shape == shape and found.dtype == np.float32 and np.isfinite(found).all()
        # Earlier versions did not write what it was made from.
        if is_whole and str(arrays.get("made_from", made_from)) == made_from:
            return found
    except InputError:
        pass
    log.warning(f"{file}: it is damaged or of another teacher, and made again.")
    return None


def _remove(teacher_files: Sequence[Path]) -> None:
    for path in teacher_files:
        path.unlink(missing_ok=True)
        path.with_suffix(".npy").unlink(missing_ok=True)  # as earlier versions called it
