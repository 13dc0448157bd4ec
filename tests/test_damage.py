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


def answer(*command):
    """Runs a command; returns its exit code, its JSON and its messages."""
    result = CliRunner().invoke(main, [*command])
    assert not isinstance(result.exception, Exception), result.exc_info
    found = json.loads(result.stdout) if "--json" in command and result.exit_code == 0 else None
    return result.exit_code, found, result.stderr


def damages(whole):
    """Yields the content of a file with a bit flipped, and cut short, 20 times each."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        yield bytes(changed)
        yield whole[: rng.integers(len(whole))]


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_run(run, name):
    whole = (run.path / name).read_bytes()
    commands = ["runs", "--dir", ".", "--json"], ["plot", "run"], ["evaluate", "run", "--json"]
    right = [answer(*command)[1] for command in commands[:2]]
    for number, content in enumerate(damages(whole)):
        (run.path / name).write_bytes(content)
        for command, expected in zip(commands[:2], right, strict=True):
            code, found, message = answer(*command)
            if code == 0 and found == expected:
                continue
            assert code == 1 or found["runs"] == [], (number, command, found)
            assert name in message or "checksums.json" in message, (number, command, message)
        if number < 2:  # it loads the model
            code, _, message = answer(*commands[2])
            assert code == 1, number
            assert name in message or "checksums.json" in message, (number, message)
    (run.path / name).write_bytes(whole)
    assert answer(*commands[0])[1] == right[0]


def test_fields_of_other_kinds(run):
    run.checksums_file.unlink()
    for path in (run.metrics_file, run.environment_file):
        whole = json.loads(path.read_text("utf-8"))
        whole.pop("sha256", None)
        tables = [key for key in whole if isinstance(whole[key], dict)]
        places = [(key,) for key in whole]
        places += [(key, inner) for key in tables for inner in whole[key]]
        for place in places:
            for kind in KINDS:
                changed = json.loads(json.dumps(whole))
                (changed[place[0]] if len(place) > 1 else changed)[place[-1]] = kind
                path.write_text(json.dumps(changed), "utf-8")
                for read in (RunDirectory.summary, save_plots_of, card_of):
                    try:
                        read(RunDirectory(run.path))
                    except InputError as error:
                        assert path.name in str(error)
        path.write_text(json.dumps(whole), "utf-8")


def save_plots_of(run):
    save_plots([run])


def card_of(run):
    model_card(run, ("bad", "good"), True, ())
