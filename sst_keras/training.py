"""Training from start to end. Read this one first.

`train` reads the texts, gathers the words and their vectors, builds the model, fits it, keeps the
best epoch by dev accuracy, and scores it once on test. The rest of the package is what it calls.
"""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import sst_keras
from sst_keras import files
from sst_keras.callbacks import BestModel, DevChecks, HistoryLogger, StopOnNaN
from sst_keras.corpora import SPLITS, Corpus, load_corpus
from sst_keras.errors import UsageError
from sst_keras.evaluation import Report, load_model, score
from sst_keras.input_pipeline import (
    TokenEncoder,
    count_tokens,
    evaluation_batches,
    normalize,
    training_batches,
)
from sst_keras.losses import LOSSES
from sst_keras.models import build_model
from sst_keras.optimizers import has_own_rate, pipeline_optimizer
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras, tf
from sst_keras.settings import Pipeline
from sst_keras.vectors import sets as embeddings
from sst_keras.vectors.sets import Coverage, WordVectors
from sst_keras.vocabulary import Vocabulary

log = logging.getLogger(__name__)

# Steps in a call of the compiled training function; each return to Keras's Python takes time.
STEPS_PER_EXECUTION = 8
_SCORED = ("dev", "test")

NO_VECTORS_NOTE = (
    "NO WORD VECTORS WERE FOUND: the words are learned from scratch, which costs accuracy. Fetch "
    "some with `sst-keras vectors fetch glove-wiki-gigaword-300`, then train again."
)


@dataclass(frozen=True)
class TrainingResult:
    """What a training run found.

    Attributes:
        run: The run's folder.
        pipeline: The settings, with data set, classes and vectors as they were found.
        best_epoch: The epoch that was kept, from 1.
        epochs: Number of epochs trained.
        dev: The kept model on dev.
        test: The kept model on test.
        last_dev: The last epoch's model on dev, where `training.score_last` asks for it; else None.
        last_test: Likewise on test.
        checks: What `callbacks.DevChecks` found; empty where dev is scored once an epoch.
        seconds: From the call to the end, in seconds.
        notes: What a user should know of how data and vectors were found, a sentence each.
    """

    run: RunDirectory
    pipeline: Pipeline
    best_epoch: int
    epochs: int
    dev: Report
    test: Report
    seconds: float
    notes: tuple[str, ...] = ()
    last_dev: Report | None = None
    last_test: Report | None = None
    checks: tuple[dict[str, float], ...] = ()


def train(
    pipeline: Pipeline,
    run: RunDirectory,
    data_dir: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainingResult:
    """Trains a pipeline into a run's folder.

    The same pipeline on the same machine gives the same history, to the bit.

    Args:
        pipeline: The settings.
        run: A new run's folder; see `runs.new_run`.
        data_dir: The folder that has `sst/` and `vectors/`, in place of the environment's.
        callbacks: More Keras callbacks, such as a progress bar or TensorBoard.

    Raises:
        UsageError: If data set or vectors cannot be had.
        InputError: If a file cannot be read.
        TrainingDiverged: If the loss becomes nan; what earlier epochs gave is kept.
        KeyboardInterrupt: If the user stops; what was trained by then is kept.
    """
    started = time.perf_counter()
    tf.config.experimental.enable_op_determinism()

    # === Data ===
    corpus = load_corpus(pipeline.data, pipeline.training.seed, data_dir)
    for note in corpus.notes:
        log.warning(note)
    examples = corpus.training_split(pipeline.data.examples)
    log.info(
        f"Data: {corpus.name}, {len(examples):,} training {pipeline.data.examples}, "
        f"{len(corpus.dev):,} dev and {len(corpus.test):,} test texts, "
        f"{len(corpus.class_names)} classes."
    )

    # === Words and their vectors ===
    counts = {split: count_tokens(corpus.split(split), pipeline.data.lowercase) for split in SPLITS}
    vector_sets = _load_vector_sets(pipeline, corpus, counts, data_dir)
    sets = [vectors for vectors, _, _ in vector_sets]
    notes = corpus.notes
    if not sets and pipeline.embedding.vectors == ("auto",):
        notes += (NO_VECTORS_NOTE,)
        log.warning(NO_VECTORS_NOTE)
    vocabulary = _vocabulary(pipeline, counts, sets)
    matrix = _matrix(pipeline, vocabulary, sets)
    encoder = TokenEncoder(vocabulary, pipeline.data.lowercase)

    # === The run's folder ===
    data = replace(pipeline.data, dataset=corpus.name, labels=corpus.class_names)
    names = tuple(vectors.name for vectors in sets) or ("none",)
    pipeline = replace(pipeline, data=data, embedding=replace(pipeline.embedding, vectors=names))
    files.write_text(run.pipeline_file, pipeline.to_toml())
    vocabulary.save(run.vocabulary_file)
    environment = _environment(pipeline, corpus, vocabulary, vector_sets)
    files.write_json(run.environment_file, environment | {"notes": list(notes)})

    # === Model ===
    training = pipeline.training
    # Here, since preparing a data set, which only a first run does, draws random numbers too.
    keras.utils.set_random_seed(training.seed)
    model = build_model(
        pipeline.model, pipeline.embedding, len(vocabulary), len(corpus.class_names), matrix
    )
    optimizer = pipeline_optimizer(training, pipeline.embedding, model)
    model.compile(
        optimizer=optimizer,
        loss=LOSSES[training.loss](label_smoothing=training.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # On a CPU, XLA makes a recurrent layer several times slower.
        steps_per_execution=STEPS_PER_EXECUTION,
    )

    # === Fit ===
    dev_batches, _ = evaluation_batches(corpus.dev, encoder, data.batch_size)
    history = HistoryLogger(run.history_file, len(examples), _learning_rates(pipeline, optimizer))
    best = BestModel(run.model_file, training.patience)

    def score_dev() -> tuple[float, float]:
        metrics = score(model, corpus, "dev", encoder, data.batch_size).metrics
        return metrics.loss, metrics.accuracy

    checks = DevChecks(score_dev, training.checks_per_epoch)
    if training.checks_per_epoch > 1:
        callbacks = [checks, *callbacks]
    try:
        model.fit(
            training_batches(examples, encoder, data, training.seed),
            validation_data=dev_batches,
            epochs=training.epochs,
            callbacks=[StopOnNaN(), history, best, *callbacks],
            shuffle=False,  # the batches come shuffled
            verbose=0,
        )
    except KeyboardInterrupt:
        if not best.epoch:
            best.set_model(model)
            best.save()
        raise

    # === Score ===
    def score_both(model: keras.Model) -> tuple[Report, Report]:
        return tuple(score(model, corpus, name, encoder, data.batch_size) for name in _SCORED)

    dev, test = score_both(load_model(run))
    last_dev = last_test = None
    if training.score_last:
        is_best = best.epoch == len(history.rows)
        last_dev, last_test = (dev, test) if is_best else score_both(model)
    seconds = time.perf_counter() - started
    metrics = {
        "best_epoch": best.epoch,
        "epochs": len(history.rows),
        "seconds": seconds,
        "dev": dev.to_dict(),
        "test": test.to_dict(),
    }
    if training.score_last:
        metrics["last_epoch"] = {"dev": last_dev.to_dict(), "test": last_test.to_dict()}
    if checks.rows:
        metrics["checks"] = checks.rows
    files.write_json(run.metrics_file, metrics)
    return TrainingResult(
        run,
        pipeline,
        best.epoch,
        len(history.rows),
        dev,
        test,
        seconds,
        notes,
        last_dev,
        last_test,
        tuple(checks.rows),
    )


def _load_vector_sets(
    pipeline: Pipeline,
    corpus: Corpus,
    counts: Mapping[str, Mapping[str, int]],
    data_dir: str | Path | None,
) -> list[tuple[WordVectors, Path, Coverage]]:
    """Reads the pipeline's word vectors, and measures how many of the texts' words they have."""
    wanted = pipeline.embedding.vectors
    if wanted == ("auto",):
        wanted = _choose_vectors(pipeline, corpus, counts, data_dir)
    if wanted == ("none",):
        log.info(
            f"Vectors: none; {pipeline.embedding.dim} numbers a word are learned from scratch."
        )
        return []
    if "none" in wanted or "auto" in wanted:
        raise UsageError(f"--vectors: none and auto stand alone. Received: {', '.join(wanted)}")
    words = set().union(*counts.values())
    sets = []
    for name in wanted:
        path = embeddings.find_vectors(name, data_dir)
        vectors = embeddings.load_vectors(path, words, pipeline.data.vector_words)
        coverage = embeddings.measure_coverage(counts, vectors)
        log.info(f"Vectors: {vectors.name}, {vectors.dim} numbers a word.\n{coverage}")
        sets.append((vectors, path, coverage))
    return sets


def _choose_vectors(
    pipeline: Pipeline,
    corpus: Corpus,
    counts: Mapping[str, Mapping[str, int]],
    data_dir: str | Path | None,
) -> tuple[str, ...]:
    """Returns the data set's own vectors, or those that have most of its words."""
    if corpus.name == "sample":
        return ("sample",)
    chosen = embeddings.choose_vectors(counts, data_dir, pipeline.data.vector_words)
    if chosen is not None:
        return (chosen[0],)
    if pipeline.data.dataset == "auto":
        return ("none",)
    raise UsageError(
        "--vectors: no word vectors were found. Fetch some with `sst-keras vectors fetch "
        "glove-wiki-gigaword-300`, put a file into the folder vectors/ below SST_KERAS_DATA, or "
        "train without by --vectors none."
    )


def _vocabulary(
    pipeline: Pipeline, counts: Mapping[str, Mapping[str, int]], sets: Sequence[WordVectors]
) -> Vocabulary:
    """Chooses the words: the training texts', then words of the vectors.

    Of the vectors' words those join that the dev and test texts use, and the most frequent ones,
    which later texts will use. With every word of the vectors in the vocabulary the model would
    answer the same; those left out could not be asked for. No label has a part in it.
    """
    lowercase = pipeline.data.lowercase
    known: set[str] = set()
    extra: list[str] = []
    for vectors in sets:
        for split in SPLITS:
            words = list(counts[split])
            found = embeddings.has_vector(words, vectors)
            known.update(word for word, is_found in zip(words, found, strict=True) if is_found)
        frequent = vectors.words[: pipeline.data.vector_words]
        extra += [
            word.decode("utf-8") for word in normalize(tf.constant(frequent), lowercase).numpy()
        ]
    seen_elsewhere = sorted(known - counts["train"].keys())
    return Vocabulary.build(
        counts["train"],
        min_count=pipeline.data.min_count,
        with_vector=known,
        extra=[*seen_elsewhere, *(word for word in extra if word and not word.isspace())],
    )


def _matrix(
    pipeline: Pipeline, vocabulary: Vocabulary, sets: Sequence[WordVectors]
) -> np.ndarray | None:
    """Returns float32[vocabulary, dim]: the sets' vectors side by side; None without vectors."""
    if not sets:
        return None
    seed = pipeline.training.seed
    parts = [embeddings.embedding_matrix(vocabulary.tokens, vectors, seed) for vectors in sets]
    return np.concatenate(parts, axis=1)


def _learning_rates(
    pipeline: Pipeline, optimizer: keras.optimizers.Optimizer
) -> dict[str, keras.optimizers.Optimizer]:
    """Returns the history's column for each group of weights → its optimizer."""
    if has_own_rate(pipeline.embedding):
        default, own = optimizer.groups
        return {"learning_rate": default, "embedding_learning_rate": own}
    return {"learning_rate": optimizer}


def _environment(
    pipeline: Pipeline,
    corpus: Corpus,
    vocabulary: Vocabulary,
    sets: Sequence[tuple[WordVectors, Path, Coverage]],
) -> dict[str, Any]:
    """Returns what the run is made with, for `environment.json`."""
    return {
        "versions": {
            "sst_keras": sst_keras.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        },
        "git_commit": _git_commit(),
        "seed": pipeline.training.seed,
        "dataset": corpus.name,
        "data_fingerprint": corpus.fingerprint(),
        "vocabulary_size": len(vocabulary),
        "vectors": [
            {
                "name": vectors.name,
                "dim": vectors.dim,
                "fingerprint": embeddings.fingerprint(path),
                "coverage": coverage.to_dict(),
            }
            for vectors, path, coverage in sets
        ],
    }


def _git_commit() -> str | None:
    """Returns the commit of the checkout that this code runs from; None for an installed wheel."""
    package = Path(sst_keras.__file__).resolve().parent
    if not (package.parent / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=package,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
