import json
import random
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from sst_keras import training
from sst_keras.callbacks import TrainingDiverged
from sst_keras.config import load_pipeline
from sst_keras.corpora import load_corpus
from sst_keras.errors import UsageError
from sst_keras.evaluation import load_model
from sst_keras.history import TIME_COLUMNS, read_history
from sst_keras.runs import new_run
from sst_keras.training import NO_VECTORS_NOTE, train
from sst_keras.vocabulary import Vocabulary

SMALL = ["model.units=8", "training.epochs=2", "embedding.vectors=none", "embedding.dim=8"]


def run_pipeline(folder, *settings, name="lstm-attention", data_dir=None, callbacks=()):
    pipeline = load_pipeline(name, [*SMALL, *settings])
    return train(pipeline, new_run(pipeline, folder), data_dir, callbacks)


def test_a_run_is_whole(trained_run):
    for file in (
        trained_run.pipeline_file,
        trained_run.vocabulary_file,
        trained_run.history_file,
        trained_run.model_file,
        trained_run.metrics_file,
        trained_run.environment_file,
    ):
        assert file.is_file()
    pipeline = trained_run.pipeline()
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
    # Scored after training from the model's file: the epoch's own figure again.
    assert metrics["dev"]["accuracy"] == pytest.approx(history.column("dev_accuracy")[best - 1])
    assert history.column("embedding_learning_rate")[0] == pytest.approx(0.02)


def rows_of(result):
    """A run's history, but for its times."""
    history = read_history(result.run.history_file)
    return [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in history.rows]


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


def test_the_same_seed_gives_the_same_to_the_bit(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1"]
    first = run_pipeline(tmp_path / "a", *settings)
    second = run_pipeline(tmp_path / "b", *settings)
    other = run_pipeline(tmp_path / "c", *settings, "training.seed=2")

    assert rows_of(first) == rows_of(second) != rows_of(other)
    for one, two in zip(
        load_model(first.run).get_weights(), load_model(second.run).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_checks_and_the_last_epochs_score_change_nothing(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "data.min_count=1", "training.learning_rate=0.1"]
    first = run_pipeline(tmp_path / "a", *settings)
    more = ["training.checks_per_epoch=2", "training.score_last=true", "training.epochs=3"]
    second = run_pipeline(tmp_path / "b", *settings, *more)

    assert rows_of(second)[:2] == rows_of(first)
    history = read_history(second.run.history_file)
    # One batch an epoch: the check that is due in its middle falls together with that at its end.
    assert [row["epoch"] for row in second.checks] == [1, 2, 3]
    for row, accuracy, loss in zip(
        second.checks, history.column("dev_accuracy"), history.column("dev_loss"), strict=True
    ):
        assert row["dev_accuracy"] == pytest.approx(accuracy)
        assert row["dev_loss"] == pytest.approx(loss, abs=1e-5)
    assert second.last_dev.metrics.loss == pytest.approx(history.column("dev_loss")[-1], abs=1e-5)
    metrics = second.run.metrics()
    assert metrics["last_epoch"]["test"]["accuracy"] == second.last_test.metrics.accuracy
    assert metrics["checks"] == list(second.checks)
    assert first.last_test is None and "last_epoch" not in first.run.metrics()


@pytest.mark.parametrize(
    "settings",
    [
        ["training.loss=euclidean", "training.label_smoothing=0.1"],
        ["training.optimizer=momentum", "training.l2=0.0001", "training.clip_norm=1"],
        ["embedding.trainable=false", "model.bidirectional=true"],
        ["data.examples=phrases", "model.pooling=max"],
        ["data.examples=unique-phrases", "data.max_length=2", "embedding.learning_rate=0"],
    ],
)
def test_settings_that_change_what_is_done(tree_folder, tmp_path, settings):
    result = run_pipeline(tmp_path / "run", f"data.dataset='{tree_folder}'", *settings)
    assert result.test.metrics.n == 2
    assert np.isfinite(read_history(result.run.history_file).column("loss")).all()


def test_the_training_words_alone_without_vectors(tree_folder, tmp_path):
    (tree_folder / "test.txt").write_text("(4 unseen)\n")
    result = run_pipeline(tmp_path / "run", f"data.dataset='{tree_folder}'", "data.min_count=1")
    assert Vocabulary.load(result.run.vocabulary_file).tokens == (
        "<pad>", "<unk>", "a", "film", "bad", "great",
    )  # fmt: skip


def test_words_of_the_vectors_join(tree_folder, tmp_path):
    vectors = tmp_path / "mine.txt"
    vectors.write_text("The 1 2\nfilm 3 4\nunseen 5 6\nrarest 7 8\n")
    (tree_folder / "test.txt").write_text("(4 (2 unseen) (2 unheard))\n")
    result = run_pipeline(
        tmp_path / "run",
        f"data.dataset='{tree_folder}'",
        f"embedding.vectors=['{vectors}']",
        "data.vector_words=2",
        "embedding.trainable=false",
    )
    tokens = Vocabulary.load(result.run.vocabulary_file).tokens
    # Training words with a vector or often enough; then words of dev and test that have one; then
    # the vectors' most frequent. "rarest" is none of these, "unheard" has no vector.
    assert tokens == ("<pad>", "<unk>", "a", "film", "unseen", "the")
    matrix = load_model(result.run).get_layer("embedding").get_weights()[0]
    np.testing.assert_array_equal(matrix[[3, 4, 5]], [[3, 4], [5, 6], [1, 2]])


def test_two_sets_of_vectors_side_by_side(tree_folder, tmp_path):
    for name, row in (("one", "film 1 2"), ("two", "film 3 4 5")):
        (tmp_path / f"{name}.txt").write_text(f"{row}\n")
    sets = f"['{tmp_path / 'one.txt'}', '{tmp_path / 'two.txt'}']"
    result = run_pipeline(
        tmp_path / "run",
        f"data.dataset='{tree_folder}'",
        f"embedding.vectors={sets}",
        "embedding.trainable=false",
    )
    vocabulary = Vocabulary.load(result.run.vocabulary_file)
    matrix = load_model(result.run).get_layer("embedding").get_weights()[0]
    np.testing.assert_array_equal(matrix[vocabulary.tokens.index("film")], [1, 2, 3, 4, 5])
    assert result.pipeline.embedding.vectors == ("one", "two")


def test_no_vectors_to_be_found(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "embedding.vectors=auto"]
    with pytest.raises(UsageError, match="vectors fetch.*--vectors none"):
        run_pipeline(tmp_path / "run", *settings)
    with pytest.raises(UsageError, match="stand alone"):
        run_pipeline(tmp_path / "run", settings[0], "embedding.vectors=['none', 'sample']")


def test_the_best_set_of_a_folder_is_chosen(tree_folder, tmp_path):
    vectors = tmp_path / "data" / "vectors"
    vectors.mkdir(parents=True)
    (vectors / "few.txt").write_text("film 1 2\n")
    (vectors / "many.txt").write_text("film 1 2\ngreat 3 4\nbad 5 6\n")
    result = run_pipeline(
        tmp_path / "run",
        f"data.dataset='{tree_folder}'",
        "embedding.vectors=auto",
        data_dir=tmp_path / "data",
    )
    assert result.pipeline.embedding.vectors == ("many",)


def test_auto_goes_on_without_vectors(offline, tmp_path, monkeypatch, tree_folder):
    # As if SST-5 were there, but no vectors.
    from sst_keras import corpora

    read = corpora._read_trees
    monkeypatch.setattr(corpora.sst5_source, "is_available", lambda data_dir: True)
    monkeypatch.setattr(corpora, "_read_sst5", lambda *_: read(tree_folder, "sst5", False))
    result = run_pipeline(tmp_path / "run", "data.dataset=auto", "embedding.vectors=auto")
    assert result.pipeline.embedding.vectors == ("none",)
    assert result.pipeline.data.dataset == "sst5"
    assert NO_VECTORS_NOTE in result.notes
    assert result.run.environment()["notes"] == [NO_VECTORS_NOTE]


def test_a_loss_that_becomes_nan_keeps_what_was_there(tree_folder, tmp_path):
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
