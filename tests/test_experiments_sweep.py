import csv

import pytest

from sst_keras.config import load_pipeline
from sst_keras.errors import UsageError
from sst_keras.experiments.sweep import find_pipeline, load_sweep, sweep_names

OWN = """
description = "mine"
pipeline = "lstm"
seeds = 3
curves = ["wide"]
[base]
training.epochs = 4
[rows]
plain = {}
wide = { model.units = 256, published = 44.9 }
[variants.frozen]
question = "Should vectors train?"
rows = ["wide"]
seeds = 2
embedding.trainable = false
[[findings]]
claim = "Wide is better."
setting = "model.units"
better = 256
worse = 128
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="own.toml"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def names(jobs):
    return [(experiment.pipeline.name, seed) for experiment, seed in jobs]


def test_rows_and_variants_are_differences_from_one_base(write):
    sweep = load_sweep(write(OWN))
    plain, wide, frozen = sweep.experiments
    assert (plain.tag, plain.row, plain.variant, plain.published) == (
        "plain", "own/plain", None, None,
    )  # fmt: skip
    assert plain.pipeline.changes() == {"model.pooling": "last", "training.epochs": 4}
    assert wide.pipeline.changes() == plain.pipeline.changes() | {"model.units": 256}
    assert frozen.pipeline.changes() == wide.pipeline.changes() | {"embedding.trainable": False}
    assert (frozen.row, frozen.variant, frozen.published, frozen.seeds) == (
        "own/wide", "frozen", 44.9, 2,
    )  # fmt: skip
    assert frozen.pipeline.name == "own/wide/frozen"
    assert sweep.questions == {"frozen": "Should vectors train?"}
    assert sweep.curves == ("wide",)
    (finding,) = sweep.findings
    assert (finding.setting, finding.better, finding.worse) == ("model.units", 256, 128)


def test_seed_by_seed(write):
    sweep = load_sweep(write(OWN))
    assert names(sweep.select(seeds=2)) == [
        ("own/plain", 1), ("own/wide", 1), ("own/plain", 2), ("own/wide", 2),
    ]  # fmt: skip
    assert names(sweep.select(rows=["w*"])) == [("own/wide", seed) for seed in (1, 2, 3)]
    assert names(sweep.select(variants=["*"])) == [("own/wide/frozen", 1), ("own/wide/frozen", 2)]
    with pytest.raises(UsageError, match=r"--rows: nothing fits 'x\*'. There are plain, wide"):
        sweep.select(rows=["x*"])
    with pytest.raises(UsageError, match="--variant: nothing fits 'tuned'. There are frozen"):
        sweep.select(variants=["tuned"])


def test_a_grid_is_every_combination(write):
    text = "[grid]\nmodel.units = [64, 128]\nmodel.pooling = ['last', 'mean']\n"
    grid = load_sweep(write(text)).experiments
    assert [item.tag for item in grid] == [
        "units=64,pooling=last", "units=64,pooling=mean",
        "units=128,pooling=last", "units=128,pooling=mean",
    ]  # fmt: skip
    assert grid[1].pipeline.model.units == 64 and grid[1].pipeline.model.pooling == "mean"
    rows = load_sweep(write(text + "[rows]\na = {}\nb = { training.l2 = 0.1 }\n")).experiments
    assert len(rows) == 8 and rows[4].tag == "b,units=64,pooling=last"
    assert rows[4].pipeline.training.l2 == 0.1


def test_settings_of_one_name_are_told_apart(write):
    text = "[grid]\nmodel.dropout = [0.1]\nembedding.dropout = [0.2]\nmodel.units = [3]\n"
    (only,) = load_sweep(write(text)).experiments
    assert only.tag == "model.dropout=0.1,units=3,embedding.dropout=0.2"


def test_readings(write):
    text = OWN + "[readings]\nrows = ['wide']\nvariants = ['frozen']\n"
    readings = load_sweep(write(text)).readings
    assert (readings.rows, readings.variants) == (("wide",), ("frozen",))
    assert load_sweep(write(OWN)).readings is None


def test_a_row_can_be_trained_alone(write):
    assert find_pipeline("lstm") == load_pipeline("lstm")
    pipeline = find_pipeline("paper/V2.3", ["training.seed=7"])
    assert (pipeline.model.units, pipeline.training.epochs, pipeline.training.seed) == (384, 2, 7)
    assert not find_pipeline("paper/V1.1/frozen").embedding.trainable
    assert find_pipeline(f"{write(OWN)}/wide").model.units == 256
    for name, message in (
        ("paper/V2.9", "did you mean 'V2.7'"),
        ("paper/V1.1/frosen", "did you mean 'V1.1/frozen'"),
        ("papper/V1.1", "no pipeline 'papper/V1.1'"),
        ("paper/", "no pipeline 'paper/'"),
    ):
        with pytest.raises(UsageError, match=message):
            find_pipeline(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a sweep, with \[rows\] or \[grid\]"),
        ("[model]\nunits = 3\n[rows]\na = {}", "unknown 'model'"),
        ("sedes = 3\n[rows]\na = {}", "did you mean 'seeds'"),
        ("seeds = 0\n[rows]\na = {}", "seeds: expected a number of at least 1. Received: 0"),
        ("rows = 3", r"expected \[rows\] to hold tables"),
        ("[rows]\na = 3", r"expected \[rows\] to hold tables"),
        ("[rows]\na = { model.unit = 3 }", "rows.a: unknown setting 'model.unit'"),
        ("[rows]\na = { published = 'x' }", "rows.a.published: expected an accuracy"),
        ("[rows]\na = { published = nan }", "rows.a.published: expected an accuracy"),
        ("[rows]\n", "expected rows with names"),
        ("[rows]\n'a/b' = {}", "without '/'. Received: 'a/b'"),
        ("base = 3\n[rows]\na = {}", r"expected \[base\] to hold tables"),
        ("pipeline = 3\n[rows]\na = {}", "pipeline: expected text"),
        ("notes = 'x'\n[rows]\na = {}", "notes: expected a list"),
        ("curves = ['b']\n[rows]\na = {}", "curves: there is no row 'b'"),
        ("readings = 3\n[rows]\na = {}", "readings: expected rows and variants"),
        ("[rows]\na = {}\n[readings]\nrows = ['b']", "readings: there is no row 'b'"),
        (
            "[rows]\na = {}\n[readings]\nrows = ['a']\nvariants = ['v']",
            "readings: there is no variant of a row 'v/a'",
        ),
        ("[rows]\na = {}\n[variants.v]\nrows = 'a'", "variants.v: expected a list of rows"),
        ("[rows]\na = {}\n[variants.v]\nrows = ['a', 'a']", "'own/a/v' several times"),
        ("[base]\nmodel.units = 0\n[rows]\na = {}", "base: model.units: expected at least 1"),
        ("pipeline = 'x'\n[rows]\na = {}", "no pipeline 'x'"),
        ("[grid]\nmodel.units = 3", "expected a list of values of model.units"),
        ("[grid]\nmodel.units = []", "expected a list of values of model.units"),
        ("[grid]\nmodel.units = ['x']", "grid: model.units: expected a whole number"),
        ("[grid]\nmodel.units = [3, 3]", "each value of model.units once"),
        ("[grid]\ntraining.l2 = [1, 1.0]", "each value of training.l2 once"),
        ("[rows]\na = {}\n[variants.v]\nrows = ['b']", "variants.v: there is no row 'b'"),
        ("[rows]\na = {}\n[variants.v]\nseeds = 'x'", "variants.v: seeds"),
        ("[rows]\na = {}\n[[findings]]\nclaim = 'x'", "findings: expected claim, setting"),
        (
            "[rows]\na = {}\n[[findings]]\nclaim = 'x'\nsetting = 5\nbetter = 1\nworse = 2",
            "findings: expected claim, setting",
        ),
    ],
)
def test_what_a_sweep_cannot_state(write, text, message):
    with pytest.raises(UsageError, match=message) as error:
        load_sweep(write(text))
    assert "own.toml" in str(error.value) or "no pipeline" in message


def test_sweeps_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"no sweep 'lstm'. Expected one of paper"):
        load_sweep("lstm")
    with pytest.raises(UsageError, match="no sweep file"):
        load_sweep(tmp_path / "gone.toml")


def test_the_reports_table_has_all_its_rows():
    assert sweep_names() == ["paper"]
    sweep = load_sweep("paper")
    rows = [item for item in sweep.experiments if item.variant is None]
    assert len(rows) == 27 and len(sweep.select()) == 135
    assert all(item.published for item in rows)
    assert all(sweep.questions.values())


def test_the_reports_table_says_what_the_report_says(real_data):
    source = real_data.parent / "source" / "table-2-1.csv"
    if not source.is_file():
        pytest.skip(f"the report's table is not beside the real data: {source}")
    rows = {item.tag: item for item in load_sweep("paper").experiments if item.variant is None}
    with source.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = rows.pop(line["tag"])
            pipeline = row.pipeline
            kind = {("attention", "auto"): "1", ("last", "auto"): "2", ("attention", "none"): "3"}
            assert kind[pipeline.model.pooling, *pipeline.embedding.vectors] == line["model"]
            assert pipeline.model.num_layers == int(line["num_layers"])
            assert pipeline.model.units == int(line["hidden_dim"])
            assert pipeline.model.dropout == float(line["dropout"])
            assert pipeline.training.learning_rate == float(line["learning_rate"])
            assert pipeline.training.l2 == float(line["weight_decay"])
            assert pipeline.training.optimizer == line["optimizer"].lower()
            assert pipeline.training.epochs == int(line["max_epoch"])
            assert pipeline.training.patience == 0
            assert row.published == float(line["test_accuracy"])
    assert not rows
