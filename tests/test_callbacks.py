import io
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from rich.console import Console

from sst_keras.callbacks import (
    AveragedWeights,
    BestModel,
    DevChecks,
    HistoryLogger,
    ProgressBar,
    StopOnNaN,
    TrainingDiverged,
)
from sst_keras.history import read_history


@pytest.fixture
def model():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs), name="tiny")
    model.compile("sgd", "mse")
    return model


def logs(dev_accuracy, dev_loss=1.0):
    return {"loss": 2.0, "accuracy": 0.5, "val_loss": dev_loss, "val_accuracy": dev_accuracy}


def run_epochs(callback, model, figures):
    """Calls a callback as `fit` does, with the figures as logs; returns the epochs that began."""
    callback.set_model(model)
    model.stop_training = False
    epochs = []
    for epoch, figure in enumerate(figures):
        if model.stop_training:
            break
        epochs.append(epoch + 1)
        callback.on_epoch_begin(epoch)
        callback.on_test_begin()
        callback.on_epoch_end(epoch, logs(*figure))
    return epochs


def test_history_grows_by_one_row_per_epoch(model, tmp_path):
    path = tmp_path / "history.csv"
    parts = SimpleNamespace(epoch=lambda part: (part + 1) / 2, examples=50)
    logger = HistoryLogger(path, parts)
    run_epochs(logger, model, [(0.25,), (0.5, 0.75)])
    history = read_history(path)
    assert history.column("epoch") == [0.5, 1]
    assert history.column("dev_accuracy") == [0.25, 0.5]
    assert history.column("dev_loss") == [1.0, 0.75]
    assert history.column("learning_rate") == pytest.approx([0.01, 0.01])
    row = history.rows[0]
    assert row["examples_per_second"] * row["seconds"] == pytest.approx(50)


def test_the_best_epoch_is_kept(model, tmp_path):
    best = BestModel(tmp_path / "model.keras")
    kernels = []

    def on_epoch_end(epoch, figures, keep=best.on_epoch_end):
        model.set_weights([np.full((1, 1), epoch), np.zeros(1)])
        keep(epoch, figures)
        kernels.append(float(keras.models.load_model(best.path).get_weights()[0][0, 0]))

    best.on_epoch_end = on_epoch_end
    # Better; worse; as accurate with a lower loss; as accurate with a higher one.
    run_epochs(best, model, [(0.4, 1.0), (0.3, 0.5), (0.4, 0.9), (0.4, 1.1)])
    assert kernels == [0, 0, 2, 2]
    assert best.best == 3
    assert not keras.models.load_model(best.path).compiled


def test_patience(model, tmp_path):
    best = BestModel(tmp_path / "model.keras", patience=2)
    assert run_epochs(best, model, [(0.4,), (0.5,), (0.3,), (0.4,), (0.6,)]) == [1, 2, 3, 4]
    assert best.best == 2 and best.out_of_patience
    endless = BestModel(tmp_path / "model.keras")
    assert len(run_epochs(endless, model, [(0.4,)] * 5)) == 5


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_training(loss):
    stop = StopOnNaN()
    stop.set_params({"steps": 2})
    stop.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(TrainingDiverged, match="batch 2.*learning_rate"):
        stop.on_train_batch_end(1, {"loss": loss})


def test_averages_by_hand(model):
    """The kernel is 0 at first, and 1, then 3, after executions of 2 batches and of 1."""
    averaged, kernel = AveragedWeights(0.5), model.trainable_variables[0]
    averaged.set_model(model)
    averaged.set_params({"steps": 3})
    kernel.assign([[0.0]])
    averaged.on_train_begin()
    averaged.on_epoch_begin(0)
    kernel.assign([[1.0]])
    averaged.on_train_batch_end(1)
    # After 2 batches, the momentum is (1 + 2) / (10 + 2) = 1/4: 1/16 of 0, 15/16 of 1.
    assert averaged.averages[0].numpy().item() == pytest.approx(15 / 16)
    kernel.assign([[3.0]])
    averaged.on_train_batch_end(3)  # Keras counts a shorter last execution as a full one.
    # After 3, it is 4/13.
    expected = 4 / 13 * 15 / 16 + 9 / 13 * 3
    assert averaged.averages[0].numpy().item() == pytest.approx(expected)
    averaged.on_test_begin()
    assert kernel.numpy().item() == pytest.approx(expected)
    averaged.on_epoch_begin(1)
    assert kernel.numpy().item() == 3
    with averaged.in_model():
        assert kernel.numpy().item() == pytest.approx(expected)
    assert kernel.numpy().item() == 3
    with pytest.raises(ValueError), averaged.in_model():
        raise ValueError
    assert kernel.numpy().item() == 3
    averaged.on_train_end()
    assert kernel.numpy().item() == pytest.approx(expected)


def test_the_momentum_of_late_averages(model):
    averaged, kernel = AveragedWeights(0.5), model.trainable_variables[0]
    averaged.set_model(model)
    averaged.set_params({"steps": 2})
    kernel.assign([[3.0]])
    averaged.restore([np.ones((1, 1), np.float32), np.zeros(1, np.float32)], 100)
    averaged.on_train_begin()
    averaged.on_epoch_begin(0)
    averaged.on_train_batch_end(1)
    # min(0.5, 103 / 112) for 2 batches: 1/4 of 1, 3/4 of 3.
    assert averaged.averages[0].numpy().item() == pytest.approx(2.5)


def test_a_history_is_gone_on_with(model, tmp_path):
    best = BestModel(tmp_path / "model.keras", patience=2)
    rows = [{"dev_accuracy": score, "dev_loss": 1.0} for score in (0.4, 0.5, 0.3)]
    best.restore(rows, b"the second model")
    assert (best.best, best.checks, best.out_of_patience) == (2, 3, False)
    assert best.path.read_bytes() == b"the second model"
    best.set_model(model)
    model.stop_training = False
    best.on_epoch_end(3, logs(0.5))
    assert best.best == 2 and best.out_of_patience and model.stop_training


def test_progress_shows_the_figures():
    screen = io.StringIO()
    bar = ProgressBar(Console(file=screen, force_terminal=True, width=100))
    bar.set_params({"steps": 3, "epochs": 2})
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, logs(0.5))
    assert bar.progress.tasks[0].completed == 1 and bar.progress.tasks[0].total == 3
    bar.on_epoch_end(0, logs(0.25))
    bar.close()
    assert "dev accuracy 25.0%" in screen.getvalue()
    assert "accuracy 50.0%" in screen.getvalue()


def test_progress_shows_the_time_left_of_the_whole_training(monkeypatch):
    clock = iter([100.0, 110.0, 112.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    bar = ProgressBar(Console(file=io.StringIO()))
    bar.set_params({"steps": 5, "epochs": 3, "later": 10})
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(3, logs(0.5))  # 4 batches in 10 s, and 11 more
    assert bar.progress.tasks[0].fields["left"] == "0:00:28"
    bar.on_train_batch_end(4, logs(0.5))
    assert bar.progress.tasks[0].fields["left"] == "0:00:24"
    bar.close()


def test_progress_shows_epoch_and_check():
    screen = io.StringIO()
    bar = ProgressBar(Console(file=screen, force_terminal=True, width=100))
    bar.set_params({"steps": 3, "epochs": 6, "checks_per_epoch": 3})
    bar.on_epoch_begin(4)
    bar.on_epoch_end(4, logs(0.25))
    bar.close()
    assert "Epoch 1.67/2  loss" in screen.getvalue()


def test_batches_are_counted_to_the_epochs_end(model):
    counts, figures = [], {"accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}

    class Note(ProgressBar):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, {**logs, **figures})
            counts.append(self.progress.tasks[0].completed)

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, {**logs, **figures})

    model.compile("sgd", "mse", steps_per_execution=8)
    bar = Note(Console(file=io.StringIO()))
    data = np.ones((10, 1))  # not shuffled, which needs a seed once another test has trained
    model.fit(data, data, batch_size=1, shuffle=False, callbacks=[bar], verbose=0)
    bar.close()
    assert counts == [8, 10]


@pytest.mark.parametrize(
    ("per_epoch", "ends", "expected"),
    [
        # 10 batches per epoch, two per execution: checks are due after 2.5, 5, 7.5 and 10.
        (4, (2, 4, 6, 8, 10), (0.4, 0.6, 0.8, 1.0)),
        # Keras counts the last, shorter execution as a full one; more checks than executions.
        (5, (8, 16), (0.8, 1.0)),
        (1, (2, 4, 6, 8, 10), (1.0,)),
    ],
)
def test_dev_is_checked_at_equal_intervals(per_epoch, ends, expected):
    scores = iter(range(100))
    score = lambda: SimpleNamespace(loss=float(next(scores)), accuracy=0.5)  # noqa: E731
    checks = DevChecks(score, per_epoch)
    checks.set_params({"steps": 10})
    for epoch in range(2):
        checks.on_epoch_begin(epoch)
        for end in ends:
            checks.on_train_batch_end(end - 1)
    found = [row["epoch"] for row in checks.rows]
    assert found == pytest.approx([*expected, *(1 + place for place in expected)])
    assert [row["dev_loss"] for row in checks.rows] == list(range(2 * len(expected)))
