import json
import random
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from sst_keras import callbacks, training
from sst_keras.calibration import fit_temperature
from sst_keras.callbacks import TrainingDiverged
from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline
from sst_keras.corpora import load_corpus
from sst_keras.errors import UsageError
from sst_keras.history import rank, read_history
from sst_keras.models import word_vectors
from sst_keras.runs import new_run
from sst_keras.serving.export import export
from sst_keras.serving.prediction import Predictor
from sst_keras.settings import DataConfig
from sst_keras.training import balanced_weights, train

SMALL = ["model.units=8", "training.epochs=2", "embedding.vectors=none", "embedding.dim=8"]


def run_pipeline(folder, *settings, data_dir=None, callbacks=(), dev_checks=1):
    pipeline = load_pipeline("lstm-attention", [*SMALL, *settings])
    return train(pipeline, new_run(pipeline, folder), data_dir, callbacks, dev_checks)


def test_a_run_is_complete(trained_run):
    for file in (
        trained_run.pipeline_file,
        trained_run.vocabulary_file,
        trained_run.history_file,
        trained_run.model_file,
        trained_run.metrics_file,
        trained_run.environment_file,
    ):
        assert file.is_file()
    summary = trained_run.model_summary_file.read_text("utf-8")
    assert "attention" in summary and "Total params" in summary
    pipeline = trained_run.pipeline
    assert pipeline.data.dataset == "sample"
    assert pipeline.data.labels[0] == "very negative"
    assert pipeline.embedding.vectors == ("sample",)


def test_the_environment_is_recorded(trained_run):
    environment = trained_run.environment()
    assert environment["versions"]["keras"] == keras.__version__
    assert environment["seed"] == 1
    assert len(environment["data_fingerprint"]) == 64
    (vectors,) = environment["vectors"]
    assert vectors["name"] == "sample" and vectors["dim"] == 50
    assert vectors["coverage"]["splits"]["train"]["tokens_found"] > 0.95
    commit = environment["git_commit"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode == 0:
        assert commit.removesuffix("-dirty") == head.stdout.strip()
    assert str(trained_run.path.parent) not in json.dumps(environment)


def test_history_and_metrics_agree(trained_run):
    history, metrics = read_history(trained_run.history_file), trained_run.metrics()
    best = metrics["best_epoch"]
    assert metrics["epochs"] == len(history.rows) == 3
    assert history.best_epoch == best
    # The model's file has the accuracy of its epoch.
    assert metrics["dev"]["accuracy"] == pytest.approx(history.column("dev_accuracy")[best - 1])
    assert history.column("embedding_learning_rate")[0] == pytest.approx(0.02)


def test_the_kept_model_is_calibrated_on_dev(trained_run):
    metrics, corpus = trained_run.metrics(), load_corpus(trained_run.pipeline.data)
    probabilities = Classifier.load(trained_run).probabilities(corpus.dev)
    assert fit_temperature(corpus.dev.labels, probabilities) == pytest.approx(1, abs=1e-3)
    before = metrics["dev"]["uncalibrated"]
    assert before["loss"] > metrics["dev"]["loss"] and before["temperature"] != 1
    # Before, it had the loss that the history shows.
    history = read_history(trained_run.history_file)
    shown = history.column("dev_loss")[metrics["best_epoch"] - 1]
    assert before["loss"] == pytest.approx(shown, rel=1e-5)
    assert metrics["test"]["uncalibrated"]["temperature"] == before["temperature"]


def test_vectors_in_8_bits(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1", "embedding.dim=200"]
    whole = run_pipeline(tmp_path / "a", *settings).run
    small = run_pipeline(tmp_path / "b", *settings, "embedding.quantized=true").run
    one, other = (Classifier.load(run).model.get_layer("embedding") for run in (whole, small))
    rows, scale = other.get_weights()
    assert rows.dtype == np.int8 and len(other.trainable_weights) == 0
    given = one.get_weights()[0]
    np.testing.assert_allclose(word_vectors(other), given, atol=np.abs(given).max() / 200)
    assert small.model_file.stat().st_size < whole.model_file.stat().st_size
    texts = ["A great film", "bad", "zebra"]
    exported = Predictor.load(export(small))
    for mine, given in zip(
        Classifier.load(small).predictor().predict(texts), exported.predict(texts), strict=True
    ):
        assert mine.label == given.label
        np.testing.assert_allclose(
            list(mine.probabilities.values()), list(given.probabilities.values()), atol=1e-6
        )


def test_the_last_epoch_has_vectors_in_8_bits_too(tree_folder, tmp_path, monkeypatch):
    scored, score = [], training.score

    def noted(classifier, corpus, split):
        scored.append((split, classifier.model.get_layer("embedding").get_weights()[0].dtype))
        return score(classifier, corpus, split)

    monkeypatch.setattr(training, "score", noted)
    settings = ["data.min_count=1", "embedding.quantized=true", "training.epochs=6"]
    settings += [f"data.dataset='{tree_folder}'", "training.learning_rate=0.3"]
    result = run_pipeline(tmp_path / "run", *settings)
    assert result.best_epoch < 6
    assert scored[-1] == ("test", np.int8)


def rows_of(result):
    """A run's history without its times."""
    times = ("seconds", "examples_per_second")
    return [{k: v for k, v in row.items() if k not in times} for row in result.history.rows]


@pytest.mark.slow
def test_random_numbers_drawn_while_data_are_read_change_nothing(
    tree_folder, tmp_path, monkeypatch
):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1"]
    first = run_pipeline(tmp_path / "a", *settings)

    def load_and_draw(*arguments):
        random.random(), np.random.random(), tf.random.normal((1,))
        return load_corpus(*arguments)

    monkeypatch.setattr(training, "load_corpus", load_and_draw)
    assert rows_of(run_pipeline(tmp_path / "b", *settings)) == rows_of(first)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_to_the_bit(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1"]
    first = run_pipeline(tmp_path / "a", *settings)
    second = run_pipeline(tmp_path / "b", *settings)
    other = run_pipeline(tmp_path / "c", *settings, "training.seed=2")

    assert rows_of(first) == rows_of(second) != rows_of(other)
    for one, two in zip(
        *(Classifier.load(result.run).model.get_weights() for result in (first, second)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_dev_checks_do_not_change_training(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1", "training.learning_rate=0.1"]
    first = run_pipeline(tmp_path / "a", *settings)
    second = run_pipeline(tmp_path / "b", *settings, "training.epochs=3", dev_checks=2)

    assert rows_of(second)[:2] == rows_of(first)
    history = read_history(second.run.history_file)
    assert history.rows == second.history.rows
    # One batch per epoch: the check in its middle coincides with the one at its end.
    assert [row["epoch"] for row in second.checks] == [1, 2, 3]
    for row, accuracy, loss in zip(
        second.checks, history.column("dev_accuracy"), history.column("dev_loss"), strict=True
    ):
        assert row["dev_accuracy"] == pytest.approx(accuracy)
        assert row["dev_loss"] == pytest.approx(loss, abs=1e-5)
    last = second.last["dev"].metrics
    assert last.loss == pytest.approx(history.column("dev_loss")[-1], abs=1e-5)
    metrics = second.run.metrics()
    assert metrics["last_epoch"]["test"]["accuracy"] == second.last["test"].metrics.accuracy
    assert metrics["checks"] == list(second.checks)
    assert not first.checks and "checks" not in first.run.metrics()


@pytest.mark.slow
def test_several_checks_per_epoch(tree_folder, tmp_path):
    settings = [
        f"data.dataset='{tree_folder}'", "data.min_count=1", "training.learning_rate=0.1",
        "data.batch_size=1",
    ]  # fmt: skip
    first = run_pipeline(tmp_path / "a", *settings)
    checked = [*settings, "training.checks_per_epoch=2"]
    second = run_pipeline(tmp_path / "b", *checked)
    # Three texts: a check after one and after three. Between checks, training is the same.
    assert second.history.column("epoch") == [0.5, 1, 1.5, 2]
    for one, two in zip(first.history.rows, second.history.rows[1::2], strict=True):
        assert one["dev_loss"] == two["dev_loss"] and one["epoch"] == two["epoch"]
    halves = second.history.rows
    for epoch, row in enumerate(first.history.rows):
        mean = (halves[2 * epoch]["loss"] + 2 * halves[2 * epoch + 1]["loss"]) / 3
        assert row["loss"] == pytest.approx(mean, rel=1e-6)
    metrics = second.run.metrics()
    assert metrics["epochs"] == 2
    assert metrics["best_epoch"] == second.best_epoch == second.history.best_epoch
    best = next(row for row in halves if row["epoch"] == second.best_epoch)
    assert metrics["dev"]["loss"] == pytest.approx(best["dev_loss"], abs=1e-6)
    for row in halves:
        assert row["examples_per_second"] * row["seconds"] == pytest.approx(
            1 if row["epoch"] % 1 else 2
        )
    frozen = [*checked, "training.learning_rate=0", "embedding.trainable=false"]
    patient = run_pipeline(tmp_path / "c", *frozen, "training.epochs=9", "training.patience=1")
    assert patient.history.column("epoch") == [0.5, 1, 1.5]  # an epoch without a better check
    with pytest.raises(UsageError, match="training.checks_per_epoch: expected 1.* Received: 2"):
        run_pipeline(tmp_path / "d", *checked, dev_checks=2)


@pytest.mark.slow
def test_averaged_weights_are_scored_and_kept(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1", "training.epochs=3"]
    plain = run_pipeline(tmp_path / "a", *settings)
    result = run_pipeline(tmp_path / "b", *settings, "training.average=0.9", dev_checks=2)
    # Training is the same; only what dev is scored with differs.
    assert result.history.column("loss") == plain.history.column("loss")
    assert result.history.column("dev_loss") != plain.history.column("dev_loss")
    checks = [row["dev_loss"] for row in result.checks]
    assert checks == pytest.approx(result.history.column("dev_loss"), abs=1e-6)
    last, kept = result.last["dev"].metrics, result.best["dev"].metrics
    assert last.loss == pytest.approx(result.history.column("dev_loss")[-1], abs=1e-6)
    best = result.history.rows[result.best_epoch - 1]
    assert kept.loss == pytest.approx(best["dev_loss"], abs=1e-6)


def test_the_weight_of_complete_sentences(tree_folder, tmp_path):
    """Each row of the history is an example, so that its loss is the example's times its weight."""
    settings = [
        f"data.dataset='{tree_folder}'", "model.name=mlp", "data.min_count=1", "data.batch_size=1",
        "data.examples=unique-phrases", "training.learning_rate=0", "training.epochs=1",
        "embedding.trainable=false", "embedding.dropout=0", "model.dropout=0",
        "training.checks_per_epoch=9",
    ]  # fmt: skip
    plain = run_pipeline(tmp_path / "a", *settings).history.column("loss")
    result = run_pipeline(tmp_path / "b", *settings, "data.root_weight=3")
    weighed = result.history.column("loss")
    ratios = sorted(np.array(weighed) / plain)
    assert ratios == pytest.approx([1] * 6 + [3] * 3)  # three of nine texts are complete
    assert len(np.load(result.run.training_texts_file)) == 9


def test_balanced_weights():
    # Four texts, two classes with texts: 4 / (2 · 3), 4 / (2 · 1).
    assert balanced_weights(np.array([0, 0, 2, 0]), 3) == pytest.approx([2 / 3, 0, 2])
    assert balanced_weights(np.array([1, 0]), 2) == [1, 1]
    # Two and a half texts of class 0 in an epoch, half a text of class 1.
    shares = np.array([1, 1, 0.5, 0.5])
    assert balanced_weights(np.array([0, 0, 0, 1]), 2, shares) == pytest.approx([0.6, 3])


def test_class_weights_weigh_the_loss(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "own").mkdir()
    for split in ("train", "dev", "test"):
        rows = "a good film,good\na fine film,good\na nice film,good\na bad film,bad\n"
        (tmp_path / "own" / f"{split}.csv").write_text(f"text,label\n{rows}", "utf-8")
    settings = [
        f"data.dataset='{tmp_path / 'own'}'", "training.learning_rate=0", "training.epochs=1",
        "embedding.trainable=false", "embedding.dropout=0", "model.dropout=0", "data.min_count=1",
    ]  # fmt: skip
    result = run_pipeline(tmp_path / "run", *settings, "data.class_weights=balanced")
    split = load_corpus(result.pipeline.data).train
    losses = -np.log(Classifier.load(result.run).probabilities(split)[range(4), split.labels])
    (row,) = result.history.rows
    # One text of bad weighs as much as the three of good.
    bad = int(split.labels.tolist().index(0))
    good = [place for place in range(4) if place != bad]
    expected = (losses[bad] + losses[good].mean()) / 2
    assert row["loss"] == pytest.approx(expected, abs=1e-6)
    assert row["dev_loss"] == pytest.approx(losses.mean(), abs=1e-6)
    assert row["loss"] != pytest.approx(row["dev_loss"], abs=1e-6)
    assert "Class weights: bad 2, good 0.667." in caplog.text
    weights = result.run.environment()["class_weights"]
    assert weights == pytest.approx([2, 2 / 3])


def test_balanced_classes_stay_balanced_if_roots_weigh_more(tree_folder):
    with (tree_folder / "train.txt").open("a") as file:
        file.write("(2 (2 A) (2 (2 the) (2 film)))\n")
    data = DataConfig(
        str(tree_folder), examples="unique-phrases", root_weight=5.0, class_weights="balanced"
    )
    corpus = load_corpus(data)
    labels = corpus.training_split(data.examples).labels
    weights = np.array([training._class_weights(corpus, data)[label] for label in labels])
    totals = np.bincount(labels, weights * training._root_weights(corpus, data))
    assert totals[totals > 0] == pytest.approx(totals.max())
    assert weights.max() > weights.min()


def test_the_epoch_can_be_chosen_by_loss(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1", "model.name=mlp"]
    result = run_pipeline(tmp_path / "run", *settings, "training.monitor=loss")
    losses = result.history.column("dev_loss")
    assert result.best_epoch == losses.index(min(losses)) + 1 == result.run.history().best_epoch
    assert result.best["dev"].metrics.loss == pytest.approx(min(losses), rel=1e-5)


def test_the_epoch_can_be_chosen_by_macro_f1(tree_folder, tmp_path, monkeypatch):
    ranked = []
    monkeypatch.setattr(callbacks, "rank", lambda *by: ranked.append(by[:2]) or rank(*by))
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1", "model.name=mlp"]
    result = run_pipeline(tmp_path / "run", *settings, "training.monitor=macro-f1")
    history = result.run.history()
    assert history == result.history
    f1 = history.column("dev_macro_f1")
    assert ranked == list(zip(f1, history.column("dev_loss"), strict=True))
    assert history.best_epoch == result.best_epoch
    assert f1[result.best_epoch - 1] == pytest.approx(result.best["dev"].metrics.macro_f1)

    plain = run_pipeline(tmp_path / "plain", *settings)
    without = [{k: v for k, v in row.items() if k != "dev_macro_f1"} for row in rows_of(result)]
    assert rows_of(plain) == without


def test_texts_far_longer_than_most_are_reported(tmp_path, caplog):
    (tmp_path / "own").mkdir()
    rows = "a good film,good\na bad film,bad\n" * 2 + f"{'word ' * 1001},good\n"
    for split in ("train", "dev", "test"):
        (tmp_path / "own" / f"{split}.csv").write_text(f"text,label\n{rows}", "utf-8")
    settings = [f"data.dataset='{tmp_path / 'own'}'", "model.name=mlp", "training.epochs=1"]
    run_pipeline(tmp_path / "run", *settings)
    note = "The longest text has 1,001 tokens, the median 3."
    assert note in caplog.text and "3 of 15 have more than 500 tokens" in caplog.text
    caplog.clear()
    run_pipeline(tmp_path / "cut", *settings, "data.max_length=500")
    assert note not in caplog.text


@pytest.mark.slow
def test_patience_ends_training(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "training.learning_rate=0", "training.epochs=9"]
    frozen = [*settings, "embedding.trainable=false"]
    result = run_pipeline(tmp_path / "run", *frozen, "training.patience=2")
    assert result.best_epoch == 1 and len(result.history.rows) == 3
    result = run_pipeline(tmp_path / "endless", *frozen, "training.patience=0")
    assert result.best_epoch == 1 and len(result.history.rows) == 9


def test_slow_bfloat16_is_named_where_it_is_read(tree_folder, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("sst_keras.environment.is_bfloat16_slow", lambda: True)
    settings = [f"data.dataset='{tree_folder}'", "model.matmul_dtype=bfloat16"]
    run_pipeline(tmp_path / "mlp", *settings, "model.name=mlp")
    assert "no bfloat16 instructions" not in caplog.text
    run_pipeline(tmp_path / "lstm", *settings)
    assert "no bfloat16 instructions" in caplog.text


def test_settings_that_a_model_does_not_read_are_named(tree_folder, tmp_path, caplog):
    dataset = f"data.dataset='{tree_folder}'"
    run_pipeline(tmp_path / "run", dataset, "model.name=mlp", "model.num_layers=2")
    assert "does not read: model.num_layers" in caplog.text


def test_a_loss_that_becomes_nan_keeps_the_best_epoch_so_far(tree_folder, tmp_path):
    class Explode(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                weights = [np.full_like(w, np.nan) for w in self.model.get_weights()]
                self.model.set_weights(weights)

    with pytest.raises(TrainingDiverged):
        run_pipeline(tmp_path / "run", f"data.dataset='{tree_folder}'", callbacks=[Explode()])
    assert len(read_history(tmp_path / "run" / "history.csv").rows) == 1
    assert (tmp_path / "run" / "model.keras").is_file()
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [(0, "batch"), (1, "epoch")])
def test_a_stop_by_the_user_leaves_a_model(tree_folder, tmp_path, stop_at):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
            if stop_at == (epoch, "epoch"):
                raise KeyboardInterrupt

        def on_train_batch_end(self, batch, logs=None):
            if stop_at == (self.epoch, "batch"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(tmp_path / "run", f"data.dataset='{tree_folder}'", callbacks=[Stop()])
    assert keras.models.load_model(tmp_path / "run" / "model.keras").output.shape == (None, 5)
