"""The two sides of a comparison: one model with one set of weights, in this package and PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # before TensorFlow is imported

from sst_keras import training
from sst_keras.corpora import load_corpus
from sst_keras.encoder import TokenEncoder, count_tokens
from sst_keras.input_pipeline import training_batches
from sst_keras.losses import LOSSES
from sst_keras.models import build_model
from sst_keras.optimizers import pipeline_optimizer
from sst_keras.runtime import keras, tf
from sst_keras.settings import DataConfig, EmbeddingConfig, ModelConfig, Pipeline, TrainingConfig
from sst_keras.vocabulary import Vocabulary

DIM = 300
_ROWS = 18_000  # rows of the embedding matrix: SST-5's words, and some that do not occur
# PyTorch's forms without their dtype; see `torch_worker`.
FORMS = ("padded plain", "packed plain", "padded folded", "packed folded")
_ATTENTION = ("query", "key", "value", "output", "output_bias")


class Data:
    """A data set, its words, and random vectors, whose values do not affect the time of a step."""

    def __init__(self, dataset: str = "sst5") -> None:
        """Reads the data set."""
        self.corpus = load_corpus(DataConfig(dataset=dataset))
        self.vocabulary = Vocabulary.build(count_tokens(self.corpus.train, lowercase=True))
        self.encoder = TokenEncoder(self.vocabulary, lowercase=True)
        matrix = np.random.default_rng(1).normal(0, 0.1, (_ROWS, DIM))
        self.matrix = matrix.astype("float32")

    def batches(self, count: int) -> tf.data.Dataset:
        """Returns the first batches of 64 of a training epoch."""
        batches = training_batches(self.corpus.train, self.encoder, DataConfig(), seed=1)
        return batches.take(count).cache()


def make_model(data: Data, settings: dict[str, Any], matmul_dtype: str = "float32") -> keras.Model:
    """Returns one of our models, compiled as in `training.train`.

    It has no dropout, so that both sides compute the same numbers. Tuned vectors train by lazy
    Adam.
    """
    keras.utils.set_random_seed(1)
    pipeline = Pipeline(
        embedding=EmbeddingConfig(trainable=settings["tuned"], dropout=0.0, learning_rate=0.0),
        model=ModelConfig(
            units=settings["units"],
            num_layers=settings["num_layers"],
            bidirectional=settings["bidirectional"],
            dropout=0.0,
            matmul_dtype=matmul_dtype,
        ),
        training=TrainingConfig(optimizer="lazy-adam" if settings["tuned"] else "adam"),
    )
    model = build_model(pipeline.model, pipeline.embedding, _ROWS, 5, data.matrix)
    model.compile(
        optimizer=pipeline_optimizer(pipeline.training, pipeline.embedding, model, steps=1),
        loss=LOSSES["cross-entropy"](),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,
        steps_per_execution=training.STEPS_PER_EXECUTION,
    )
    return model


def named_weights(model: keras.Model, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns a model's weights by the names that PyTorch's side expects."""
    weights = {"embedding": model.get_layer("embedding").get_weights()[0]}
    for number in range(settings["num_layers"]):
        if settings["bidirectional"]:
            layer = model.get_layer(f"bidirectional_{number + 1}")
            directions = [layer.forward_layer, layer.backward_layer]
        else:
            directions = [model.get_layer(f"lstm_{number + 1}")]
        for direction, layer in enumerate(directions):
            for place, weight in enumerate(layer.get_weights()):
                weights[f"lstm_{number}_{direction}_{place}"] = weight
    attention = model.get_layer("attention").get_weights()
    weights |= dict(zip(_ATTENTION, attention, strict=True))
    weights["logits"], weights["logits_bias"] = model.get_layer("logits").get_weights()
    return weights


class Torch:
    """PyTorch's side: a separate process, run by the Python that has PyTorch."""

    def __init__(self, python: str) -> None:
        """Starts the process."""
        self._refusals: set[str] = set()
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("torch_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and returns the answer; see `torch_worker` for both."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("PyTorch's process ended; its error is above.")
        answer = json.loads(line)
        reason = answer.get("refused")
        if reason and reason not in self._refusals:
            self._refusals.add(reason)
            click.echo(f"Left out, because PyTorch cannot run it on this CPU: bfloat16 ({reason})")
        return answer

    def load(self, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
        """Sends a model's settings, weights and data; returns PyTorch's version."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "arrays.npz"
            np.savez(file, **arrays)
            return self.ask(do="load", file=str(file), **settings)["torch"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def milliseconds_a_step(model: keras.Model, dataset: tf.data.Dataset, steps: int) -> float:
    """Trains over a data set once, as `fit` does; returns milliseconds per step.

    Args:
        model: The model; see `make_model`.
        dataset: The batches.
        steps: The number of batches, a multiple of `training.STEPS_PER_EXECUTION`.
    """
    if steps % training.STEPS_PER_EXECUTION:
        raise SystemExit(f"Expected a multiple of {training.STEPS_PER_EXECUTION} batches.")
    if model.train_function is None:
        model.make_train_function()
    iterator = iter(dataset)

    def train() -> None:
        for _ in range(steps // training.STEPS_PER_EXECUTION):
            model.train_function(iterator)

    return 1000 * timed(train) / steps


def repeated_batch(batch: int, length: int) -> tf.data.Dataset:
    """Returns an endless data set that repeats one batch of random texts of one length."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, _ROWS, (batch, length), dtype=np.int32)
    labels = rng.integers(0, 5, batch, dtype=np.int32)
    return tf.data.Dataset.from_tensors(({"token_ids": ids}, labels)).repeat()


def faster(milliseconds: dict[str, float | None], rest: str) -> float | None:
    """Returns the lower of PyTorch's times packed and padded; None if it has neither."""
    times = [milliseconds[f"{recurrence} {rest}"] for recurrence in ("padded", "packed")]
    return min((time for time in times if time is not None), default=None)


def ratio(theirs: float | None, ours: float) -> float | None:
    """Returns how many times as long PyTorch takes; None if it was not measured."""
    return None if theirs is None else theirs / ours


def timed(function: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
