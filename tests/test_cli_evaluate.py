import json

import pytest
from click.testing import CliRunner

from sst_keras.cli import main


@pytest.mark.slow
def test_json_and_table(run_copy):
    result = CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--json"])
    answer = json.loads(result.stdout)
    assert answer["n"] == 250 and answer["split"] == "test"
    assert answer["accuracy"] == run_copy.metrics()["test"]["accuracy"]
    assert sum(map(sum, answer["confusion_matrix"])) == 250
    assert {"macro_f1", "per_class", "quadratic_weighted_kappa"} <= set(answer)
    assert answer["per_class"][0]["class_name"] == "very negative"

    table = CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--split", "dev"])
    assert table.exit_code == 0 and "sample, dev: 150 texts" in table.stdout
    assert f"{run_copy.metrics()['dev']['accuracy']:.1%}" in table.stdout


@pytest.mark.slow
def test_scores_and_plots_are_kept_only_for_the_runs_own_data(run_copy, tree_folder):
    before = run_copy.metrics()
    CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--dataset", str(tree_folder)])
    assert run_copy.metrics() == before and not run_copy.plots_dir.exists()
    CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--split", "train"])
    assert run_copy.metrics()["train"]["n"] == 1100
    assert (run_copy.plots_dir / "confusion-train.png").is_file()


def test_wrong_runs(run_copy, tmp_path):
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "no run"),
        ([str(run_copy.path), "--split", "validation"], "validation"),
        ([str(run_copy.path), "--dataset", "nowhere"], "nowhere"),
    ):
        result = CliRunner().invoke(main, ["evaluate", *arguments])
        assert result.exit_code == 2 and message in result.stderr
    (tmp_path / "saved_model.pb").write_text("")
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path)])
    assert result.exit_code == 2 and "exported SavedModel" in result.stderr
    run_copy.model_file.unlink()
    result = CliRunner().invoke(main, ["evaluate", str(run_copy.path)])
    assert result.exit_code == 2 and "model.keras" in result.stderr
