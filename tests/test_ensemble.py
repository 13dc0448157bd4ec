import json
import shutil

import numpy as np
import pytest

from sst_keras.calibration import rescaled
from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline
from sst_keras.ensemble import averaged, ensemble, find_members, pipeline_of, read_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.evaluation import evaluate
from sst_keras.plotting import save_plots
from sst_keras.runs import RunDirectory, new_run
from sst_keras.serving.export import export
from sst_keras.serving.prediction import Predictor
from sst_keras.training import train

TEXTS = ["Not bad at all.", "A dull film .", "zebra", ""]


@pytest.fixture(scope="module")
def other_run(tmp_path_factory):
    """A run on the same data with other words, and without attention."""
    settings = ["data.dataset=sample", "model.units=4", "training.epochs=1", "data.min_count=9"]
    settings += ["data.vector_words=0", "embedding.vectors=none"]
    pipeline = load_pipeline("mlp", settings)
    return train(pipeline, new_run(pipeline, tmp_path_factory.mktemp("other") / "run")).run


@pytest.fixture(scope="module")
def together(trained_run, other_run, tmp_path_factory):
    """The two runs as one; the mlp, which knows fewer words, is first."""
    members = find_members([other_run.path, trained_run.path])
    run = new_run(pipeline_of(members, "sample"), tmp_path_factory.mktemp("ensemble") / "run")
    return ensemble(members, read_corpus(members), run).run


def probabilities(run):
    found = Classifier.load(run).predictor().predict(TEXTS)
    return np.array([list(each.probabilities.values()) for each in found])


def test_the_answer_is_the_mean_of_the_answers(trained_run, other_run, together):
    mean = (probabilities(trained_run) + probabilities(other_run)) / 2
    mean = rescaled(mean, together.metrics()["test"]["uncalibrated"]["temperature"])
    np.testing.assert_allclose(probabilities(together), mean, atol=1e-6)
    mine, given = (
        Classifier.load(run).predictor().predict(TEXTS[:2], explain=True)
        for run in (together, trained_run)
    )
    for one, other in zip(mine, given, strict=True):  # the only member with attention
        np.testing.assert_allclose(one.attention, other.attention, atol=1e-6)


def test_it_is_a_run_like_any_other(together, trained_run, other_run, tmp_path):
    scores = evaluate(together)
    assert scores.is_own_data and scores.metrics.accuracy == together.metrics()["test"]["accuracy"]
    folder = export(together, tmp_path / "export")
    exported = Predictor.load(folder).predict(TEXTS)
    own = Classifier.load(together).predictor().predict(TEXTS)
    for one, other in zip(exported, own, strict=True):
        assert one.class_name == other.class_name
        np.testing.assert_allclose(
            list(one.probabilities.values()), list(other.probabilities.values()), atol=1e-6
        )
    assert [path.stem for path in save_plots([together], tmp_path / "plots")] == [
        "confusion-dev", "reliability-dev", "confusion-test", "reliability-test",
    ]  # fmt: skip
    assert "history" in [path.stem for path in save_plots([together, trained_run], tmp_path / "p")]
    about = together.environment()
    assert [member["pipeline"] for member in about["members"]] == ["mlp", "lstm-attention"]
    assert all(len(member["fingerprint"]) == 64 for member in about["members"])
    assert together.pipeline.name == "ensemble" and "2 runs" in together.pipeline.description
    np.testing.assert_array_equal(together.training_texts(), trained_run.training_texts())
    assert about["members"][1]["vectors"][0]["name"] == "sample" and "vectors" not in about
    summary = together.summary()
    assert summary["finished"] and summary["epochs"] is None


def test_an_ensemble_of_ensembles(together, trained_run):
    model = averaged([Classifier.load(run).model for run in (together, trained_run)])
    ids = {"token_ids": np.array([[2, 3, 0], [4, 5, 6]])}
    parts = [Classifier.load(run).model.predict(ids, verbose=0) for run in (together, trained_run)]
    soft = [np.exp(part) / np.exp(part).sum(axis=1, keepdims=True) for part in parts]
    expected = np.log(np.mean(soft, axis=0))
    np.testing.assert_allclose(model.predict(ids, verbose=0), expected, atol=1e-5)


def test_runs_that_do_not_fit_are_refused(trained_run, tmp_path):
    with pytest.raises(UsageError, match="at least two runs. Received: 1"):
        find_members([trained_run.path])
    with pytest.raises(UsageError, match="each run once. Received again"):
        find_members([trained_run.path, trained_run.path])

    def copy(name):
        copied = RunDirectory(shutil.copytree(trained_run.path, tmp_path / name))
        copied.checksums_file.unlink()
        return copied

    other = copy("data")
    about = other.environment() | {"data_fingerprint": "f00d"}
    other.environment_file.write_text(json.dumps(about), "utf-8")
    with pytest.raises(UsageError, match="same data. run has .*, data has f00d"):
        find_members([trained_run.path, other.path])
    other = copy("capitals")
    text = other.pipeline_file.read_text("utf-8").replace("lowercase = true", "lowercase = false")
    other.pipeline_file.write_text(text, "utf-8")
    with pytest.raises(UsageError, match="same data.lowercase. run has True, capitals has False"):
        find_members([trained_run.path, other.path])
    other = copy("unfinished")
    other.metrics_file.unlink()
    with pytest.raises(UsageError, match="unfinished is not finished"):
        find_members([trained_run.path, other.path])


def test_data_that_changed_are_refused(tree_folder, tmp_path):
    settings = [f"data.dataset='{tree_folder}'", "model.units=4", "training.epochs=1"]
    settings += ["embedding.vectors=none"]
    members = []
    for seed in (1, 2):
        pipeline = load_pipeline("mlp", [*settings, f"training.seed={seed}"])
        members.append(train(pipeline, new_run(pipeline, tmp_path / f"{seed}")).run)
    (tree_folder / "dev.txt").write_text("(1 (2 other) (1 film))\n", "utf-8")
    with pytest.raises(InputError, match="has changed since the run was trained"):
        read_corpus(members)
