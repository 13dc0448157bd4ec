"""No command prints a control character of a text, a class name, a word or a path."""

import re

import pytest
from click.testing import CliRunner

from sst_keras.cli import main

TITLE = "\x1b]0;evil\x07"  # sets the terminal's title
CLEAR = "\x9b2J"
TURN = "\u202e"  # what follows is written from right to left
HIDDEN = f"{TITLE}{CLEAR}{TURN}"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")  # what click and rich write themselves


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder with a table, texts and vectors full of control characters."""
    monkeypatch.chdir(tmp_path)
    rows = [f"[red]good{HIDDEN},a fine{HIDDEN} film{n}" for n in range(20)]
    rows += [f"bad{HIDDEN},a poor {HIDDEN}word film{n}" for n in range(20)]
    (tmp_path / "t.csv").write_text("label,text\n" + "\n".join(rows) + "\n", "utf-8")
    words = f"fine{HIDDEN}", "a", "fine", "poor", f"poor{TURN}", "evil", "film1"
    (tmp_path / "v.txt").write_text("".join(f"{word} 1 {n}\n" for n, word in enumerate(words)))
    (tmp_path / f"x{HIDDEN}.txt").write_text("a film\n" * 20, "utf-8")
    return tmp_path


QUICK = ("--set", "embedding.dim=4", "--set", "model.units=4", "--epochs", "1")


@pytest.mark.slow
def test_no_command_prints_control_characters(hostile):
    texts = f"x{HIDDEN}.txt"
    commands = [
        ["data", "stats", "--dataset", "t.csv"],
        ["data", "stats", "--dataset", "t.csv", "--json"],
        ["data", "show", "--dataset", "t.csv"],
        ["vectors", "info", "v.txt"],
        ["vectors", "nearest", "v.txt", f"fine{HIDDEN}", "nothing\x1b"],
        ["vectors", "train", texts, "--dim", "4", "--out", str(hostile / "w.bin")],
        ["train", "--dataset", "t.csv", "--vectors", "v.txt", *QUICK, "--run-dir", "run"],
        ["train", "--dataset", f"no{HIDDEN}.csv", "--run-dir", "other"],
        ["train", f"no{HIDDEN}"],
        ["train", "--set", f"model.units={HIDDEN}"],
        ["evaluate", "run", "--errors"],
        ["evaluate", "run", "--errors", "--json"],
        ["predict", "run", f"a fine{HIDDEN} film"],
        ["predict", "run", "--file", "t.csv"],
        ["predict", "run", "--file", "t.csv", "--json"],
        ["predict", "run", "--file", texts],
        ["explain", "run", f"a fine{HIDDEN} film"],
        ["label", texts, "--teacher", "run", "--sentences", "5", "--shortest", "1"],
        ["runs"],
        ["runs", "."],
        ["plot", "run"],
        ["evaluate", f"no{HIDDEN}"],
    ]
    done = set()
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert not isinstance(result.exception, Exception), (command, result.exc_info)
        printed = STYLES.sub("", result.output)
        assert not CONTROLS.search(printed), (command, CONTROLS.findall(printed))
        done |= {command[0]} if result.exit_code == 0 else set()
    assert done >= {"data", "vectors", "train", "evaluate", "predict", "explain", "label", "plot"}
