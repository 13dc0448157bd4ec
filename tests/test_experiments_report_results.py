import re
from pathlib import Path

import pytest

from sst_keras.errors import InputError
from sst_keras.experiments.report import build_report, write_report
from sst_keras.experiments.running import recorded_settings
from sst_keras.experiments.sweep import load_sweep

SWEEP = """
description = "a small one"
notes = ["Read with care."]
seeds = 3
curves = ["a"]
[base]
training.epochs = 2
[rows]
a = { published = 42.0, model.units = 64 }
b = { published = 40.0, model.units = 256 }
c = { model.units = 64, training.epochs = 10, published = 25.0 }
[variants.frozen]
question = "Should word vectors train?"
rows = ["a", "c"]
embedding.trainable = false
[variants.quarters]
question = "Where does overfitting start?"
rows = ["a"]
training.checks_per_epoch = 4
[readings]
rows = ["a", "c"]
variants = ["frozen"]
[[findings]]
claim = "More epochs overfit."
setting = "training.epochs"
better = 2
worse = 10
[[findings]]
claim = "Narrow beats wide."
setting = "model.units"
better = 64
worse = 256
[[findings]]
claim = "Adam beats SGD"
setting = "training.optimizer"
better = "adam"
worse = "sgd"
"""
TESTS = {  # in percent, by seed
    ("a", None): (41, 42, 43),
    ("b", None): (40, 40, 40),
    ("c", None): (25, 25, 25),
    ("a", "frozen"): (43, 44, 45),
    ("c", "frozen"): (41, 42, 43),
    ("a", "quarters"): (41, 42, 43),
}


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return load_sweep(path)


@pytest.fixture
def records(sweep):
    return [
        record(experiment, seed, TESTS[experiment.tag, experiment.variant][seed - 1])
        for experiment in sweep.experiments
        for seed in (1, 2, 3)
    ]


def record(experiment, seed, test):
    constant = (experiment.tag, experiment.variant) == ("c", None)
    checks = {
        "epoch": [0.5, 1.0, 1.5],
        "dev_loss": [1.5, 1.2, 1.4],
        "dev_accuracy": [0.3, 0.4, 0.5],
    }
    return {
        "pipeline": experiment.row,
        "tag": experiment.tag,
        "variant": experiment.variant,
        "seed": seed,
        "epochs": 2,
        "best_epoch": 1,
        "dev": test / 100,
        "test": test / 100,
        "dev_at_best": test / 100,
        "test_at_best_dev": (test + 1) / 100,
        "seconds": 10.0 * seed,
        "ended": f"2026-01-01T00:0{seed + 1}:00+00:00",
        "commit": "0123456789abcdef",
        "versions": {"keras": "3.15.1"},
        "vectors": ["glove.small"],
        "dataset": "toy",
        "data_fingerprint": "f00d",
        "settings": recorded_settings(experiment),
        "history": {
            "epoch": [1, 2],
            "loss": [1.5, 1.0],
            "accuracy": [0.4, 0.6],
            "dev_loss": [1.4, 1.6],
            "dev_accuracy": [0.42, 0.41],
        },
        "checks": checks if experiment.variant == "quarters" else None,
        "class_names": ["bad", "good"],
        "confusion_matrix": [[25, 0], [75, 0]] if constant else [[20, 5], [30, 45]],
        "confusion_matrix_at_best": [[19, 6], [25, 50]],
        "jobs": 1,
        "cores": 2,
    }


def text_of(sweep, records):
    return build_report(sweep, records, "results/small.jsonl").markdown


def section(text, heading):
    """What stands between a heading and the next of its rank."""
    rank = heading.split()[0]
    return text.split(f"\n{heading}\n")[1].split(f"\n{rank} ")[0]


def test_head(sweep, records):
    head = text_of(sweep, records).split("\n## ")[0]
    assert head.startswith("# Results of the sweep `small`\n\na small one\n")
    assert "`sst-keras report small` out of `results/small.jsonl`" in head
    assert "| data set | toy (100 test sentences) |" in head
    assert "| finished runs | 18, 18 planned; 0 failed |" in head
    assert "| seeds | 1–3 |" in head
    assert "| time of all runs, added up | 360 s (0.1 h) |" in head
    # From 00:01:50, seed 1's start, to 00:04:00: 130 seconds, of rows as of variants.
    assert "last one's end, pauses too | rows 2 min; variants 2 min |" in head
    assert "- Read with care." in head
    assert "| commits | `0123456789` |" in head


def test_in_short(sweep, records):
    short = section(text_of(sweep, records), "## In short")
    assert "with the weights of the last epoch, is a: test accuracy 42.0 ± 1.0 (3)." in short
    assert "- Narrow beats wide: **not shown**." in short
    assert "- Adam beats SGD: **cannot be told**." in short


def test_rows(sweep, records):
    rows = section(text_of(sweep, records), "## All rows")
    assert "| a | LSTM + attention | 64 | 2 | 42.0 | 42.0 ± 1.0 (3) | 43.0 ± 1.0 (3) | 20 |" in rows
    assert "| c † | LSTM + attention | 64 | 10 | 25.0 | 25.0 ± 0.0 (3) |" in rows
    assert "c in 3 of 3 runs (bad)" in rows
    assert "c (25.0, bad)" in rows  # the report's figure is the share of a class too
    assert "25.0 % are bad, 75.0 % are good" in rows
    assert "*Word vectors: glove.small.*" in rows
    assert "- **last epoch:** a 42.0, b 40.0, c 25.0" in rows
    # Our means are the report's, with the last epoch's weights, and 1 more with the best's.
    assert "0.0 points from the report's with the weights of the last epoch (higher in 0)" in rows
    assert "1.0 points from the report's with the weights of the best epoch" in rows


def test_effects_and_findings(sweep, records):
    text = text_of(sweep, records)
    effects = section(text, "## What each setting does")
    # Seeds: -1, -2, -3; the interval is 4.303 · 1 / √3 = 2.484 to both sides.
    assert "| hidden size | 64 → 256 | 1 | 3 | −2.0 [−4.48, +0.48] |" in effects
    assert "| epochs | 2 → 10 | 1 | 3 | **−17.0 [−19.48, −14.52]** |" in effects
    findings = section(text, "## Findings")
    assert "| Narrow beats wide | 3 | +2.0 | +2.0 [−0.48, +4.48] | not shown |" in findings
    assert "a with b" in findings and "The interval holds 0" in findings
    assert "| Adam beats SGD | 0 | – | – | cannot be told | – | cannot be told |" in findings
    assert "No two experiments with runs differ in the optimizer alone" in findings


@pytest.mark.parametrize(
    ("wide", "verdict"),
    [
        ((30, 31, 31), "holds"),
        ((60, 61, 61), "the opposite holds"),
        ((30, 31, 32), "not shown"),  # seeds that differ in nothing: no spread, no interval
    ],
)
def test_verdicts(sweep, records, wide, verdict):
    for one in records:
        if one["tag"] == "b":
            one["test"] = wide[one["seed"] - 1] / 100
    assert f"- **Narrow beats wide: {verdict}.**" in text_of(sweep, records)


def test_best_row_of_the_report(sweep, records):
    best = section(text_of(sweep, records), "## The report's best row")
    assert "42.0, of a: the highest of 3 single runs" in best
    assert "is 4.94 points here" in best  # √(0.42 · 0.58 / 100)
    # 4.303 · 1 · √(4/3) = 4.97 about 42
    assert (
        "single runs from 41.0 to 43.0. The report's figure lies **within** 37.03 to 46.97" in best
    )


def test_questions(sweep, records):
    text = text_of(sweep, records)
    frozen = section(text, "### frozen")
    assert "Should word vectors train?" in frozen
    assert "| a | 42.0 | 42.0 ± 1.0 (3) | 44.0 ± 1.0 (3) | +2.0 [+2.00, +2.00] |" in frozen
    # Within seeds: (2 + 16) / 2, (2 + 17) / 2, (2 + 18) / 2; 4.303 · 0.5 / √3 = 1.24
    assert "Over the 2 rows the change makes **+9.5 [+8.26, +10.74]** points" in frozen
    quarters = section(text, "### quarters")  # the same training: nothing to compare
    assert "the change makes" not in quarters and "difference |" not in quarters
    assert "| a/quarters | 3 | 1 [1–1] | 1.5 [1.5–1.5] | 50.0 | 50.0 | 0.0 |" in quarters
    assert "| 0.5 | 1.500 ± 0.000 | 30.0 ± 0.0 |" in quarters


def test_readings(sweep, records):
    readings = section(text_of(sweep, records), "## Which reading is nearest to the report")
    # The rows: |41-42| + 0, 0 + 0, |43-42| + 0, halved: 0.5, 0, 0.5.
    assert "| the rows, last epoch | 42.0 | 25.0 | 0.3 ± 0.3 | nearest |" in readings
    # Frozen: (1 + 16) / 2, (2 + 17) / 2, (3 + 18) / 2.
    assert "| frozen, last epoch | 44.0 | 42.0 | 9.5 ± 1.0 |" in readings
    assert "a (2 epochs) | c (10 epochs)" in readings


def test_of_epochs_the_best_one_cannot_tell(sweep, records):
    # 41, 42, 43 against 25: 17 ± 4.303 · 1 / √3.
    findings = section(text_of(sweep, records), "## Findings")
    assert "| More epochs overfit | 3 | +17.0 | **+17.0 [+14.52, +19.48]** | holds |" in findings
    assert "- **More epochs overfit: holds.**" in findings
    assert "The best epoch by dev cannot tell" in findings
    assert findings.count("| cannot be told |") == 3  # and of Adam against SGD, both columns


def test_records_that_are_not_to_be_compared(sweep, records):
    for name, value, message in (
        ("data_fingerprint", "beef", "records of one data set. Received: toy"),
        ("vectors", ["other"], "same word vectors in all runs of a. Received: glove.small; other"),
    ):
        mixed = [dict(one) for one in records]
        mixed[1][name] = value
        with pytest.raises(InputError, match=message):
            build_report(sweep, mixed, "results/small.jsonl")


def test_confusion_of_the_best_row_by_dev(sweep, records):
    for one in records:
        if one["tag"] == "b":
            one["dev_at_best"] = 0.9
    confusion = section(text_of(sweep, records), "## Confusion matrix")
    assert confusion.strip().startswith("b has the highest mean accuracy on dev")
    assert "| good | 75 | 150 | 66.7 | 89.3 |" in confusion  # of three seeds: 150/225, 150/168


def test_failed_and_missing_runs_are_listed(sweep, records):
    records[3] = {"pipeline": "small/b", "tag": "b", "variant": None, "seed": 1}
    records[3]["error"] = "Traceback\nValueError: <nan>"
    text = text_of(sweep, records)
    assert "17, 18 planned; 1 failed" in text
    assert "- failed: b, seed 1: ValueError: &lt;nan>" in text
    assert "Finished runs of planned ones: b (2 of 3)." in text
    assert "| b | LSTM + attention | 256 | 2 | 40.0 | 40.0 ± 0.0 (2) |" in text


def test_one_seed_and_one_row(sweep, records):
    text = text_of(sweep, records[:1])
    assert "| a | LSTM + attention | 64 | 2 | 42.0 | 41.0 (1) | 42.0 (1) | 10 |" in text
    assert "| b | LSTM + attention | 256 | 2 | 40.0 | – | – | – |" in text
    assert "one seed alone has no spread" in text
    assert "Not run yet: a, c." in text
    assert "What each setting does" not in text
    alone = text_of(sweep, [one for one in records if one["seed"] == 1])
    effects = section(alone, "## What each setting does")
    assert "| −1.0 (one seed) |" in effects and "**" not in effects
    assert "One seed alone has no interval, and shows nothing." in alone


def test_variants_alone(sweep, records):
    text = text_of(sweep, [one for one in records if one["variant"] == "frozen"])
    assert "no comparison" in section(text, "### frozen")


def test_sweep_without_published_figures(tmp_path, records):
    path = tmp_path / "small.toml"
    path.write_text("seeds = 3\n[rows]\na = { model.units = 64 }\nb = { model.units = 256 }\n")
    sweep = load_sweep(path)
    for one in records:
        one["settings"] = {"model.units": {"a": 64, "b": 256, "c": 0}[one["tag"]]}
    text = text_of(sweep, [one for one in records if one["variant"] is None and one["tag"] != "c"])
    assert "| hidden size | 64 → 256 |" in text
    assert "the report" not in text


def test_writing_is_repeatable_and_the_page_whole(sweep, records, tmp_path):
    outs = []
    for name, order in (("one", records), ("two", records)):
        folder = tmp_path / name
        report, paths = write_report(
            sweep, order, tmp_path / "small.jsonl",
            folder / "RESULTS.md", folder / "docs" / "results.html",
        )  # fmt: skip
        assert [path for path in paths if not path.is_file()] == []
        outs.append((folder / "RESULTS.md").read_bytes())
    assert outs[0] == outs[1]
    text = outs[0].decode()
    assert str(tmp_path) not in text
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert "docs/results/rows.png" in images and len(images) == len(report.figures)
    assert all((folder / image).is_file() for image in images)
    page = (folder / "docs" / "results.html").read_text("utf-8")
    assert page.count('src="data:image/png;base64,') == len(images)
    assert not re.findall(r'(?:src|href)="(?!data:)[^"#]', page) and "FIGURES" not in page
    for heading in re.findall(r"^## (.+)$", text, re.MULTILINE):
        assert f">{heading}</h2>" in page


def test_records_that_do_not_belong(sweep, records):
    with pytest.raises(InputError, match=r"expected a finished run of the sweep 'small'"):
        build_report(sweep, [], "x.jsonl")
    records[0]["pipeline"] = "other/a"
    with pytest.raises(InputError, match=r"x.jsonl: .* sweep 'small'. Received one of 'other/a'"):
        build_report(sweep, records, "x.jsonl")


def test_committed_results_are_what_the_records_say(tmp_path):
    root = Path(__file__).parents[1]
    records, committed = root / "results" / "paper.jsonl", root / "RESULTS.md"
    if not (records.is_file() and committed.is_file()):
        pytest.skip("the sweep's results are not committed")
    from sst_keras.experiments.records import read_records

    out = tmp_path / "RESULTS.md"
    rows = read_records(records)
    page = tmp_path / "docs" / "results.html"
    write_report(load_sweep("paper"), rows, "results/paper.jsonl", out, page)
    assert out.read_text("utf-8") == committed.read_text("utf-8")
