"""README's commands: the quick ones run as they stand, the long ones are checked to exist."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.experiments.records import read_records
from sst_keras.experiments.report import rows_table
from sst_keras.experiments.sweep import load_sweep
from sst_keras.runs import RunDirectory
from sst_keras.serving.export import export

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")
QUICK = ("sst-keras pipelines", "sst-keras train --dataset sample --epochs 1", "sst-keras runs")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    shlex.join(shlex.split(line, comments=True))
    for block in blocks("sh")
    for line in block.replace("\\\n", "").splitlines()
]


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_python_runs(trained_run, tmp_path, monkeypatch, capsys):
    export(trained_run)
    (tmp_path / "RUN").symlink_to(trained_run.path)
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(block, {})
    accuracy, path = capsys.readouterr().out.split()
    assert 0 <= float(accuracy) <= 1
    run = RunDirectory(Path(path))
    assert (run.plots_dir / "history.png").is_file()  # as complete as the command line's
    assert (run.saved_model_dir / "saved_model.pb").is_file()


def test_the_report_on_a_file_is_what_the_command_prints(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (block,) = (block for block in blocks("text") if block.startswith("$ sst-keras data check"))
    command, _, expected = block.partition("\n")
    result = CliRunner().invoke(main, shlex.split(command)[2:])
    printed = [line.rstrip() for line in result.stdout.splitlines()]
    assert printed == [line.rstrip() for line in expected.splitlines()]


@pytest.mark.parametrize("place", ["README.md", "CONTRIBUTING.md", "docs/*.md", "*/README.md"])
def test_links_lead_somewhere(place):
    for file in REPOSITORY.glob(place):
        prose = re.sub(r"```.*?```", "", file.read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", prose):
            assert (file.parent / target).exists(), f"{file}: {target}"


def test_the_tables_are_those_of_the_records():
    scores = {}
    for name in ("main", "flagship"):
        table = rows_table(load_sweep(name), read_records(REPOSITORY / "results" / name)).strip()
        assert table in README
        rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
        scores |= {row[0]: row[2:5] for row in rows}
    compared = dict(re.findall(r"^\| `(.+)` \| .+ \| (\d.+) \|$", README, re.M))
    assert compared == {
        "lstm-attention": scores["lstm-attention"][0],
        "lstm-attention`, `data.examples=unique-phrases": scores["lstm-attention-phrases"][0],
        "teacher": scores["teacher"][0],
        "flagship": scores["flagship"][0],
    }
    accuracy, _, polarity = scores["flagship"]
    assert f"\n**{accuracy} %** test accuracy" in README and f"is {polarity} %." in README


def test_a_sweep_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("toml")
    (tmp_path / "width.toml").write_text(block, "utf-8")
    (command,) = [command for command in COMMANDS if "--dry-run" in command]
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0 and "18 runs, 18 to run" in result.stdout
