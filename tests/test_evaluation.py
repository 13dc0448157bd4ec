import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from sst_keras.config import load_pipeline
from sst_keras.errors import InputError, UsageError
from sst_keras.evaluation import Evaluation, evaluate, save_evaluation
from sst_keras.metrics import compute_metrics
from sst_keras.runs import RunDirectory, new_run
from sst_keras.training import train

NAMES = ("bad", "fair", "good")


def evaluation_of(labels, predicted, **more):
    metrics = compute_metrics(np.array(labels), np.eye(3)[predicted])
    return Evaluation("reviews.csv", "test", NAMES, metrics, **more)


def test_evaluating_again_gives_the_same(trained_run):
    for split in ("dev", "test"):
        evaluation = evaluate(trained_run, split)
        assert evaluation.to_dict() == trained_run.metrics()[split]
        assert evaluation.is_own_data and [
            "BUNDLED SAMPLE" in note for note in evaluation.notes
        ] == [True]


def test_the_training_texts_too(trained_run):
    evaluation = evaluate(trained_run, "train")
    assert evaluation.metrics.n == 1100
    assert evaluation.to_dict()["per_class"][4]["class_name"] == "very positive"


def test_other_data_of_the_same_classes(trained_run, tree_folder):
    evaluation = evaluate(trained_run, "test", dataset=str(tree_folder))
    assert evaluation.metrics.n == 2 and not evaluation.is_own_data


def test_other_classes_are_refused(trained_run, tmp_path):
    (tmp_path / "x.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(40)))
    with pytest.raises(InputError, match="expected the classes very neg.*'0' \\(20\\)"):
        evaluate(trained_run, dataset=str(tmp_path / "x.csv"))


def test_classes_may_have_other_names_but_no_other_order(trained_run, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{i % 5 + 1}\n" for i in range(40)))
    evaluation = evaluate(trained_run, dataset=str(path), labels=tuple("12345"))
    assert evaluation.class_names == tuple("12345") and evaluation.metrics.n == 40
    assert "1 = very negative" in evaluation.notes[-1]
    names = ("Very positive", "positive", "neutral", "negative", "very negative")
    for labels in (names, ("1", "2"), tuple("123456")):
        with pytest.raises(UsageError, match="data.labels: .*in its order, very negative, neg"):
            evaluate(trained_run, dataset=str(path), labels=labels)


def test_data_that_moved(run_copy, tree_folder):
    text = run_copy.pipeline_file.read_text("utf-8")
    run_copy.pipeline_file.write_text(text.replace('"sample"', '"gone/trees"', 1), "utf-8")
    with pytest.raises(UsageError, match="data.dataset: .*gone/trees"):
        evaluate(run_copy)
    assert evaluate(run_copy, dataset="sample").is_own_data


def test_an_unknown_split(trained_run):
    with pytest.raises(UsageError, match="'validation'"):
        evaluate(trained_run, "validation")


def test_saving_an_evaluation_keeps_the_others(run_copy):
    before = run_copy.metrics()
    save_evaluation(run_copy, evaluate(run_copy, "train"))
    after = run_copy.metrics()
    assert after.pop("train")["n"] == 1100
    assert after == before


def test_evaluations_at_the_same_time_are_all_kept(run_copy, monkeypatch):
    found = {split: evaluate(run_copy, split) for split in ("train", "dev")}
    for name in ("train", "dev"):
        found[name] = replace(found[name], notes=("new",), dataset="new")
    write = RunDirectory.write_metrics

    def slow(run, metrics):
        time.sleep(0.3)
        write(run, metrics)

    monkeypatch.setattr(RunDirectory, "write_metrics", slow)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(save_evaluation, [run_copy] * 2, found.values()))
    assert [run_copy.metrics()[split]["dataset"] for split in found] == ["new"] * 2


def test_nothing_is_kept_in_a_run_that_is_trained_again(run_copy):
    run_copy.seal()
    evaluation, digests = evaluate(run_copy, "dev"), run_copy.digests()
    run_copy.metrics_file.unlink()
    with pytest.raises(UsageError, match="expected a finished run"):
        save_evaluation(run_copy, evaluation)
    run_copy.checksums_file.unlink()
    with pytest.raises(UsageError, match="trained anew"):
        save_evaluation(run_copy, evaluation, digests)
    assert not run_copy.is_finished


def test_scores_that_say_all_they_seem_to():
    evaluation = evaluation_of([0, 1, 2, 2] * 25, [0, 1, 2, 1] * 25)
    assert evaluation.warnings() == evaluation.to_dict()["warnings"] == []
    assert evaluation.majority_class == "good"


@pytest.mark.parametrize(
    ("labels", "predicted", "warnings"),
    [
        ([0, 1, 2, 2] * 25, [2] * 100, ["The model predicts 'good' for every text of test."]),
        (
            [1] * 100,
            [1] * 100,
            ["All texts of test have the class 'fair': the scores show nothing about the other "
             "classes."],
        ),
        ([0, 2] * 50, [0, 1] * 50, ["test has no text of 'fair'; macro F1 counts each as 0."]),
        (
            [0, 1, 2, 2],
            [0, 1, 2, 1],
            ["test has only 4 texts: the accuracy is a rough estimate, from 30% to 95% with a "
             "confidence of 95 %."],
        ),
    ],
)  # fmt: skip
def test_scores_that_say_less_than_they_seem_to(labels, predicted, warnings):
    assert evaluation_of(labels, predicted).warnings() == warnings


def test_classes_without_an_order_have_no_distances():
    ordered, nominal = (evaluation_of([0, 2], [2, 2], ordered=o).to_dict() for o in (True, False))
    distances = {
        "mean_absolute_error", "within_one_accuracy", "polarity_accuracy",
        "quadratic_weighted_kappa",
    }  # fmt: skip
    assert ordered["mean_absolute_error"] == 1.0
    assert {name for name in ordered if ordered[name] != nominal[name]} == distances
    assert all(nominal[name] is None for name in distances)


def test_a_column_of_groups_is_not_needed_where_nothing_is_split(tmp_path):
    rows = [f"text number {number},{'ab'[number % 2]},{number // 2}" for number in range(60)]
    (tmp_path / "x.csv").write_text("\n".join(["text,label,product", *rows]), "utf-8")
    settings = [f"data.dataset='{tmp_path / 'x.csv'}'", "data.group_column=product"]
    quick = ["embedding.vectors=none", "embedding.dim=4", "model.units=4", "training.epochs=1"]
    pipeline = load_pipeline("mlp", settings + quick)
    run = train(pipeline, new_run(pipeline, tmp_path / "run")).run
    (tmp_path / "new.csv").write_text("text,label\ntext number 1,b\nother,a\n", "utf-8")
    evaluation = evaluate(run, dataset=str(tmp_path / "new.csv"))
    assert evaluation.metrics.n == 2 and evaluation.split == "all"
