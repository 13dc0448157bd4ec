import numpy as np
import pytest

from sst_keras.corpora import load_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.evaluation import (
    evaluate,
    load_encoder,
    load_model,
    predict_probabilities,
    save_report,
)


def test_evaluating_again_gives_the_same(trained_run):
    for split in ("dev", "test"):
        report = evaluate(trained_run, split)
        assert report.to_dict() == trained_run.metrics()[split]
        assert report.is_own_data and ["BUNDLED SAMPLE" in note for note in report.notes] == [True]


def test_the_training_texts_too(trained_run):
    report = evaluate(trained_run, "train")
    assert report.metrics.n == 1100
    assert report.to_dict()["per_class"][4]["class_name"] == "very positive"


def test_other_data_of_the_same_classes(trained_run, tree_folder):
    report = evaluate(trained_run, "test", dataset=str(tree_folder))
    assert report.metrics.n == 2 and not report.is_own_data


def test_other_classes_are_refused(trained_run, tmp_path):
    (tmp_path / "x.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(40)))
    with pytest.raises(InputError, match="the label '0' is not one of the classes very neg"):
        evaluate(trained_run, dataset=str(tmp_path / "x.csv"))


def test_data_that_moved(run_copy, tree_folder):
    text = run_copy.pipeline_file.read_text("utf-8")
    run_copy.pipeline_file.write_text(text.replace('"sample"', '"gone/trees"', 1), "utf-8")
    with pytest.raises(UsageError, match="gone/trees.*--dataset"):
        evaluate(run_copy)
    assert evaluate(run_copy, dataset="sample").is_own_data


def test_an_unknown_split(trained_run):
    with pytest.raises(UsageError, match="'validation'"):
        evaluate(trained_run, "validation")


def test_a_damaged_model(run_copy):
    run_copy.model_file.write_bytes(run_copy.model_file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.keras"):
        load_model(run_copy)


def test_a_vocabulary_of_another_size(run_copy):
    words = run_copy.vocabulary_file.read_text("utf-8")
    run_copy.vocabulary_file.write_text(words + "another\n", "utf-8")
    with pytest.raises(InputError, match=r"vocabulary\.txt: expected 227 words.*Received 228"):
        evaluate(run_copy)


def test_probabilities_come_in_the_splits_own_order(trained_run):
    pipeline = trained_run.pipeline()
    split = load_corpus(pipeline.data).dev
    model = load_model(trained_run)
    encoder = load_encoder(trained_run, model)
    probabilities = predict_probabilities(model, split, encoder, batch_size=7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    for row in (0, 77, 149):
        ids = encoder(split.tokens[row : row + 1]).to_tensor()
        logits = np.asarray(model({"token_ids": ids}))[0]
        alone = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(probabilities[row], alone, atol=1e-5)


def test_saving_a_report_keeps_the_others(run_copy):
    before = run_copy.metrics()
    save_report(run_copy, evaluate(run_copy, "train"))
    after = run_copy.metrics()
    assert after.pop("train")["n"] == 1100
    assert after == before
