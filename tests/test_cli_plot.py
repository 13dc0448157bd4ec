import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.plotting import save_plots
from sst_keras.runs import RunDirectory

PNG = b"\x89PNG"


def plot(*arguments):
    return CliRunner().invoke(main, ["plot", *map(str, arguments)])


def test_one_run_without_its_model(run_copy):
    run_copy.model_file.unlink()  # plots need files, never a model
    result = plot(run_copy.path)
    assert result.exit_code == 0, result.output
    names = ("history", "confusion-dev", "reliability-dev", "confusion-test", "reliability-test")
    paths = [run_copy.plots_dir / f"{name}.png" for name in names]
    assert result.stdout.split() == [str(path) for path in paths]
    assert all(path.read_bytes().startswith(PNG) for path in paths)


def test_several_runs_on_the_same_axes(run_copy, trained_run, tmp_path):
    result = plot(run_copy.path, trained_run.path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").iterdir())) == 1 + 2 * 4


def test_a_run_that_was_stopped_has_only_its_history(run_copy):
    run_copy.metrics_file.unlink()
    assert [path.name for path in save_plots([run_copy])] == ["history.png"]


@pytest.mark.parametrize("broken", ["", "epoch,loss\n1,2\n"])
def test_wrong_histories(run_copy, broken):
    run_copy.history_file.write_text(broken)
    result = plot(run_copy.path)
    assert result.exit_code == 1 and "history.csv" in result.stderr


def test_nothing_to_plot(tmp_path):
    assert plot(tmp_path / "nowhere").exit_code == 2
    result = plot(tmp_path)
    assert result.exit_code == 2 and "no history.csv" in result.stderr
    assert RunDirectory(tmp_path).name == tmp_path.name
