"""Training from start to end: the program. Start reading here.

`train` reads the texts, builds the lexicon and the model, fits it, keeps the epoch with the best
score on dev, and scores it on dev and test. The rest of the package is what it calls.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from sst_keras import files
from sst_keras.callbacks import (
    AveragedWeights,
    BestModel,
    DevChecks,
    HistoryLogger,
    PartEnds,
    PartLengths,
    StopOnNaN,
    TrainingDiverged,
    synchronize,
)
from sst_keras.checkpoints import Checkpoint, Checkpoints, Task
from sst_keras.classifier import Classifier
from sst_keras.corpora import SPLITS, Corpus, load_corpus
from sst_keras.environment import describe_environment, warn_of_slow_bfloat16
from sst_keras.errors import UsageError
from sst_keras.evaluation import Evaluation, calibrate, score
from sst_keras.finetuning import EarlierRun
from sst_keras.history import History, shown
from sst_keras.input_pipeline import TrainingParts, epoch_shares, evaluation_batches
from sst_keras.lexicon import Lexicon
from sst_keras.losses import LOSSES, Accuracy, MacroF1
from sst_keras.metrics import Metrics
from sst_keras.models import LOGITS, build_model, quantize_vectors, summarized
from sst_keras.optimizers import pipeline_optimizer, replicas
from sst_keras.pretrained import LanguageModelRun, start_from
from sst_keras.pseudo_labels import PseudoLabels
from sst_keras.replication import ReplicatedModel, mirrored, spread
from sst_keras.runs import RunDirectory, is_run
from sst_keras.runtime import keras, tf, uses_tensorflow
from sst_keras.settings import DataConfig, Pipeline
from sst_keras.texts import Texts
from sst_keras.vocabulary import UNKNOWN_ID

log = logging.getLogger(__name__)

# Steps per call of the compiled training function; each return to Keras's Python takes time.
STEPS_PER_EXECUTION = 8


@dataclass(frozen=True)
class TrainingResult:
    """What a training run found.

    Attributes:
        pipeline: The settings, with the data set, classes and vectors that were found.
        best_epoch: The epoch whose model was kept, from 1; a fraction, such as 1.333, if it was
            kept within an epoch.
        best: `dev` and `test` → the scores of the kept model.
        last: `dev` and `test` → the scores of the last epoch's model, which is not calibrated.
        checks: The rows of `callbacks.DevChecks`; empty if dev was scored once per epoch.
        seconds: Duration of the call in seconds.
    """

    run: RunDirectory
    pipeline: Pipeline
    history: History
    best_epoch: float
    best: Mapping[str, Evaluation]
    last: Mapping[str, Evaluation]
    checks: Sequence[Mapping[str, float]]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the contents of `metrics.json`."""
        best, last = (
            {split: evaluation.to_dict() for split, evaluation in scores.items()}
            for scores in (self.best, self.last)
        )
        epochs = {"best_epoch": self.best_epoch, "epochs": self.history.rows[-1]["epoch"]}
        checks = {"checks": list(self.checks)} if self.checks else {}
        return epochs | {"seconds": self.seconds} | best | {"last_epoch": last} | checks


@dataclass(frozen=True)
class Inputs:
    """What a run is made from.

    Attributes:
        language_model: The one that the classifier starts from, if it does.
        earlier_run: The run that it starts from, if it does.
        pseudo_labels: Those that the first epochs learn from, if they do.
        labelled: Their texts and probabilities.
    """

    corpus: Corpus
    lexicon: Lexicon
    language_model: LanguageModelRun | None
    earlier_run: EarlierRun | None
    pseudo_labels: PseudoLabels | None
    labelled: tuple[Texts, np.ndarray] | None

    @classmethod
    def read(cls, pipeline: Pipeline, data_dir: str | Path | None) -> Self:
        """Reads what the settings name; errors are those of `train`."""
        _check_backend(pipeline)
        corpus = load_corpus(pipeline.data, data_dir)
        _report(pipeline, corpus)
        start = _start(pipeline)
        earlier = start if isinstance(start, EarlierRun) else None
        lexicon = Lexicon.build(pipeline, corpus, data_dir, earlier and earlier.words())
        found = _pseudo_labels(pipeline, corpus)
        labelled = found and found.read()
        if labelled:
            ids = lexicon.encoder.encode(labelled[0]).flat_values.numpy()
            passes = min(pipeline.data.pseudo_epochs, pipeline.training.epochs)
            epochs = "epoch 1" if passes == 1 else f"epochs 1 to {passes}"
            log.info(
                f"Pseudo-labels: {found.lasting_name}, {len(labelled[0]):,} texts for {epochs}, "
                f"{(ids != UNKNOWN_ID).mean():.1%} of tokens in the vocabulary."
            )
            if pipeline.training.epochs <= passes:
                log.warning("The model learns from pseudo-labels only: there are no more epochs.")
        language_model = None if earlier else start
        known = {}
        if earlier:
            known[f"{earlier.lasting_name} was trained on"] = earlier.run.training_texts()
        if labelled:
            name = found.lasting_name
            known[f"{name} has"] = labelled[0].keys()
            known[f"The teachers of {name} were trained on"] = found.seen_by_teachers()
        if notes := _seen_before(known, corpus):
            corpus = replace(corpus, notes=(*corpus.notes, *notes))
            log.warning(" ".join(notes))
        return cls(corpus, lexicon, language_model, earlier, found, labelled)

    def found(self, pipeline: Pipeline) -> Pipeline:
        """Returns the pipeline with what was found, by names that are good in any folder."""
        data, corpus, labels = pipeline.data, self.corpus, self.pseudo_labels
        start, vectors = self.language_model or self.earlier_run, self.lexicon.vector_references
        return replace(
            pipeline,
            data=replace(
                data,
                dataset=_lasting_dataset(corpus.name),
                labels=corpus.class_names,
                ordinal=data.ordinal if corpus.ordered else "no",
                pseudo_labels=labels.lasting_name if labels else "",
            ),
            embedding=replace(pipeline.embedding, vectors=vectors),
            model=replace(pipeline.model, init=start.lasting_name if start else ""),
        )

    def task(self, pipeline: Pipeline, devices: int = 1) -> Task:
        """Returns the task that a checkpoint must belong to."""
        vectors = [source.fingerprint for source in self.lexicon.sources]
        runs = {name: run.fingerprint for name, run in self._runs().items()}
        where = {"backend": keras.backend.backend(), "devices": devices}
        return Task(pipeline.settings(), self.corpus.fingerprint(), vectors, **runs, **where)

    def _runs(self) -> dict[str, LanguageModelRun | EarlierRun | PseudoLabels]:
        """Returns the earlier work that the run starts or learns from, by attribute."""
        names = ("language_model", "earlier_run", "pseudo_labels")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def texts(self, examples: str) -> list[Texts]:
        """Returns all texts that are trained on, for a value of `data.examples`."""
        found = [self.corpus.train.texts, self.corpus.training_split(examples).texts]
        return [*found, self.labelled[0]] if self.labelled else found

    def to_dict(self) -> dict[str, Any]:
        """Returns names, fingerprints, coverage and notes, for JSON."""
        corpus, lexicon = self.corpus, self.lexicon
        found = {
            "dataset": corpus.name,
            "data_fingerprint": corpus.fingerprint(),
            "rows_fingerprint": corpus.rows_fingerprint(),
            "examples": {name: len(corpus.split(name)) for name in SPLITS},
            "vocabulary_size": len(lexicon.vocabulary),
            "vectors": lexicon.vectors_to_dict(),
            "notes": [*corpus.notes, *lexicon.notes],
        }
        return found | {name: run.to_dict() for name, run in self._runs().items()}


def _lasting_dataset(name: str) -> str:
    """Returns what finds a data set from any folder: its name, or the full path of a file."""
    return name if name in ("sst5", "sample") else str(Path(name).resolve())


def _seen_before(known: Mapping[str, np.ndarray], corpus: Corpus) -> tuple[str, ...]:
    """Returns notes on texts of dev and test that something was trained on.

    Args:
        known: The beginning of a sentence that names what was trained → the keys of its texts.
        corpus: The run's data.
    """
    notes = []
    for what, keys in known.items():
        for name in ("dev", "test"):
            split = corpus.split(name)
            if count := int(np.isin(split.texts.keys(), keys).sum()):
                notes.append(
                    f"{what} {count:,} of the {len(split):,} texts of {name}: the scores on {name} "
                    f"may be too good."
                )
    return tuple(notes)


def _start(pipeline: Pipeline) -> LanguageModelRun | EarlierRun | None:
    """Returns what the weights start from; if it does not fit the settings: `UsageError`."""
    if not (name := pipeline.model.init):
        return None
    if is_run(name):
        earlier = EarlierRun.find(name)
        earlier.check(pipeline)
        return earlier
    if pipeline.model.name != "lstm":
        raise UsageError(
            f"expected model.name = lstm, to start from a language model. Received: "
            f"{pipeline.model.name}.",
            setting="model.init",
        )
    if pipeline.embedding.reduce:
        raise UsageError(
            "expected 0, because the language model reads the vectors as they are. Received: "
            f"{pipeline.embedding.reduce}.",
            setting="embedding.reduce",
        )
    return LanguageModelRun.find(name)


def _pseudo_labels(pipeline: Pipeline, corpus: Corpus) -> PseudoLabels | None:
    """Returns the pseudo-labels that the settings name; if they do not fit: `UsageError`."""
    if not (name := pipeline.data.pseudo_labels):
        return None
    found = PseudoLabels.find(name)
    about = found.about()
    problem = ""
    if tuple(about["class_names"]) != corpus.class_names:
        problem = (
            f"{name} has the classes {', '.join(about['class_names'])}. Expected those of "
            f"{corpus.name}: {', '.join(corpus.class_names)}. Label the texts with runs that have "
            f"these classes."
        )
    elif about["lowercase"] and not pipeline.data.lowercase:
        problem = f"{name} has words in lower case. Set data.lowercase, or use cased teachers."
    if problem:
        raise UsageError(problem, setting="data.pseudo_labels")
    return found


def train(
    pipeline: Pipeline,
    run: RunDirectory,
    data_dir: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    dev_checks: int = 1,
    strategy: str = "",
) -> TrainingResult:
    """Trains a pipeline into the folder of a run; see `runs.new_run`.

    The same pipeline on the same machine gives the same history, to the bit, even if it goes on
    from the run's checkpoint. If the user stops training, or it diverges, the best epoch so far is
    kept.

    Args:
        pipeline: The settings.
        run: The folder of the run.
        data_dir: The folder that has `sst/` and `vectors/`, instead of the environment's.
        callbacks: More Keras callbacks, such as a progress bar or TensorBoard.
        dev_checks: How many times per epoch dev is scored for `TrainingResult.checks`, which
            changes nothing else. `training.checks_per_epoch` must be 1 for that, and there are no
            checkpoints.
        strategy: `mirrored` to share each batch among all GPUs; see `sst_keras.replication`.

    Raises:
        UsageError: If the data set, the vectors, the run or language model to start from, or the
            pseudo-labels cannot be found or do not fit, the run has a checkpoint of other settings
            or data, or another process trains into it. Also if there are no devices for the
            strategy, or Keras computes with what cannot train this pipeline.
        InputError: If a file cannot be read.
        TrainingDiverged: If the loss becomes nan or infinite.
    """
    if dev_checks > 1 < pipeline.training.checks_per_epoch:
        raise UsageError(
            f"expected 1, because dev is only watched {dev_checks} times an epoch. Received: "
            f"{pipeline.training.checks_per_epoch}.",
            setting="training.checks_per_epoch",
        )
    with run.locked():
        return _train(pipeline, run, data_dir, callbacks, dev_checks, strategy)


def _train(
    pipeline: Pipeline,
    run: RunDirectory,
    data_dir: str | Path | None,
    callbacks: Sequence[keras.callbacks.Callback],
    dev_checks: int,
    strategy: str,
) -> TrainingResult:
    """Trains a pipeline into a locked run."""
    started = time.perf_counter()
    if strategy not in ("", "mirrored"):
        raise UsageError(f"expected mirrored. Received: {strategy!r}.", setting="strategy")
    devices = mirrored() if strategy else None
    scope = devices.scope if devices else nullcontext
    tf.config.experimental.enable_op_determinism()
    inputs = Inputs.read(pipeline, data_dir)
    pipeline, corpus = inputs.found(pipeline), inputs.corpus
    data = pipeline.data
    task = inputs.task(pipeline, devices.num_replicas_in_sync if devices else 1)
    checkpoint = None
    if run.checkpoint_file.is_file() and dev_checks == 1 and not run.replaces:
        checkpoint = Checkpoint.load(run.checkpoint_file, task)
        log.info(f"Goes on after epoch {shown(checkpoint.rows[-1]['epoch'])}.")
        started -= checkpoint.seconds
    # After the data, because preparing a data set for the first time draws random numbers, too.
    keras.utils.set_random_seed(pipeline.training.seed)
    weights = _class_weights(corpus, data)
    parts = _training_parts(pipeline, inputs, weights)
    with scope():
        model = _compiled_model(pipeline, inputs, parts.batches(pipeline.training.epochs))
    run.begin(goes_on=checkpoint is not None)
    _write_inputs(run, pipeline, inputs, model, weights, task.devices)

    # Scoring must not disturb what a strategy or JAX keeps while `model` trains.
    is_bound = devices or not uses_tensorflow()
    bare = keras.Model(model.input, model.output, name=model.name) if is_bound else model
    classifier = Classifier(bare, inputs.lexicon.encoder, corpus.class_names, data.batch_tokens)
    momentum = pipeline.training.average
    averaged = AveragedWeights(momentum, STEPS_PER_EXECUTION) if momentum else None
    logger = HistoryLogger(run.history_file, parts)
    patience, monitor = pipeline.training.patience, pipeline.training.monitor
    best = BestModel(run.model_file, patience * parts.per_pass, monitor)

    def score_dev() -> Metrics:
        synchronize(model)
        with averaged.in_model() if averaged else nullcontext():
            return score(classifier, corpus, "dev").metrics

    checks = DevChecks(score_dev, dev_checks)
    checkpoints = Checkpoints(run.checkpoint_file, task, started, logger, best, averaged)
    if checkpoint:
        with scope():
            checkpoints.restore(model, checkpoint)
        parts.skip(best.checks)
    if devices:
        model.part_random_states()
    watching = [PartLengths(parts), averaged, StopOnNaN(), logger, best]
    watching += [checks if dev_checks > 1 else checkpoints, *callbacks, PartEnds(parts)]
    try:
        dev = evaluation_batches(corpus.dev, classifier.encoder, data.batch_size, data.batch_tokens)
        batches = parts.dataset, dev[0]
        if devices:
            batches = tuple(spread(each, devices) for each in batches)
        _fit(model, *batches, pipeline, parts, best, list(filter(None, watching)))
    except TrainingDiverged:
        run.checkpoint_file.unlink(missing_ok=True)  # from there, it would diverge again
        raise
    except KeyboardInterrupt:
        if not best.best and uses_tensorflow():  # others may have no weights in the first step
            best.save(model)
        raise

    if pipeline.embedding.quantized:
        _quantize(run)
    kept, last = _calibrate(run, corpus)
    history = History(tuple(logger.rows), monitor)
    if best.best < best.checks:
        if pipeline.embedding.quantized:
            quantize_vectors(bare)
        last = {split: score(classifier, corpus, split) for split in ("dev", "test")}
    seconds = time.perf_counter() - started
    best_epoch = history.rows[best.best - 1]["epoch"]
    result = TrainingResult(run, pipeline, history, best_epoch, kept, last, checks.rows, seconds)
    run.finish(result.to_dict())
    run.checkpoint_file.unlink(missing_ok=True)
    return result


def _check_backend(pipeline: Pipeline) -> None:
    """Raises a `UsageError` if a setting needs TensorFlow, and Keras does not compute with it."""
    if pipeline.model.weight_dropout and not uses_tensorflow():
        raise UsageError(
            f"expected 0, because only TensorFlow can drop recurrent weights here. Received: "
            f"{pipeline.model.weight_dropout}, with KERAS_BACKEND={keras.backend.backend()}.",
            setting="model.weight_dropout",
        )


def _report(pipeline: Pipeline, corpus: Corpus) -> None:
    for note in corpus.notes:
        log.warning(note)
    if unread := pipeline.unread():
        log.warning(f"Settings that this model does not read: {', '.join(unread)}.")
    if "model.matmul_dtype" not in unread:
        warn_of_slow_bfloat16(pipeline.model.matmul_dtype)
    examples, kind = _shares(corpus, pipeline.data).sum(), pipeline.data.examples
    log.info(
        f"Data: {corpus.name}, {examples:,.0f} training {kind.replace('-', ' ')}, "
        f"{len(corpus.dev):,} dev and {len(corpus.test):,} test texts, "
        f"{len(corpus.class_names)} classes."
    )


def _shares(corpus: Corpus, data: DataConfig) -> np.ndarray:
    """Returns float64[examples], how often an epoch has each training example on average."""
    examples = corpus.training_split(data.examples)
    if data.examples != "sampled-phrases":
        return np.ones(len(examples))
    return epoch_shares(corpus.roots, len(examples), data.phrases_per_sentence)


def _root_weights(corpus: Corpus, data: DataConfig) -> np.ndarray:
    """Returns float32[examples], the weights of training examples by whether they are complete."""
    examples = corpus.training_split(data.examples)
    weights = np.ones(len(examples), np.float32)
    if data.examples != "sentences":
        weights[np.isin(examples.texts.keys(), corpus.train.texts.keys())] = data.root_weight
    return weights


def _class_weights(corpus: Corpus, data: DataConfig) -> dict[int, float] | None:
    """Returns class → weight of its training examples, if the settings ask for weights."""
    if data.class_weights == "none":
        return None
    labels = corpus.training_split(data.examples).labels
    counts = _shares(corpus, data) * _root_weights(corpus, data)
    weights = balanced_weights(labels, len(corpus.class_names), counts)
    named = (f"{n} {w:.3g}" for n, w in zip(corpus.class_names, weights, strict=True))
    log.info(f"Class weights: {', '.join(named)}.")
    return dict(enumerate(weights))


def balanced_weights(
    labels: np.ndarray, classes: int, shares: np.ndarray | None = None
) -> list[float]:
    """Returns weights with which each class counts the same: `n / (present classes * n_c)`.

    `labels` int[n] are from 0. The mean weight of the examples is 1. A class without examples has
    the weight 0. With `shares` float[n], an example counts as so many. Source: King and Zeng,
    "Logistic Regression in Rare Events Data", Political Analysis 9 (2001); scikit-learn calls it
    `balanced`.
    """
    counts = np.bincount(labels, shares, classes)
    relative = counts * (counts > 0).sum() / counts.sum()
    return [1 / float(share) if share else 0.0 for share in relative]


def _compiled_model(pipeline: Pipeline, inputs: Inputs, steps: int) -> keras.Model:
    """Returns the model with its first weights, to be trained for `steps` batches."""
    training, lexicon = pipeline.training, inputs.lexicon
    start = inputs.language_model or inputs.earlier_run
    sizes = len(lexicon.vocabulary), len(inputs.corpus.class_names)
    units = start.units if start else None
    model = build_model(pipeline.model, pipeline.embedding, *sizes, lexicon.matrix, units)
    if replicas() > 1:
        model = ReplicatedModel(model.input, model.output, name=model.name)
    if inputs.language_model:
        start_from(inputs.language_model, model, pipeline.model, lexicon)
    if inputs.earlier_run:
        names, train_all = inputs.corpus.class_names, pipeline.model.train_init
        inputs.earlier_run.start(model, names, train_all)
        inputs.earlier_run.forget()
    metrics = [Accuracy(name="accuracy")]
    if training.monitor == "macro-f1":
        metrics.append(MacroF1(name="macro_f1"))
    model.compile(
        optimizer=pipeline_optimizer(training, pipeline.embedding, model, steps),
        loss=LOSSES[training.loss](label_smoothing=training.label_smoothing),
        metrics=metrics,
        # On a CPU, TensorFlow's XLA makes a recurrent layer several times slower.
        jit_compile=False if uses_tensorflow() else "auto",
        # Only TensorFlow on one device runs several steps as one function.
        steps_per_execution=STEPS_PER_EXECUTION if uses_tensorflow() and replicas() == 1 else 1,
    )
    return model


def _write_inputs(
    run: RunDirectory,
    pipeline: Pipeline,
    inputs: Inputs,
    model: keras.Model,
    weights: Mapping[int, float] | None,
    devices: int,
) -> None:
    """Writes the files of a run that are known before training."""
    environment = describe_environment() | {"seed": pipeline.training.seed} | inputs.to_dict()
    if devices > 1:
        environment["devices"] = devices
    if weights:
        environment["class_weights"] = list(weights.values())
    files.write_json(run.environment_file, environment)  # first: it tells a run's folder
    files.write_text(run.pipeline_file, pipeline.to_toml())
    inputs.lexicon.vocabulary.save(run.vocabulary_file)
    files.write_text(run.model_summary_file, summarized(model))
    keys = [each.keys() for each in inputs.texts(pipeline.data.examples)]
    if inputs.earlier_run:
        keys.append(inputs.earlier_run.run.training_texts())
    keys = np.unique(np.concatenate(keys))
    files.write_array(run.training_texts_file, keys)


def _training_parts(
    pipeline: Pipeline, inputs: Inputs, class_weights: Mapping[int, float] | None
) -> TrainingParts:
    corpus = inputs.corpus
    data, training = pipeline.data, pipeline.training
    examples = corpus.training_split(data.examples)
    weights = _root_weights(corpus, data)
    if class_weights:
        weights *= np.array(list(class_weights.values()), np.float32)[examples.labels]
    parts = TrainingParts(
        examples,
        inputs.lexicon.encoder,
        data,
        training.seed,
        training.checks_per_epoch,
        weights if (weights != 1).any() else None,
        corpus.roots if data.examples == "sampled-phrases" else None,
        inputs.labelled,
    )
    if parts.per_pass < training.checks_per_epoch:
        log.warning(f"An epoch has so few batches that dev is scored {parts.per_pass} times in it.")
    return parts


def _fit(
    model: keras.Model,
    training: Any,
    dev: Any,
    pipeline: Pipeline,
    parts: TrainingParts,
    best: BestModel,
    callbacks: Sequence,
) -> None:
    """Trains the parts that `best` has not seen, if there are some and patience is left."""
    epochs = best.checks if best.out_of_patience else pipeline.training.epochs * parts.per_pass
    model.fit(
        training,
        validation_data=dev,
        epochs=epochs,
        initial_epoch=best.checks,
        callbacks=callbacks,
        shuffle=False,  # The batches are shuffled.
        verbose=0,
    )


def _quantize(run: RunDirectory) -> None:
    """Turns the word vectors of the kept model into integers of 8 bits."""
    model = Classifier.load(run).model
    quantize_vectors(model)
    with files.whole_file(run.model_file) as partial:
        model.save(partial)


def _calibrate(
    run: RunDirectory, corpus: Corpus
) -> tuple[dict[str, Evaluation], dict[str, Evaluation]]:
    """Calibrates the kept model on dev, and scores it on dev and test, after and before.

    The weights of the last layer are divided by the temperature, so that whatever reads the model's
    file gives these probabilities.
    """
    classifier = Classifier.load(run)
    layer = classifier.model.get_layer(LOGITS)

    def divide(temperature: float) -> None:
        layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])
        with files.whole_file(run.model_file) as partial:
            classifier.model.save(partial)

    return calibrate(classifier, corpus, divide)
