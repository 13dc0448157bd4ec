"""`sst-keras pretrain`, and a classifier that starts from what it makes."""

import json

import pytest
from click.testing import CliRunner

from sst_keras import locations
from sst_keras.cli import main
from sst_keras.pretrained import LanguageModelRun

SMALL = ["--vectors", "sample", "--units", "4", "--words", "50", "--negatives", "20"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a file of 400 sentences."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sst_keras.pretraining.language_model.PARTS", 5)  # each costs time
    lines = [
        f"The film is {what} and the plot was {how}."
        for what in ("good", "bad", "dull", "great", "not bad")
        for how in ("fine", "weak", "funny", "slow")
    ]
    (tmp_path / "films.txt").write_text("\n".join(lines * 20), "utf-8")
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


@pytest.mark.slow
def test_a_classifier_starts_from_a_language_model(place):
    made = run("pretrain", "films.txt", *SMALL)
    folder = place / "saved_models/language-model/films-4"
    assert "held-out sentences" in made.stdout and "language-model/films-4" in made.stdout
    assert (folder / "plots" / "perplexity.png").is_file()

    again = json.loads(run("pretrain", "films.txt", *SMALL, "--json").stdout)
    assert again["run"] == "saved_models/language-model/films-4"
    assert again["perplexity"] == LanguageModelRun(folder).summary()["perplexity"]
    other = run("pretrain", "films.txt", *SMALL, "--seed", "2", code=2)
    assert "settings.seed is 1, not 2" in other.stderr

    (listed,) = json.loads(run("runs", "--json").stdout)["language_models"]
    assert listed["run"] == "language-model/films-4"
    assert listed["units"] == 4 and listed["finished"]
    assert "language model, films, sample: perplexity" in run("runs").stdout

    plotted = run("plot", "language-model/films-4", "--out", "figures")
    assert plotted.stdout.split() == ["figures/perplexity.png"]
    assert (place / "figures" / "perplexity.png").is_file()

    arguments = ["--dataset", "sample", "--vectors", "sample", "--epochs", "1", "--run-dir", "run"]
    settings = [
        "model.init=language-model/films-4", "model.units=4", "model.bidirectional=false",
        "training.checks_per_epoch=1",
        "model.matmul_dtype=float32",
    ]  # fmt: skip
    arguments += [part for setting in settings for part in ("--set", setting)]
    trained = json.loads(run("train", "teacher", *arguments, "--json").stdout)
    assert trained["finished"] and trained["epochs"] == pytest.approx(1, abs=0.3)
    predicted = json.loads(run("predict", "run", "Not bad at all.", "--json").stdout)
    exported = json.loads(run("predict", "run/saved_model/1", "Not bad at all.", "--json").stdout)
    assert predicted["predictions"] == exported["predictions"]

    encoder = run("export", "language-model/films-4", "--format", "encoder").stdout.strip()
    assert encoder == "saved_models/language-model/films-4/encoder"
    wrong = run("export", "language-model/films-4", code=2)
    assert "is a language model. Expected --format encoder." in wrong.stderr
    assert "is no language model" in run("export", "run", "--format", "encoder", code=2).stderr

    both = run("plot", "language-model/films-4", "run", code=2)
    assert "'saved_models/language-model/films-4' is a language model" in both.stderr


def test_usage_errors(place):
    assert "Missing option '--vectors'" in run("pretrain", "films.txt", code=2).stderr
    missing = run("pretrain", "films.txt", "--vectors", "nothing", code=2)
    assert "--vectors" in missing.stderr and "'nothing'" in missing.stderr
    few = place / "few.txt"
    few.write_text("A film.\n" * 50)
    assert "at least 100 sentences" in run("pretrain", "few.txt", *SMALL, code=2).stderr
    assert run("pretrain", "films.txt", *SMALL, "--units", "0", code=2)
    (place / "full").mkdir()
    (place / "full" / "notes.txt").write_text("mine")
    full = run("pretrain", "films.txt", *SMALL, "--run-dir", "full", code=2)
    assert "--run-dir" in full.stderr and (place / "full" / "notes.txt").read_text() == "mine"
    assert locations.cache_dir() == place / "cache" / "sst_keras"
