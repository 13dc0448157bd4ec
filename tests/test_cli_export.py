import shutil

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.locks import locked


@pytest.mark.parametrize("command", [["export"], ["export", "--format", "onnx"], ["predict"]])
def test_no_export_into_a_run_that_is_being_trained(run_copy, command):
    run_copy.metrics_file.unlink()
    shutil.rmtree(run_copy.saved_model_dir.parent, ignore_errors=True)  # another test's
    with locked(run_copy.path):
        result = CliRunner().invoke(main, [*command, str(run_copy.path)], input="Good.\n")
    assert result.exit_code == 2 and "another process is writing into" in result.stderr
    assert not run_copy.saved_model_dir.exists() and not (run_copy.path / "onnx").exists()


def test_the_folder_is_printed(run_copy, tmp_path):
    result = CliRunner().invoke(
        main, ["export", str(run_copy.path), "--out", str(tmp_path / "e" / "1")]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "e" / "1")
    assert (tmp_path / "e" / "1" / "saved_model.pb").is_file()
    again = CliRunner().invoke(
        main, ["export", str(run_copy.path), "--out", str(tmp_path / "e" / "1")]
    )
    assert again.exit_code == 2 and "--out: " in again.stderr
