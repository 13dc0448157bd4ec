"""Training from start to end: the program. Start reading here.

`train` reads the texts, builds the lexicon and the model, fits it, keeps the best epoch by dev
accuracy, and scores it on dev and test. The rest of the package is what it calls.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_keras import files
from sst_keras.callbacks import BestModel, DevChecks, HistoryLogger, StopOnNaN
from sst_keras.classifier import Classifier
from sst_keras.corpora import Corpus, load_corpus
from sst_keras.environment import describe_environment
from sst_keras.evaluation import Evaluation, score
from sst_keras.history import History
from sst_keras.input_pipeline import evaluation_batches, training_batches
from sst_keras.lexicon import Lexicon
from sst_keras.losses import LOSSES
from sst_keras.models import build_model, summarize
from sst_keras.optimizers import has_own_rate, pipeline_optimizer
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras, tf
from sst_keras.settings import Pipeline

log = logging.getLogger(__name__)

# Steps per call of the compiled training function; each return to Keras's Python takes time.
STEPS_PER_EXECUTION = 8


@dataclass(frozen=True)
class TrainingResult:
    """What a training run found.

    Attributes:
        run: The run's folder.
        pipeline: The settings, with data set, classes and vectors as they were found.
        history: Losses and accuracies by epoch.
        best_epoch: The epoch whose model was kept, from 1.
        best: `dev` and `test` → the scores of the kept model.
        last: `dev` and `test` → the scores of the last epoch's model.
        checks: The rows of `callbacks.DevChecks`; empty if dev was scored once per epoch.
        seconds: Duration of the call in seconds.
        notes: What a user should know about data and vectors, one sentence each.
    """

    run: RunDirectory
    pipeline: Pipeline
    history: History
    best_epoch: int
    best: Mapping[str, Evaluation]
    last: Mapping[str, Evaluation]
    checks: Sequence[Mapping[str, float]]
    seconds: float
    notes: tuple[str, ...]


def train(
    pipeline: Pipeline,
    run: RunDirectory,
    data_dir: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    dev_checks: int = 1,
) -> TrainingResult:
    """Trains a pipeline into a run's folder.

    The same pipeline on the same machine gives the same history, to the bit.

    Args:
        pipeline: The settings.
        run: The folder of a new run; see `runs.new_run`.
        data_dir: The folder that has `sst/` and `vectors/`, instead of the environment's.
        callbacks: More Keras callbacks, such as a progress bar or TensorBoard.
        dev_checks: How many times per epoch dev is scored for `TrainingResult.checks`. The extra
            scores do not affect which epoch is kept.

    Raises:
        UsageError: If the data set or the vectors cannot be found.
        InputError: If a file cannot be read.
        TrainingDiverged: If the loss becomes nan or infinite; the best epoch so far is kept.
        KeyboardInterrupt: If the user stops; the best epoch so far is kept.
    """
    started = time.perf_counter()
    tf.config.experimental.enable_op_determinism()
    corpus = load_corpus(pipeline.data, data_dir)
    _report(pipeline, corpus)
    lexicon = Lexicon.build(pipeline, corpus, data_dir)
    pipeline = _as_found(pipeline, corpus, lexicon)
    # After the data, because preparing a data set for the first time draws random numbers, too.
    keras.utils.set_random_seed(pipeline.training.seed)
    model = _compiled_model(pipeline, corpus, lexicon)
    notes = (*corpus.notes, *lexicon.notes)
    _write_inputs(run, pipeline, corpus, lexicon, model, notes)

    classifier = Classifier(model, lexicon.encoder, corpus.class_names)
    checks = DevChecks(lambda: score(classifier, corpus, "dev").metrics, dev_checks)
    if dev_checks > 1:
        callbacks = (checks, *callbacks)
    logger, best = _fit(run, pipeline, corpus, lexicon, model, callbacks)

    kept = _score(Classifier.load(run), corpus)
    history = History(tuple(logger.rows))
    last = kept if best.epoch == len(history.rows) else _score(classifier, corpus)
    seconds = time.perf_counter() - started
    found = (history, best.epoch, kept, last, checks.rows, seconds, notes)
    result = TrainingResult(run, pipeline, *found)
    files.write_json(run.metrics_file, _metrics(result))
    return result


def _report(pipeline: Pipeline, corpus: Corpus) -> None:
    """Logs what is trained on, and warns about settings without effect."""
    for note in corpus.notes:
        log.warning(note)
    if unread := pipeline.unread():
        log.warning(f"Settings that this model does not read: {', '.join(unread)}.")
    examples = corpus.training_split(pipeline.data.examples)
    log.info(
        f"Data: {corpus.name}, {len(examples):,} training {pipeline.data.examples}, "
        f"{len(corpus.dev):,} dev and {len(corpus.test):,} test texts, "
        f"{len(corpus.class_names)} classes."
    )


def _as_found(pipeline: Pipeline, corpus: Corpus, lexicon: Lexicon) -> Pipeline:
    """Returns the pipeline with data set, classes and vectors as they were found."""
    return replace(
        pipeline,
        data=replace(pipeline.data, dataset=corpus.name, labels=corpus.class_names),
        embedding=replace(pipeline.embedding, vectors=lexicon.vector_names),
    )


def _compiled_model(pipeline: Pipeline, corpus: Corpus, lexicon: Lexicon) -> keras.Model:
    """Builds the model and compiles it with loss and optimizer."""
    training, words = pipeline.training, len(lexicon.vocabulary)
    model = build_model(
        pipeline.model, pipeline.embedding, words, len(corpus.class_names), lexicon.matrix
    )
    model.compile(
        optimizer=pipeline_optimizer(training, pipeline.embedding, model),
        loss=LOSSES[training.loss](label_smoothing=training.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # On a CPU, XLA makes a recurrent layer several times slower.
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    return model


def _write_inputs(
    run: RunDirectory,
    pipeline: Pipeline,
    corpus: Corpus,
    lexicon: Lexicon,
    model: keras.Model,
    notes: Sequence[str],
) -> None:
    """Writes the files of a run that are known before training."""
    files.write_text(run.pipeline_file, pipeline.to_toml())
    lexicon.vocabulary.save(run.vocabulary_file)
    files.write_text(run.model_summary_file, summarize(model))
    environment = describe_environment() | {
        "seed": pipeline.training.seed,
        "dataset": corpus.name,
        "data_fingerprint": corpus.fingerprint(),
        "vocabulary_size": len(lexicon.vocabulary),
        "vectors": [source.to_dict() for source in lexicon.sources],
        "notes": list(notes),
    }
    files.write_json(run.environment_file, environment)


def _fit(
    run: RunDirectory,
    pipeline: Pipeline,
    corpus: Corpus,
    lexicon: Lexicon,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[HistoryLogger, BestModel]:
    """Trains the model, with the best epoch's model in the run's folder."""
    data, training = pipeline.data, pipeline.training
    examples = corpus.training_split(data.examples)
    dev_batches, _ = evaluation_batches(corpus.dev, lexicon.encoder, data.batch_size)
    rates = {"learning_rate": model.optimizer}
    if has_own_rate(pipeline.embedding):
        default, own = model.optimizer.groups
        rates = {"learning_rate": default, "embedding_learning_rate": own}
    logger = HistoryLogger(run.history_file, len(examples), rates)
    best = BestModel(run.model_file, training.patience)
    try:
        model.fit(
            training_batches(examples, lexicon.encoder, data, training.seed),
            validation_data=dev_batches,
            epochs=training.epochs,
            callbacks=[StopOnNaN(), logger, best, *callbacks],
            shuffle=False,  # the batches are shuffled
            verbose=0,
        )
    except KeyboardInterrupt:
        if not best.epoch:
            best.set_model(model)
            best.save()
        raise
    return logger, best


def _score(classifier: Classifier, corpus: Corpus) -> dict[str, Evaluation]:
    """Scores a classifier on dev and test."""
    return {split: score(classifier, corpus, split) for split in ("dev", "test")}


def _metrics(result: TrainingResult) -> dict[str, Any]:
    """Returns what a run's `metrics.json` holds."""
    metrics: dict[str, Any] = {
        "best_epoch": result.best_epoch,
        "epochs": len(result.history.rows),
        "seconds": result.seconds,
        **{split: evaluation.to_dict() for split, evaluation in result.best.items()},
        "last_epoch": {split: evaluation.to_dict() for split, evaluation in result.last.items()},
    }
    if result.checks:
        metrics["checks"] = list(result.checks)
    return metrics
