"""`sst-keras ensemble` and `sst-keras train --from`."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main

WORDS = {"zappy": "good", "zippy": "bad"}
SAMPLE = ("--dataset", "sample", "--vectors", "sample", "--epochs", "1", "--set", "model.units=4")


@pytest.fixture
def place(tmp_path, monkeypatch, trained_run):
    """A folder with a trained run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained_run.path, tmp_path / "saved_models" / "one")
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


@pytest.mark.slow
def test_two_runs_as_one(place):
    run("train", "cnn", *SAMPLE, "--run-dir", "saved_models/two")
    made = run("ensemble", "one", "two", "--run-dir", "saved_models/both")
    assert "All together: dev" in made.stdout and "saved_model/1" in made.stdout
    assert "one: dev" in made.stdout and "two: dev" in made.stdout
    assert "ensemble, sample" in run("runs").stdout
    predicted = json.loads(run("predict", "both", "Not bad.", "--json").stdout)
    exported = json.loads(run("predict", "both/saved_model/1", "Not bad.", "--json").stdout)
    assert predicted["predictions"] == exported["predictions"]
    assert run("plot", "both").exit_code == 0
    again = run("ensemble", "one", "two", "--run-dir", "saved_models/both", code=2)
    assert "--run-dir" in again.stderr and "finished run" in again.stderr
    refused = run("train", "--from", "both", "--dataset", "sample", code=2)
    assert "--from: both is an ensemble" in refused.stderr
    refused = run("train", "saved_models/both/pipeline.toml", code=2)
    assert "an ensemble, which is not trained" in refused.stderr
    over = ("--run-dir", "saved_models/one", "--overwrite")
    assert "made from" in run("ensemble", "one", "two", *over, code=2).stderr


@pytest.mark.slow
def test_data_that_have_moved(place, bare):
    rows = [f"a {word} place x{n},{label}" for n in range(20) for word, label in WORDS.items()]
    (place / "old.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    small = ("--vectors", "none", "--epochs", "1", "--set", "model.units=4")
    run("train", *small, "--dataset", "old.csv", "--run-dir", "saved_models/seed1", "--json")
    shutil.copytree("saved_models/seed1", "saved_models/seed2")
    (place / "old.csv").rename(place / "new.csv")
    together = ("ensemble", "seed1", "seed2", "--run-dir", "saved_models/both")
    refused = run(*together, code=2)
    assert "--dataset" in refused.stderr and "current path" in refused.stderr
    (place / "other.csv").write_text("\n".join(["text,label", *rows[:30]]), "utf-8")
    assert "has changed since" in run(*together, "--dataset", "other.csv", code=1).stderr
    assert '"test"' in run(*together, "--dataset", "new.csv", "--json").stdout
    assert "new.csv" in (place / "saved_models" / "both" / "pipeline.toml").read_text("utf-8")


def test_usage_errors_of_an_ensemble(place):
    assert "at least two runs" in run("ensemble", "one", code=2).stderr
    assert "'nobody'" in run("ensemble", "one", "nobody", code=2).stderr
    assert not list(place.glob("saved_models/ensemble*"))


@pytest.mark.slow
def test_fine_tuning(place, request):
    rows = [f"a {word} place x{n},{label}" for n in range(20) for word, label in WORDS.items()]
    rows.insert(0, "text,label")
    (place / "own.csv").write_text("\n".join(rows), "utf-8")
    arguments = ("train", "--from", "one", "--dataset", "own.csv", "--epochs", "2")
    made = run(*arguments, "--run-dir", "saved_models/tuned")
    assert "Starts from one, with a new last layer" in made.stderr
    assert "not calibrated: dev has 4 texts" in made.stderr
    assert "Pipeline fine-tune" in made.stderr
    about = json.loads((place / "saved_models/tuned/environment.json").read_text("utf-8"))
    assert about["earlier_run"]["name"] == "one"
    for command in (("evaluate",), ("plot",), ("export",)):
        run(*command, "tuned")
    predicted = json.loads(run("predict", "tuned", "a zappy place", "--json").stdout)
    assert set(predicted["predictions"][0]["probabilities"]) == {"good", "bad"}
    # A fine-tuned run is a start, too.
    request.getfixturevalue("bare")
    Path("mine.toml").write_text('extends = "fine-tune"\ndata.dataset = "own.csv"\n', "utf-8")
    again = run("train", "mine.toml", "--from", "tuned", "--epochs", "1", "--json")
    assert "Starts from tuned." in again.stderr


def test_usage_errors_of_fine_tuning(place):
    assert "--dataset: expected the texts" in run("train", "--from", "one", code=2).stderr
    same = ("--dataset", "sample", "--run-dir", "saved_models/one", "--overwrite")
    refused = run("train", "--from", "one", *same, code=2)
    assert "--run-dir" in refused.stderr and (place / "saved_models/one/model.keras").is_file()
    assert "--from: There is no run 'nobody'" in run("train", "--from", "nobody", code=2).stderr
    other = ("--dataset", "sample", "--set", "model.units=5")
    refused = run("train", "--from", "one", *other, code=2)
    assert "model.units is 16, not 5" in refused.stderr and "Traceback" not in refused.output
