from click.testing import CliRunner

from sst_keras.cli import main


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
