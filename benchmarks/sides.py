"""The two sides of a comparison: one model, one set of weights, in this package and in PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from sst_keras.cli.terminal import import_tensorflow

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import_tensorflow()  # with the threads that the command line sets

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from sst_keras import training  # noqa: E402
from sst_keras.corpora import Corpus, load_corpus  # noqa: E402
from sst_keras.input_pipeline import (  # noqa: E402
    TokenEncoder,
    count_tokens,
    training_batches,
)
from sst_keras.losses import LOSSES  # noqa: E402
from sst_keras.models import build_model  # noqa: E402
from sst_keras.optimizers import pipeline_optimizer  # noqa: E402
from sst_keras.settings import DataConfig, EmbeddingConfig, ModelConfig, Pipeline, TrainingConfig
from sst_keras.vocabulary import Vocabulary  # noqa: E402

DIM = 300
_ROWS = 18_000  # of the embedding matrix: SST-5's words, and some that do not occur
# PyTorch's forms, see `torch_worker`, but for the dtype.
FORMS = ("padded plain", "packed plain", "padded folded", "packed folded")
_ATTENTION = ("query", "key", "value", "output", "output_bias")


class Data:
    """SST-5, its words, and batches of it. Word vectors are random: their values cost no time."""

    def __init__(self) -> None:
        """Reads SST-5."""
        self.corpus: Corpus = load_corpus(DataConfig(dataset="sst5"))
        self.vocabulary = Vocabulary.build(count_tokens(self.corpus.train, lowercase=True))
        self.encoder = TokenEncoder(self.vocabulary, lowercase=True)
        matrix = np.random.default_rng(1).normal(0, 0.1, (_ROWS, DIM))
        self.matrix = matrix.astype("float32")

    def batches(self, count: int) -> tf.data.Dataset:
        """Returns the first batches of 64 of a training epoch."""
        batches = training_batches(self.corpus.train, self.encoder, DataConfig(), seed=1)
        return batches.take(count).cache()


def make_model(data: Data, settings: dict[str, Any], matmul_dtype: str = "float32") -> keras.Model:
    """Returns a model of ours, as `training.train` compiles it, without dropout.

    Without dropout the two sides do the same, number by number. Tuned vectors train by lazy Adam.
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
        optimizer=pipeline_optimizer(pipeline.training, pipeline.embedding, model),
        loss=LOSSES["cross-entropy"](),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,
        steps_per_execution=training.STEPS_PER_EXECUTION,
    )
    return model


def named_weights(model: keras.Model, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns a model's weights under the names that PyTorch's side reads."""
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
    """PyTorch's side: a process of its own, with the Python that has PyTorch."""

    def __init__(self, python: str) -> None:
        """Starts the process."""
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("torch_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request, and returns the answer; see `torch_worker` for both."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("PyTorch's side ended; its error stands above.")
        return json.loads(answer)

    def load(self, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
        """Gives it a model's settings, weights and data; returns PyTorch's version."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "arrays.npz"
            np.savez(file, **arrays)
            return self.ask(do="load", file=str(file), **settings)["torch"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def milliseconds_a_step(model: keras.Model, dataset: tf.data.Dataset, steps: int) -> float:
    """Trains over a data set once, as `fit` does it; returns milliseconds a step.

    Args:
        model: The model; see `make_model`.
        dataset: Its batches.
        steps: How many: a multiple of `training.STEPS_PER_EXECUTION`.
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
    """Returns a batch of texts of one length, of random words, again and again."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, _ROWS, (batch, length), dtype=np.int32)
    labels = rng.integers(0, 5, batch, dtype=np.int32)
    return tf.data.Dataset.from_tensors(({"token_ids": ids}, labels)).repeat()


def faster(milliseconds: dict[str, float], rest: str) -> float:
    """Returns PyTorch's time in its faster one of packed and padded."""
    return min(milliseconds[f"{recurrence} {rest}"] for recurrence in ("padded", "packed"))


def timed(function: Any) -> float:
    """Returns the seconds of a call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
