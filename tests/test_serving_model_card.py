import json
import re
from dataclasses import replace

import tensorflow as tf

from sst_keras.runs import RunDirectory
from sst_keras.serving.export import CARD, export
from sst_keras.serving.model_card import model_card

NAMES = ("very negative", "negative", "neutral", "positive", "very positive")
BEHAVIOUR = [{"capability": "negation", "cases": 42, "failure_rate": 0.25}]


def test_the_card_has_the_figures_of_the_run(trained_run):
    card, metrics = model_card(trained_run, NAMES, True, BEHAVIOUR), trained_run.metrics()
    test = metrics["test"]
    assert f"| test | 250 | {test['accuracy']:.1%} |" in card
    assert f"{test['expected_calibration_error']:.1%} |" in card
    assert f"logits are divided by {test['uncalibrated']['temperature']:.2f}" in card
    assert "sample, 1,100 training texts" in card
    assert trained_run.environment()["vectors"][0]["fingerprint"][:12] in card
    assert "| negation | 42 | 25% |" in card
    for row in test["per_class"]:  # those that it misses
        assert (f"{row['class_name']} ({row['recall']:.0%})" in card) == (row["recall"] < 0.4)
    assert str(trained_run.path.parent) not in card


def test_what_else_it_learned_from(run_copy):
    corpus = {"name": "imdb_reviews"}
    vectors = {"name": "GoogleNews-vectors", "dim": 300}
    teacher = {"dataset": "/z/phones.csv", "vectors": [vectors]}
    about = run_copy.environment() | {
        "language_model": {"name": "/x/lm", "corpus": corpus, "fingerprint": "f" * 64},
        "pseudo_labels": {
            "name": "labels",
            "corpus": corpus,
            "fingerprint": "e" * 64,
            "settings": {"document_labels": True},
            "teachers": {"names": ["/z/one", "two"], "sources": [teacher, teacher]},
        },
        "earlier_run": {
            "name": "big/1",
            "dataset": "/y/films.csv",
            "fingerprint": "d" * 64,
            "vectors": [{"name": "glove.6B.50d.sst", "dim": 50}],
        },
    }
    run_copy.environment_file.write_text(json.dumps(about), "utf-8")
    card = model_card(run_copy, NAMES)
    assert "- **Language model:** lm, on imdb_reviews; fingerprint `ffffffffffff`" in card
    assert "imdb_reviews, labelled by one, two, corrected with the labels of their texts;" in card
    assert card.count("    - **Word vectors:** GoogleNews-vectors") == 1  # of both teachers
    assert "GoogleNews-vectors: Mikolov et al. 2013" in card and "\n- phones.csv: see" in card
    assert "- **Fine-tuned from:** big/1, on films.csv" in card
    assert "    - **Word vectors:** glove.6B.50d.sst, 50 dimensions" in card  # of the earlier run
    assert card.count("Maas et al. 2011") == 1  # a licence is named once
    assert "glove.6B.50d.sst: Pennington et al. 2014" in card
    assert "films.csv: see the licence of its source" in card
    assert "## Behaviour" not in card and not re.search("/[xyz]/", card)


def test_a_model_that_is_kept_from_before_the_labelled_texts(run_copy, monkeypatch):
    before = "The kept model is that of epoch 2. Training on these texts began after epoch 3"
    data = replace(run_copy.pipeline.data, pseudo_labels="labels", pseudo_epochs=3)
    pipeline = replace(run_copy.pipeline, data=data)
    run_copy = RunDirectory(run_copy.path)  # which has not read its own
    monkeypatch.setattr(RunDirectory, "pipeline", pipeline)
    for epoch, is_before in ((2, True), (4, False)):
        metrics = run_copy.metrics() | {"best_epoch": epoch}
        monkeypatch.setattr(RunDirectory, "metrics", lambda self, found=metrics: found)
        assert (before in model_card(run_copy, NAMES)) == is_before


def test_a_run_that_is_not_calibrated_or_not_finished(run_copy):
    metrics = run_copy.metrics()
    for split in ("dev", "test"):
        del metrics[split]["uncalibrated"]
    run_copy.metrics_file.write_text(json.dumps(metrics), "utf-8")
    card = model_card(run_copy, NAMES)
    assert "are not calibrated" in card and "logits are divided" not in card
    run_copy.metrics_file.unlink()
    run_copy.environment_file.write_text("{}", "utf-8")  # of an earlier version
    card = model_card(run_copy, NAMES)
    assert "None: its training was not finished." in card and "fingerprint `unknown`" in card


def test_an_export_has_its_card(run_copy, tmp_path):
    folder = export(run_copy, tmp_path / "1")
    card = (folder / CARD).read_text("utf-8")
    assert "| negated-negatives | 42 |" in card and card.startswith("# run\n")
    assert tf.saved_model.load(str(folder)).signatures  # TensorFlow ignores it
    names = '"a", "b", "c", "d", "e"'
    text = run_copy.pipeline_file.read_text("utf-8")
    text = re.sub(r"labels = \[[^]]*\]", f"labels = [{names}]", text)
    run_copy.pipeline_file.write_text(text, "utf-8")
    del run_copy.__dict__["pipeline"]
    card = (export(run_copy, tmp_path / "2") / CARD).read_text("utf-8")
    assert "## Behaviour" not in card


def test_an_ensemble_names_all_that_its_members_learned_from(run_copy):
    member = {"pipeline": "lstm", "seed": 1, "fingerprint": "a" * 64}
    language_model = {"name": "lm", "corpus": {"name": "imdb_reviews"}, "fingerprint": "f" * 64}
    members = [{"name": "one"} | member, {"name": "two", "language_model": language_model} | member]
    run_copy.environment_file.write_text(json.dumps({"members": members}), "utf-8")
    card = model_card(run_copy, NAMES)
    assert "- **Member:** one, pipeline `lstm`, seed 1" in card
    assert "    - **Language model:** lm, on imdb_reviews" in card
    assert "- imdb_reviews: reviews of IMDb's users" in card and "unknown: see" not in card


def test_scores_of_an_early_version(run_copy):
    metrics = run_copy.metrics()
    for name in ("accuracy_interval", "majority", "expected_calibration_error"):
        del metrics["test"][name]
    run_copy.metrics_file.write_text(json.dumps(metrics), "utf-8")
    run_copy.environment_file.unlink()
    card = model_card(run_copy, NAMES)
    assert re.search(r"\| test \| 250 \| [\d.]+% \| [\d.]+-[\d.]+% \| – \|", card)


def test_other_names_are_not_taken_for_known_ones(run_copy):
    names = ("baseball-gloves", "imdb_reviews-skip-gram-300")
    vectors = [{"name": name, "dim": 3} for name in names]
    run_copy.environment_file.write_text(json.dumps({"vectors": vectors}), "utf-8")
    text = run_copy.pipeline_file.read_text("utf-8")
    text = text.replace('dataset = "sample"', 'dataset = "samples.csv"')
    run_copy.pipeline_file.write_text(text, "utf-8")
    card = model_card(run_copy, NAMES)
    assert "samples.csv: see the licence" in card and "baseball-gloves: see the licence" in card
    assert "imdb_reviews-skip-gram-300: reviews of IMDb's users" in card
