"""A run and a split → `Report`: accuracy, F1, confusion, calibration, and the rest of `metrics`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

# Their layers must be known before a model is loaded.
import sst_keras.layers
import sst_keras.recurrent  # noqa: F401
from sst_keras import files
from sst_keras.corpora import SPLITS, Corpus, Split, load_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.input_pipeline import TokenEncoder, evaluation_batches
from sst_keras.metrics import Metrics, compute_metrics
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras
from sst_keras.vocabulary import Vocabulary


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes:
        dataset: The data set's name or path.
        split: `train`, `dev` or `test`.
        class_names: The classes, lowest first.
        metrics: The figures.
        is_own_data: Whether the data are those that the run was trained with.
        notes: What a user should know, a sentence each.
    """

    dataset: str
    split: str
    class_names: tuple[str, ...]
    metrics: Metrics
    is_own_data: bool = True
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures under plain names, for JSON."""
        figures = self.metrics.to_dict()
        for row in figures["per_class"]:
            row["class_name"] = self.class_names[row["label"]]
        return {
            "dataset": self.dataset,
            "split": self.split,
            "class_names": list(self.class_names),
            **figures,
        }


def evaluate(
    run: RunDirectory,
    split: str = "test",
    dataset: str | None = None,
    data_dir: str | Path | None = None,
) -> Report:
    """Scores a run's model on a split.

    Args:
        run: The run.
        split: `train`, `dev` or `test`; always whole texts.
        dataset: A data set in place of the run's own; it must have the same classes.
        data_dir: The folder that has `sst/`, in place of the environment's.

    Raises:
        UsageError: If there is no such split, or the data set cannot be found.
        InputError: If a file cannot be read, or the classes are others than the run's.
    """
    if split not in SPLITS:
        raise UsageError(f"split: expected one of {', '.join(SPLITS)}. Received: {split!r}")
    pipeline = run.pipeline
    data = replace(pipeline.data, examples="sentences")
    if dataset is not None:
        data = replace(data, dataset=dataset)
    elif Path(data.dataset).name != data.dataset and not Path(data.dataset).exists():
        raise UsageError(
            f"The run was trained on {data.dataset!r}, which is not there any more. Say where the "
            f"data are with --dataset."
        )
    corpus = load_corpus(data, pipeline.training.seed, data_dir)
    notes = list(corpus.notes)
    own = corpus.fingerprint() == run.environment()["data_fingerprint"]
    if not own and dataset is None:
        notes.append(
            f"{corpus.name} is not the same as when the run was trained (its fingerprint differs)."
        )
    model = load_model(run)
    report = score(model, corpus, split, load_encoder(run, model), data.batch_size)
    return replace(report, is_own_data=own, notes=tuple(notes))


def load_model(run: RunDirectory) -> keras.Model:
    """Reads a run's model, for prediction alone.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        return keras.models.load_model(run.model_file, compile=False)
    except Exception as error:  # Keras raises what the zip, JSON and HDF5 readers do.
        raise InputError(
            f"{run.model_file}: expected a Keras model, but it cannot be read "
            f"({type(error).__name__}). Train the run again."
        ) from error


def load_encoder(run: RunDirectory, model: keras.Model) -> TokenEncoder:
    """Reads how a run's tokens become ids.

    Raises:
        InputError: If the vocabulary is not the one that the model was trained with.
    """
    vocabulary = Vocabulary.load(run.vocabulary_file)
    rows = model.get_layer("embedding").input_dim
    if len(vocabulary) != rows:
        raise InputError(
            f"{run.vocabulary_file}: expected {rows:,} words, as the model has. Received "
            f"{len(vocabulary):,}: the file was changed. Take it from the run's original folder."
        )
    return TokenEncoder(vocabulary, run.pipeline.data.lowercase)


def score(
    model: keras.Model, corpus: Corpus, split: str, encoder: TokenEncoder, batch_size: int
) -> Report:
    """Scores a model on a split of a data set that is read already."""
    examples = corpus.split(split)
    probabilities = predict_probabilities(model, examples, encoder, batch_size)
    metrics = compute_metrics(examples.labels, probabilities)
    return Report(corpus.name, split, corpus.class_names, metrics)


def predict_probabilities(
    model: keras.Model, split: Split, encoder: TokenEncoder, batch_size: int = 64
) -> np.ndarray:
    """Returns float32[examples, classes], in the split's own order."""
    batches, order = evaluation_batches(split, encoder, batch_size)
    logits = model.predict(batches.map(lambda inputs, label: inputs), verbose=0)
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = np.empty_like(shifted)
    probabilities[order] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def save_report(run: RunDirectory, report: Report) -> None:
    """Puts a report on the run's own data into its `metrics.json`."""
    files.write_json(run.metrics_file, {**run.metrics(), report.split: report.to_dict()})
