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


def test_a_damaged_language_model_does_not_hide_the_others(tmp_path):
    about = {
        "format": 1,
        "settings": {"units": 3, "epochs": 1},
        "corpus": {"name": "films"},
        "vectors": {"name": "sample", "fingerprint": "f00d"},
    }
    scores = {"perplexity": {"forward": 1.5, "backward": 2.5}, "seconds": 1.0}
    scores |= {"held_out_sentences": 1, "tokens": 1, "training_seconds": 1.0}
    for name, metrics in (("a", {}), ("b", scores), ("c", {"perplexity": None})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "language_model.json").write_text(json.dumps(about))
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    result = CliRunner().invoke(main, ["runs", "--dir", str(tmp_path)])
    assert result.exit_code == 0 and "perplexity 1.5 forward, 2.5 backward, 1 s" in result.stdout
    assert result.stderr.count("metrics.json: expected") == 2


def test_runs_that_are_not_finished_and_none_at_all(run_copy, tmp_path):
    run_copy.metrics_file.unlink()
    result = CliRunner().invoke(main, ["runs", "--dir", str(run_copy.path.parent)])
    assert result.exit_code == 0 and "unfinished" in result.stdout
    empty = CliRunner().invoke(main, ["runs", "--dir", str(tmp_path / "none")])
    assert empty.exit_code == 0 and "sst-keras train" in empty.stdout
