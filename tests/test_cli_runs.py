import json

from click.testing import CliRunner

from sst_keras.cli import main


def test_the_list(run_copy):
    folder = str(run_copy.path.parent)
    answer = json.loads(CliRunner().invoke(main, ["runs", "--dir", folder, "--json"]).stdout)
    assert [row["run"] for row in answer["runs"]] == ["run"]
    assert answer["runs"][0]["test"]["n"] == 250
    listing = CliRunner().invoke(main, ["runs", "--dir", folder]).stdout.splitlines()
    assert listing[0] == "run"  # on its own line, so that it can be copied
    assert f"test {answer['runs'][0]['test']['accuracy']:.1%}, epoch" in listing[1]


def test_a_damaged_run_does_not_hide_the_others(run_copy):
    import shutil

    other = shutil.copytree(run_copy.path, run_copy.path.parent / "other")
    for damage in ("{", "null", "[]", "{}", '{"dev": {}}'):
        (other / "metrics.json").write_text(damage)
        result = CliRunner().invoke(main, ["runs", "--dir", str(other.parent), "--json"])
        assert [row["run"] for row in json.loads(result.stdout)["runs"]] == ["run"]
        assert "metrics.json" in result.stderr


def test_runs_that_are_not_finished_and_none_at_all(run_copy, tmp_path):
    run_copy.metrics_file.unlink()
    result = CliRunner().invoke(main, ["runs", "--dir", str(run_copy.path.parent)])
    assert result.exit_code == 0 and "unfinished" in result.stdout
    empty = CliRunner().invoke(main, ["runs", "--dir", str(tmp_path / "none")])
    assert empty.exit_code == 0 and "sst-keras train" in empty.stdout
