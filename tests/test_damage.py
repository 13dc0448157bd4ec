"""Runs whose files are cut or changed are refused by name, or give the right answer."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.errors import InputError
from sst_keras.plotting import save_plots
from sst_keras.runs import RunDirectory
from sst_keras.serving.model_card import model_card

FILES = (
    "pipeline.toml", "vocabulary.txt", "history.csv", "model.keras", "metrics.json",
    "environment.json", "training_texts.npy", "checksums.json",
)  # fmt: skip
KINDS = (None, True, 1, -1.5, "text", [], {}, [[]], [1, "a"], {"a": 1})


@pytest.fixture
def run(trained_run, tmp_path, monkeypatch):
    """A copy of the trained run. Nothing is drawn of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sst_keras.plotting.save_figures", lambda figures, folder, dpi: [])
    return RunDirectory(shutil.copytree(trained_run.path, tmp_path / "run"))


def answers(run):
    """Returns what is read of a run's files."""
    run = RunDirectory(run.path)  # nothing is kept in memory
    run.verify()
    return run.summary(), run.history().rows, run.metrics(), run.environment()


def damages(whole):
    """Yields the content of a file with a bit flipped, and cut short, 20 times each."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        yield bytes(changed)
        yield whole[: rng.integers(len(whole))]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_run(run, name):
    whole = (run.path / name).read_bytes()
    right = answers(run)
    for number, content in enumerate(damages(whole)):
        (run.path / name).write_bytes(content)
        try:
            assert answers(run) == right, number
        except InputError as error:
            assert name in str(error) or "checksums.json" in str(error), number
        if number < 2:
            result = CliRunner().invoke(main, ["evaluate", "run", "--json"])
            assert result.exit_code == 1 and isinstance(result.exception, SystemExit), number
            assert name in result.stderr or "checksums.json" in result.stderr
    (run.path / name).write_bytes(whole)
    assert answers(run) == right


def test_one_damaged_run_does_not_hide_the_others(run):
    shutil.copytree(run.path, run.path.with_name("other"))
    run.metrics_file.write_text("[]", "utf-8")
    result = CliRunner().invoke(main, ["runs", "--dir", ".", "--json"])
    assert [row["run"] for row in json.loads(result.stdout)["runs"]] == ["other"]
    assert "metrics.json" in result.stderr


def test_fields_of_other_kinds(run):
    run.checksums_file.unlink()
    for path in (run.metrics_file, run.environment_file):
        whole = json.loads(path.read_text("utf-8"))
        whole.pop("sha256", None)
        tables = [key for key in whole if isinstance(whole[key], dict)]
        places = [(key,) for key in whole]
        places += [(key, inner) for key in tables for inner in whole[key]]
        for turn, place in enumerate(places):
            for number, kind in enumerate(KINDS):
                changed = json.loads(json.dumps(whole))
                (changed[place[0]] if len(place) > 1 else changed)[place[-1]] = kind
                path.write_text(json.dumps(changed), "utf-8")
                readers = [RunDirectory.summary, card_of]
                if (turn + number) % len(KINDS) == 0:  # drawing takes long
                    readers.append(save_plots_of)
                for read in readers:
                    try:
                        read(RunDirectory(run.path))
                    except InputError as error:
                        assert path.name in str(error)
        path.write_text(json.dumps(whole), "utf-8")


def save_plots_of(run):
    save_plots([run])


def card_of(run):
    model_card(run, ("bad", "good"), True, ())
