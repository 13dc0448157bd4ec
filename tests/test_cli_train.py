import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.history import read_history
from sst_keras.runs import RunDirectory


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(main, ["train", *arguments])

    return run


QUICK = ("--vectors", "none", "--set", "embedding.dim=8", "--set", "model.units=8", "--epochs", "1")


@pytest.mark.slow
def test_a_run_from_start_to_end(train, tree_folder):
    result = train("--dataset", str(tree_folder), *QUICK, "--run-dir", "run")
    assert result.exit_code == 0, result.output
    run = RunDirectory(tree_folder.parent / "run")
    assert run.is_finished and (run.saved_model_dir / "saved_model.pb").is_file()
    assert {path.name for path in run.plots_dir.iterdir()} == {
        "history.png",
        *(
            f"{kind}-{split}.png"
            for kind in ("confusion", "reliability")
            for split in ("dev", "test")
        ),
    }
    assert "Test accuracy" in result.stdout and "Try your own" in result.stdout
    assert "Epoch  1/1" in result.stderr
    assert "BUNDLED SAMPLE" not in result.output


@pytest.mark.slow
def test_standard_output_has_only_json(train, bare, tree_folder):
    result = train("lstm", "--dataset", str(tree_folder), *QUICK, "--seed", "5", "--json")
    answer = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert answer["pipeline"] == "lstm" and answer["seed"] == 5 and answer["epochs"] == 1
    assert answer["dataset"] == str(tree_folder) and answer["vectors"] == ["none"]
    assert answer["test"]["n"] == 2 and 0 <= answer["test"]["accuracy"] <= 1
    assert answer["dev"]["n"] == 1 and answer["seconds"] > 0
    assert RunDirectory(tree_folder.parent / answer["run"]).is_finished


@pytest.mark.slow
def test_a_run_on_a_file_of_vectors_can_be_run_again_from_elsewhere(
    train, bare, tree_folder, tmp_path, monkeypatch
):
    (tmp_path / "own.txt").write_text("/c/en/film 1 2\n/c/en/great 3 4\n/c/en/bad 5 6\n")
    pattern = ("--set", "embedding.key_pattern=/c/en/{word}")
    first = train(
        "mlp", "--dataset", str(tree_folder), "--vectors", "own.txt", *pattern, "--epochs", "1",
        "--run-dir", "first", "--json",
    )  # fmt: skip
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["vectors"] == ["own.txt"]
    embedding = RunDirectory(tmp_path / "first").pipeline.embedding
    assert embedding.vectors == (str(tmp_path / "own.txt"),)
    monkeypatch.chdir(tree_folder)
    again = train(str(tmp_path / "first" / "pipeline.toml"), "--run-dir", "again", "--json")
    assert again.exit_code == 0, again.output
    histories = [read_history(path / "history.csv") for path in (tmp_path / "first", Path("again"))]
    assert histories[0].column("dev_loss") == histories[1].column("dev_loss")
    (tmp_path / "own.txt").unlink()
    gone = train(str(tmp_path / "first" / "pipeline.toml"), "--run-dir", "gone")
    assert gone.exit_code == 2 and f"there is no file '{tmp_path / 'own.txt'}'" in gone.stderr


@pytest.mark.slow
def test_the_sample_says_so_once_before_training(train, bare, offline):
    result = train("mlp", "--dataset", "auto", "--epochs", "1", "--run-dir", "run", "--json")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    marks = [number for number, line in enumerate(lines) if "BUNDLED SAMPLE" in line]
    epoch = next(number for number, line in enumerate(lines) if line.startswith("Epoch"))
    assert len(marks) == 1 and marks[0] < epoch
    assert RunDirectory(Path("run")).pipeline.data.dataset == "sample"


def test_plain_train_never_swaps_the_data(train, offline):
    result = train(*QUICK)
    assert result.exit_code == 1
    assert "SST-5 is not available" in result.stderr
    assert list(Path("saved_models/lstm-attention").iterdir()) == []  # no empty run is left


@pytest.mark.slow
def test_a_finished_run_is_not_replaced_unasked(train, bare, tree_folder):
    arguments = ("--dataset", str(tree_folder), *QUICK, "--run-dir", "run", "--json")
    assert train(*arguments).exit_code == 0
    refused = train(*arguments)
    assert refused.exit_code == 2 and "--run-dir: 'run' holds a finished" in refused.stderr
    mistyped = train(*arguments, "--overwrite", "--dataset", "typo.csv")
    assert mistyped.exit_code == 2 and RunDirectory(Path("run")).is_finished
    assert train(*arguments, "--overwrite", "--epochs", "2").exit_code == 0
    assert len(read_history("run/history.csv").rows) == 2


@pytest.mark.slow
def test_own_reviews(train, bare, tmp_path):
    rows = [("awful", "a dreadful film"), ("fine", "a fair film"), ("great", "a superb film")] * 20
    text = "".join(f"{label};{words} {number}\n" for number, (label, words) in enumerate(rows))
    (tmp_path / "mine.csv").write_text("grade;opinion\n" + text)
    result = train("--dataset", "mine.csv", *QUICK)
    assert result.exit_code == 2 and "--text-column" in result.stderr
    (tmp_path / "mine.csv").write_text("stars,review\n" + text.replace(";", ","))
    columns = ("--text-column", "review", "--label-column", "stars")
    result = train(
        "--dataset", "mine.csv", *columns, "--labels", "great, fine,awful", *QUICK, "--json"
    )
    assert result.exit_code == 0, result.output
    run = RunDirectory(tmp_path / json.loads(result.stdout)["run"])
    assert run.pipeline.data.labels == ("great", "fine", "awful")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lstm-atention",), "did you mean 'lstm-attention'"),
        (("--set", "model.unit=3"), "did you mean 'model.units'"),
        (("--epochs", "0"), "--epochs"),
        (("--epochs", "x"), "--epochs"),
        (("--dataset", "nowhere"), "--dataset: expected sst5"),
        (("--data-dir", "nowhere"), "--data-dir: expected a folder"),
        (("--dataset", "sample", "--vectors", "glvoe"), "there are no vectors 'glvoe'"),
    ],
)
def test_wrong_calls(train, arguments, message):
    result = train(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr and "Traceback" not in result.output


def test_wrong_data(train, tree_folder, tmp_path):
    (tmp_path / "wide.txt").write_text("".join(f"w{n} 1 2 3\n" for n in range(6)) + "seven 1 2\n")
    result = train("--dataset", str(tree_folder), "--vectors", "wide.txt")
    assert result.exit_code == 1 and "wide.txt, row 7" in result.stderr
    (tree_folder / "dev.txt").write_text("(3 (2 cut)\n")
    result = train("--dataset", str(tree_folder), *QUICK)
    assert result.exit_code == 1 and "dev.txt, line 1" in result.stderr


def test_tensorboard_that_is_not_installed(train, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find(name),
    )
    result = train("--dataset", "sample", "--tensorboard")
    assert result.exit_code == 2 and "sst-keras[tensorboard]" in result.stderr


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_with_a_usable_run(train, tree_folder, monkeypatch):
    from sst_keras.callbacks import ProgressBar

    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "on_epoch_end", interrupt)
    result = train("--dataset", str(tree_folder), *QUICK, "--run-dir", "run")
    assert result.exit_code == 130
    assert "sst-keras evaluate run" in result.stderr
    evaluated = CliRunner().invoke(main, ["evaluate", "run", "--json"])
    assert json.loads(evaluated.stdout)["n"] == 2


@pytest.mark.slow
def test_after_ctrl_c_a_command_goes_on(train, bare, tree_folder, monkeypatch):
    from sst_keras import checkpoints
    from sst_keras.callbacks import ProgressBar

    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    arguments = ("--dataset", str(tree_folder), *QUICK[:-1], "2", "--run-dir", "a run")
    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "on_epoch_end", interrupt)
        stopped = train(*arguments)
    assert stopped.exit_code == 130
    (line,) = (line for line in stopped.stderr.splitlines() if "To go on:" in line)
    command = shlex.split(line.partition("To go on: ")[2])
    assert command[:2] == ["sst-keras", "train"]
    other = train(*arguments, "--seed", "2")
    assert other.exit_code == 2 and "--run-dir: 'a run' holds an unfinished run" in other.stderr
    assert "training.seed is 1, not 2" in other.stderr
    result = train(*command[2:], "--json")
    assert result.exit_code == 0 and "Goes on after epoch 1." in result.stderr, result.output
    finished = train("--resume", "a run")
    assert finished.exit_code == 2 and "--resume: a run is finished." in finished.stderr
    for more in (("--seed", "2"), ("lstm",), ("--overwrite",), ("--set", "model.units=3")):
        refused = train("--resume", "a run", *more)
        assert refused.exit_code == 2 and "--resume: expected only the run" in refused.stderr
    Path("a run/metrics.json").unlink()
    without = train("--resume", "a run")
    assert without.exit_code == 2 and "no checkpoint.npz to go on from" in without.stderr
    assert len(read_history("a run/history.csv").rows) == 2
