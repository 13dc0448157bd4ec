"""README's commands: the quick ones run as they stand, the long ones are checked to exist."""

import json
import re
import shlex
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.experiments.sweep import load_sweep

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")
QUICK = ("sst-keras pipelines", "sst-keras train --dataset sample --epochs 1", "sst-keras runs")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    shlex.join(shlex.split(line, comments=True))
    for block in blocks("sh")
    for line in block.splitlines()
]


def test_the_quick_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in QUICK:
        assert command in COMMANDS
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in QUICK])
def test_the_long_commands_exist(command):
    program, *arguments = shlex.split(command)
    if program == "make":
        makefile = (REPOSITORY / "Makefile").read_text("utf-8")
        assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE)
        return
    assert program == "sst-keras"
    # Read to the end, but not run: --help would stop the reading, so each command is only made.
    command, name = main, None
    while hasattr(command, "commands") or command is main:
        name, *arguments = arguments
        command = command.get_command(None, name)
        assert command is not None, name
    command.make_context(name, list(arguments))


def test_the_table_names_every_command():
    from sst_keras.cli import COMMANDS as names

    assert all(f"| `sst-keras {name}" in README for name in names)


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(next(block for block in blocks("python") if "load_pipeline" in block), {})
    accuracy, path = capsys.readouterr().out.split()
    assert 0 <= float(accuracy) <= 1 and Path(path).is_dir()


def test_links_lead_somewhere():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", prose):
        assert (REPOSITORY / target).exists(), target


def test_every_result_is_in_the_records():
    lines = (REPOSITORY / "results" / "accuracy.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.+?) \| (.+?) \| (.+?) \| (\d+) \| (\d+) \|$", README, re.M
    )
    assert len(rows) >= 7
    (headline,) = re.findall(r"^\*\*(.+?) %\*\* test accuracy", README, re.M)
    assert ("lstm-attention", headline) in {(name, test) for name, _, test, *_ in rows}
    for name, vectors, test, dev, n, seconds in rows:
        runs = [row for row in records if row["pipeline"] == name and not row["settings"]]
        assert len(runs) == int(n) and ", ".join(runs[0]["vectors"]) == vectors
        assert round(statistics.median(run["seconds"] for run in runs)) == int(seconds)
        for split, cell in (("test", test), ("dev", dev)):
            figures = [100 * run[split]["accuracy"] for run in runs]
            assert cell == f"{statistics.mean(figures):.1f} ± {statistics.stdev(figures):.1f}"


def test_the_sweep_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("toml")
    (tmp_path / "width.toml").write_text(block, "utf-8")
    (command,) = [command for command in COMMANDS if "--dry-run" in command]
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0 and "18 runs, 18 of them to run" in result.stdout


def test_the_reports_rows_are_in_the_records():
    lines = (REPOSITORY / "results" / "paper.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    rows = re.findall(
        r"^\| `paper/([\w.]+)/?(\w*)` \| .+? \| ([\d.–]+) \| (.+?) \| (.+?) \| (\d+) \|$",
        README,
        re.M,
    )
    assert len(rows) >= 4
    sweep = load_sweep("paper")
    for tag, variant, published, last, best, n in rows:
        if variant:
            assert published == "–"  # the report's figure is the row's
        else:
            assert sweep.experiment(tag).published == float(published)
        key = (tag, variant or None)
        runs = [record for record in records if (record["tag"], record["variant"]) == key]
        assert len(runs) == int(n)
        for name, cell in (("test", last), ("test_at_best_dev", best)):
            figures = [100 * run[name] for run in runs]
            assert cell == f"{statistics.mean(figures):.1f} ± {statistics.stdev(figures):.1f}"
