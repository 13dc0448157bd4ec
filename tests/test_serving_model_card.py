import json

import tensorflow as tf

from sst_keras.serving.export import CARD, export
from sst_keras.serving.model_card import model_card

BEHAVIOUR = [{"capability": "negation", "cases": 42, "failure_rate": 0.25}]


def test_the_card_has_the_figures_of_the_run(trained_run):
    card, metrics = model_card(trained_run, BEHAVIOUR), trained_run.metrics()
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
    about = run_copy.environment() | {
        "language_model": {"name": "/x/lm", "corpus": corpus, "fingerprint": "f" * 64},
        "pseudo_labels": {"name": "labels", "corpus": corpus, "fingerprint": "e" * 64},
        "earlier_run": {"name": "big/1", "dataset": "/y/films.csv", "fingerprint": "d" * 64},
    }
    run_copy.environment_file.write_text(json.dumps(about), "utf-8")
    card = model_card(run_copy)
    assert "**Language model:** lm, on imdb_reviews; fingerprint `ffffffffffff`" in card
    assert "**Earlier run that it started from:** big/1, on films.csv" in card
    assert card.count("Maas et al. 2011") == 1  # a licence is named once
    assert "films.csv: see the licence of its source" in card
    assert "## Behaviour" not in card and "/x/" not in card and "/y/" not in card


def test_a_run_that_is_not_calibrated_or_not_finished(run_copy):
    metrics = run_copy.metrics()
    for split in ("dev", "test"):
        del metrics[split]["uncalibrated"]
    run_copy.metrics_file.write_text(json.dumps(metrics), "utf-8")
    card = model_card(run_copy)
    assert "are not calibrated" in card and "logits are divided" not in card
    run_copy.metrics_file.unlink()
    run_copy.environment_file.write_text("{}", "utf-8")  # of an earlier version
    card = model_card(run_copy)
    assert "None: its training was not finished." in card and "fingerprint `unknown`" in card


def test_an_export_has_its_card(run_copy, tmp_path):
    folder = export(run_copy, tmp_path / "1")
    card = (folder / CARD).read_text("utf-8")
    assert "| negated-negatives | 42 |" in card and card.startswith("# run\n")
    assert tf.saved_model.load(str(folder)).signatures  # TensorFlow ignores it
    text = run_copy.pipeline_file.read_text("utf-8").replace('ordinal = "auto"', 'ordinal = "no"')
    run_copy.pipeline_file.write_text(text, "utf-8")
    del run_copy.__dict__["pipeline"]
    card = (export(run_copy, tmp_path / "2") / CARD).read_text("utf-8")
    assert "## Behaviour" not in card
