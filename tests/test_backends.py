"""The same models with Keras on JAX and on PyTorch, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline, pipeline_names
from sst_keras.errors import UsageError
from sst_keras.evaluation import evaluate
from sst_keras.models import build_model, quantize_vectors
from sst_keras.optimizers import make_optimizer
from sst_keras.runs import RunDirectory, new_run
from sst_keras.runtime import keras
from sst_keras.serving.prediction import Predictor
from sst_keras.training import train
from tests import backend_checks

# Without dropout, which each backend draws differently, and small.
SMALL = [
    "model.units=6", "model.dropout=0", "model.filters=4", "embedding.dropout=0",
    "embedding.word_dropout=0", "model.matmul_dtype=float32",
]  # fmt: skip
VARIANTS = {
    "last": ["model.pooling=last", "model.bidirectional=true"],
    "last_padded": ["model.pooling=last_padded", "model.padded_length=7"],
    "mean": ["model.pooling=mean"],
}


def needs(name: str) -> pytest.MarkDecorator:
    """Returns a mark of tests that need a backend."""
    is_missing = importlib.util.find_spec(name) is None
    return pytest.mark.skipif(is_missing, reason=f"{name} is not installed")


def with_backend(name: str, *arguments: str, cwd: Path | None = None) -> str:
    """Runs Python with another backend of Keras and returns its standard output."""
    done = run_python(name, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(
    name: str, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    environment = os.environ | {
        "KERAS_BACKEND": name,
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd or root, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model of each pipeline, and TensorFlow's answers."""
    folder = tmp_path_factory.mktemp("models")
    matrix = np.random.default_rng(0).normal(size=(backend_checks.WORDS, 5)).astype(np.float32)
    pipelines = {name: load_pipeline(name, SMALL) for name in pipeline_names()}
    for name, changes in VARIANTS.items():
        pipelines[name] = load_pipeline("lstm-attention", [*SMALL, *changes])
    for number, (name, pipeline) in enumerate(pipelines.items()):
        keras.utils.set_random_seed(number)
        sizes = len(matrix), backend_checks.CLASSES
        model = build_model(pipeline.model, pipeline.embedding, *sizes, matrix)
        if pipeline.embedding.quantized:
            quantize_vectors(model)
        model.save(folder / f"{name}.keras")
    backend_checks.main(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=needs(name)) for name in ("jax", "torch")]
)
def test_other_backends_give_the_same_logits_and_gradients(models, backend):
    with_backend(backend, "-m", "tests.backend_checks", str(models))
    files = sorted(models.glob("*.tensorflow.npz"))
    assert len(files) == len(pipeline_names()) + len(VARIANTS) + 1
    for file in files:
        expected = np.load(file)
        found = np.load(models / file.name.replace("tensorflow", backend))
        assert set(expected) == set(found)
        for name in expected:
            bound = 1e-4 if name.startswith("gradient") else 1e-5
            np.testing.assert_allclose(
                found[name], expected[name], rtol=bound, atol=bound, err_msg=f"{file}: {name}"
            )
            assert name != "logits" or np.abs(expected[name]).max() > 0.01


@pytest.mark.slow
@needs("jax")
def test_a_run_that_jax_trained_is_like_any_other(tmp_path):
    command = ["-m", "sst_keras", "train", "lstm-attention", "--dataset", "sample", "--json"]
    command += ["--vectors", "none", "--run-dir", "run", "--epochs", "1"]
    for change in ("model.units=8", "embedding.dim=8", "training.average=0.9",
                   "training.clip_norm=1", "training.checks_per_epoch=2"):  # fmt: skip
        command += ["--set", change]
    with_backend("jax", *command, cwd=tmp_path)
    run = RunDirectory(tmp_path / "run")
    scores = run.metrics()["test"]
    assert "jax" in run.environment()["versions"] and len(run.history().rows) == 2

    # TensorFlow answers as JAX did, and its export says what its model says.
    metrics = evaluate(run).metrics
    assert metrics.confusion_matrix == scores["confusion_matrix"]
    assert metrics.loss == pytest.approx(scores["loss"], abs=1e-5)
    texts = ["Not bad.", "A dull, endless film.", "Superb!"]
    labels = [each.label for each in Predictor.load(run.saved_model_dir).predict(texts)]
    assert labels == [each.label for each in Classifier.load(run).predictor().predict(texts)]
    command = ["-m", "sst_keras", "predict", "run", "--json", *texts]
    answers = json.loads(with_backend("jax", *command, cwd=tmp_path))["predictions"]
    assert [each["label"] for each in answers] == labels


# Trainings that are stopped in their first step, and in the second epoch, from where one goes on;
# and one whose epochs are watched.
STOPPED = """
import json
from sst_keras.config import load_pipeline
from sst_keras.runs import new_run
from sst_keras.runtime import keras
from sst_keras.training import train

class Stop(keras.callbacks.Callback):
    def __init__(self, epoch, method):
        super().__init__()
        setattr(self, method, lambda place, logs=None: self.stop(epoch))
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
    def stop(self, epoch):
        if self.epoch == epoch:
            raise KeyboardInterrupt

pipeline = load_pipeline("lstm-attention", [
    "data.dataset=sample", "embedding.vectors=none", "embedding.dim=4", "model.units=4",
    "training.epochs=2", "training.average=0.9",
])
for name, epoch, method in (
    ("first", 0, "on_train_batch_begin"), ("end", 0, "on_train_batch_end"),
    ("second", 1, "on_train_batch_begin"),
):
    try:
        train(pipeline, new_run(pipeline, name), callbacks=[Stop(epoch, method)])
    except KeyboardInterrupt:
        pass
resumed = train(pipeline, new_run(pipeline, "second"))
watched = train(pipeline, new_run(pipeline, "watched"), dev_checks=2)
losses = [[row["dev_loss"] for row in result.history.rows] for result in (resumed, watched)]
print(json.dumps([*losses, [row["dev_loss"] for row in watched.checks]]))
"""


@pytest.mark.slow
@needs("jax")
def test_jax_can_be_stopped_and_watched(tmp_path):
    printed = with_backend("jax", "-c", STOPPED, cwd=tmp_path)
    resumed, watched, checks = json.loads(printed.splitlines()[-1])
    assert resumed == watched  # to the bit
    assert [checks[1], checks[3]] == pytest.approx(watched, abs=1e-6)


def test_what_other_backends_cannot_do(monkeypatch, tmp_path):
    monkeypatch.setattr("sst_keras.training.uses_tensorflow", lambda: False)
    pipeline = load_pipeline("lstm", ["model.weight_dropout=0.1", "data.dataset=sample"])
    with pytest.raises(UsageError, match=r"model\.weight_dropout: expected 0"):
        train(pipeline, new_run(pipeline, tmp_path / "run"))
    monkeypatch.setattr("sst_keras.optimizers.uses_tensorflow", lambda: False)
    with pytest.raises(UsageError, match="lazy-adam needs sparse gradients"):
        make_optimizer("lazy-adam", 0.1)


@pytest.mark.slow
def test_an_unknown_backend(tmp_path):
    command = ["-m", "sst_keras", "train", "--dataset", "sample", "--epochs", "1"]
    done = run_python("numpy", *command, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not (tmp_path / "saved_models").exists()
    assert done.stderr.endswith("KERAS_BACKEND=numpy: expected one of tensorflow, jax, torch.\n")
