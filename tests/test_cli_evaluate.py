import dataclasses
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.cli.evaluate import print_evaluation
from sst_keras.evaluation import Evaluation
from sst_keras.metrics import compute_metrics


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


def test_accuracy_is_printed_with_what_it_is_worth(capsys):
    labels = np.array([2] * 190 + [0] * 30)
    metrics = compute_metrics(labels, np.eye(3)[[2] * 220])
    evaluation = Evaluation("own.csv", "test", ("bad", "fair", "good"), metrics)
    print_evaluation(evaluation)
    lines = capsys.readouterr().out.splitlines()
    assert "accuracy                    86.4% (81.2-90.3%, 95 % interval of 220 texts)" in lines
    assert "  always 'good'             86.4%" in lines
    assert "macro F1                    30.9%" in lines  # a third of 2 · 190 / (190 + 220)
    assert "quadratic weighted kappa    0.000" in lines
    assert "The model predicts 'good' for every text of test." in lines
    assert "test has no text of 'fair'; macro F1 counts each as 0." in lines

    print_evaluation(dataclasses.replace(evaluation, ordered=False))
    assert "kappa" not in (printed := capsys.readouterr().out) and "86.4%" in printed


@pytest.mark.slow
def test_errors_and_behaviour(run_copy, tmp_path):
    before = run_copy.metrics()
    table = CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--errors"])
    assert table.exit_code == 0, table.output
    for part in (
        "with a negation",
        "complete sentences (roots)",
        "(all nodes)",
        "4,924",
        "taken for",
    ):
        assert part in table.stdout
    assert "Scoring 4,924 labelled phrases" in table.stderr
    assert run_copy.metrics().keys() == before.keys()
    assert "errors" not in run_copy.metrics()["test"]
    (tmp_path / "own.csv").write_text(
        "text,label\nNot bad.,positive\nDull.,negative\nSo-so.,neutral\n"
        "Superb.,very positive\nAwful.,very negative\n",
        "utf-8",
    )
    command = ["evaluate", str(run_copy.path), "--errors", "--json", "--dataset"]
    errors = json.loads(CliRunner().invoke(main, [*command, str(tmp_path / "own.csv")]).stdout)
    assert errors["errors"]["phrases"] is None  # not a treebank
    assert errors["errors"]["groups"]["negation"][0]["n"] == 1

    command = ["evaluate", str(run_copy.path), "--behaviour"]
    table = CliRunner().invoke(main, command)
    assert table.exit_code == 0 and "negated-negatives" in table.stdout
    assert "expected: not positive; predicted:" in table.stdout
    report = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert json.loads(run_copy.behaviour_file.read_text("utf-8")) == {"format": 1} | report
    assert {each["cases"] for each in report["capabilities"]} == {40, 42}


@pytest.mark.slow
def test_another_run_is_compared_on_the_same_texts(run_copy, trained_run, tmp_path):
    other = tmp_path / "saved_models" / "other"
    shutil.copytree(trained_run.path, other)
    command = ["evaluate", str(run_copy.path), "--against", str(other)]
    table = CliRunner().invoke(main, command)
    assert table.exit_code == 0, table.output
    accuracy = f"{run_copy.metrics()['test']['accuracy']:.1%}"
    assert f"against other, {accuracy} on the same texts" in table.stdout
    assert "+0.0 points (-1.1 to +1.1, 95 % interval; p = 1.000" in table.stdout
    assert "0 texts are right only here, 0 only there" in table.stdout
    assert "against" not in run_copy.metrics()["test"]

    trees = tmp_path / "own.csv"
    trees.write_text("text,label\nNot bad.,positive\nDull.,negative\n", "utf-8")
    found = CliRunner().invoke(main, [*command, "--dataset", str(trees), "--json"])
    (row,) = json.loads(found.stdout)["against"]
    assert row["run"] == "other" and row["difference"] == 0 and row["p_value"] == 1

    for wrong in ([*command, "--against", str(other)], command[:3] + [str(run_copy.path)]):
        result = CliRunner().invoke(main, wrong)
        assert result.exit_code == 2 and "is named twice" in result.stderr, result.output
    moved = other.rename(tmp_path / "moved")
    pipeline = (moved / "pipeline.toml").read_text("utf-8")
    (moved / "pipeline.toml").write_text(pipeline.replace('"very positive"', '"superb"'), "utf-8")
    (moved / "checksums.json").unlink()
    result = CliRunner().invoke(main, [*command[:3], str(moved)])
    assert result.exit_code == 2 and "--against: expected a run with the classes" in result.stderr


def test_behaviour_takes_no_other_options(run_copy):
    for more in (["--split", "dev"], ["--errors"], ["--dataset", "x.csv"], ["--markup", "keep"]):
        result = CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--behaviour", *more])
        assert result.exit_code == 2 and "no other options" in result.stderr
    text = run_copy.pipeline_file.read_text("utf-8").replace('ordinal = "auto"', 'ordinal = "no"')
    run_copy.pipeline_file.write_text(text, "utf-8")
    result = CliRunner().invoke(main, ["evaluate", str(run_copy.path), "--behaviour"])
    assert result.exit_code == 2 and "have no order" in result.stderr
