import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sst_keras import checkpoints
from sst_keras.checkpoints import Checkpoint, Task
from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline
from sst_keras.errors import InputError, UsageError
from sst_keras.history import read_history
from sst_keras.runs import RunDirectory, new_run
from sst_keras.training import train

TASK = Task({"training.seed": 1, "data.labels": ("bad", "good")}, "d1", ("v1",))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run" / "checkpoint.npz"
    rows = [{"epoch": 0.5, "dev_loss": 0.1 + 0.2}, {"epoch": 1, "dev_loss": float("nan")}]
    arrays = [np.full((2, 2), 0.1, np.float32), np.array(7, np.uint32)]
    Checkpoint(rows, 12.5, arrays, arrays[:1], b"model").save(path, TASK)
    return path


def test_a_checkpoint_is_read_back_exactly(saved):
    found = Checkpoint.load(saved, TASK)
    assert found.rows[0] == {"epoch": 0.5, "dev_loss": 0.1 + 0.2}
    assert np.isnan(found.rows[1]["dev_loss"]) and (found.seconds, found.model) == (12.5, b"model")
    weights, state = found.variables
    assert (weights == np.float32(0.1)).all() and weights.shape == (2, 2)
    assert state == 7 and state.dtype == np.uint32 and state.shape == ()
    assert len(found.averages) == 1
    assert [path.name for path in saved.parent.iterdir()] == ["checkpoint.npz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {**TASK.settings, "training.seed": 2}}, "training.seed is 1, not 2"),
        ({"data": "d2"}, "the data differ"),
        ({"vectors": ()}, "the vectors differ"),
        ({"language_model": "l1"}, "the language model is another"),
    ],
)
def test_another_task_does_not_go_on(saved, change, message):
    with pytest.raises(UsageError, match=f"run_dir: .*{message}.*overwrite"):
        Checkpoint.load(saved, replace(TASK, **change))


def test_a_task_of_an_earlier_version_goes_on(saved):
    newer = {**TASK.settings, "model.shortcuts": False}
    assert Checkpoint.load(saved, replace(TASK, settings=newer)).seconds == 12.5
    newer["model.shortcuts"] = True
    with pytest.raises(UsageError, match="model.shortcuts is False, not True"):
        Checkpoint.load(saved, replace(TASK, settings=newer))


def test_files_that_are_no_checkpoint(saved):
    whole = saved.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        saved.write_bytes(content)
        with pytest.raises(InputError, match="checkpoint.npz: .* file of arrays.*overwrite"):
            Checkpoint.load(saved, TASK)
    for place in range(0, len(whole), 3):  # of the names and sizes in the zip file, for example
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        saved.write_bytes(flipped)
        with contextlib.suppress(InputError):
            Checkpoint.load(saved, TASK)
    np.savez(saved, about=np.frombuffer(json.dumps({"format": 99}).encode(), np.uint8))
    with pytest.raises(InputError, match="format 1. Received one of format 99"):
        Checkpoint.load(saved, TASK)


SMALL = [
    "model.units=8", "embedding.vectors=none", "embedding.dim=8", "data.min_count=1",
    "data.batch_size=1", "training.learning_rate=0.1", "training.epochs=3",
]  # fmt: skip
ALL = [
    "data.examples=sampled-phrases", "data.phrases_per_sentence=1", "data.root_weight=2",
    "training.checks_per_epoch=2", "training.average=0.9", "training.schedule=linear",
    "model.weight_dropout=0.2", "embedding.word_dropout=0.2",
]  # fmt: skip


def pipeline_of(tree_folder, *settings):
    return load_pipeline("lstm-attention", [f"data.dataset='{tree_folder}'", *SMALL, *settings])


def outcome(run):
    """History without times, scores, and the weights of the kept model."""
    times = ("seconds", "examples_per_second")
    rows = [
        {name: value for name, value in row.items() if name not in times}
        for row in read_history(run.history_file).rows
    ]
    metrics = {name: value for name, value in run.metrics().items() if name != "seconds"}
    return rows, metrics, [w.tolist() for w in Classifier.load(run).model.get_weights()]


KILLED = """
import os, signal, sys
from sst_keras import checkpoints
from sst_keras.config import load_pipeline
from sst_keras.runs import new_run
from sst_keras.runtime import keras
from sst_keras.training import train

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

checkpoints.SECONDS = 0.0
pipeline = load_pipeline("lstm-attention", sys.argv[3:])
train(pipeline, new_run(pipeline, sys.argv[1]), callbacks=[Kill()])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_goes_on_to_the_bit(tree_folder, tmp_path, caplog):
    pipeline = pipeline_of(tree_folder, *ALL)
    whole = train(pipeline, new_run(pipeline, tmp_path / "whole")).run
    arguments = [f"data.dataset='{tree_folder}'", *SMALL, *ALL]
    command = [sys.executable, "-c", KILLED, tmp_path / "killed", "4", *arguments]
    killed = subprocess.run(command, env=os.environ, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run = RunDirectory(tmp_path / "killed")
    done = len(read_history(run.history_file).rows)
    assert run.checkpoint_file.is_file() and not run.is_finished
    assert 0 < done < len(read_history(whole.history_file).rows)

    caplog.set_level("INFO")
    # What a killed check leaves behind after its checkpoint does not matter.
    run.model_file.write_bytes(b"of a later check")
    run.history_file.write_text("of a later check")
    train(pipeline, new_run(pipeline, run.path))
    assert "Goes on after epoch 1.5." in caplog.text
    assert outcome(run) == outcome(whole)
    assert not run.checkpoint_file.exists()


class Stop(Exception):
    """Stands for a kill."""


@pytest.fixture
def stopped(tree_folder, tmp_path, monkeypatch):
    """Returns a function: settings → a run that was stopped after its last check."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)

    def stop(*arguments):
        raise Stop

    def run(pipeline):
        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(Classifier, "load", stop)
            train(pipeline, new_run(pipeline, tmp_path / "stopped"))
        return RunDirectory(tmp_path / "stopped")

    return run


@pytest.mark.slow
@pytest.mark.parametrize("settings", [["training.average=0.9"], ["training.patience=1"]])
def test_a_training_that_was_killed_after_its_last_check_is_finished(
    tree_folder, tmp_path, stopped, settings
):
    frozen = ["training.learning_rate=0", "embedding.trainable=false", "training.epochs=5"]
    settings = [*settings, *(frozen if "patience" in settings[0] else [])]
    pipeline = pipeline_of(tree_folder, *settings)
    whole = train(pipeline, new_run(pipeline, tmp_path / "whole")).run
    run = stopped(pipeline)
    # A run's own file has its settings, as `sst-keras train` says after Ctrl-C.
    train(load_pipeline(run.pipeline_file), new_run(pipeline, run.path))
    assert outcome(run) == outcome(whole)
    assert len(outcome(run)[0]) == (2 if "patience" in settings[0] else 3)


def test_a_run_of_other_settings_is_kept(tree_folder, stopped):
    pipeline = pipeline_of(tree_folder, "model.name=mlp")
    run = stopped(pipeline)
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    other = pipeline_of(tree_folder, "model.name=mlp", "training.learning_rate=0.2")
    with pytest.raises(UsageError, match="training.learning_rate is 0.1, not 0.2"):
        train(other, new_run(other, run.path))
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before
    (tree_folder / "dev.txt").write_text("(3 fine)\n", "utf-8")
    with pytest.raises(UsageError, match="the data differ"):
        train(pipeline, new_run(pipeline, run.path))
    assert train(pipeline, new_run(pipeline, run.path, overwrite=True)).run.is_finished


def test_a_short_training_writes_one_checkpoint(tree_folder, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self, *_: saved.append(len(self.rows)))
    pipeline = pipeline_of(tree_folder, "model.name=mlp")
    assert train(pipeline, new_run(pipeline, tmp_path / "run")).run.is_finished
    assert saved == [1]  # after the first check, so that the run goes on if it is stopped later
