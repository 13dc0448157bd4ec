import csv

import pytest

from sst_keras.config import load_pipeline, pipeline_names
from sst_keras.errors import UsageError
from sst_keras.experiments.records import RunKey
from sst_keras.experiments.sweep import (
    Finding,
    Published,
    find_pipeline,
    load_sweep,
    sweep_names,
)

OWN = """
description = "mine"
pipeline = "lstm"
seeds = 3
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
[report]
notes = ["A note."]
curves = ["wide"]
[published]
source = "A Paper"
short = "the paper"
readings = { rows = ["wide"], variants = ["frozen"] }
[[published.findings]]
claim = "Wide is better."
setting = "model.units"
better = 256
worse = 128
"""


REPORT = "[rows]\na = {}\n[report]\n"
PUBLISHED = "[rows]\na = {}\n[published]\nsource = 'A Paper'\n"
FINDING = "findings = [{{ claim = 'x', setting = {}, better = {}, worse = {} }}]"


@pytest.fixture
def write(tmp_path):
    def write(text, name="own.toml"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def names(jobs):
    return [(experiment.name, seed) for experiment, seed in jobs]


def test_rows_and_variants_are_differences_from_one_base(write):
    sweep = load_sweep(write(OWN))
    plain, wide, frozen = sweep.experiments
    assert (plain.row, plain.variant, plain.published) == ("plain", None, None)
    assert plain.pipeline.changes() == {"model.pooling": "last", "training.epochs": 4}
    assert wide.pipeline.changes() == plain.pipeline.changes() | {"model.units": 256}
    assert frozen.pipeline.changes() == wide.pipeline.changes() | {"embedding.trainable": False}
    assert (frozen.row, frozen.variant, frozen.published, frozen.seeds) == (
        "wide", "frozen", 44.9, 2,
    )  # fmt: skip
    assert frozen.name == frozen.pipeline.name == "own/wide/frozen"
    assert frozen.key(2) == RunKey("own", "wide", "frozen", 2)
    assert sweep.questions == {"frozen": "Should vectors train?"}


def test_the_tables_report_and_published(write):
    sweep = load_sweep(write(OWN))
    assert (sweep.notes, sweep.curves) == (("A note.",), ("wide",))
    assert (sweep.out, sweep.html) == ("results/own.md", "results/own.html")
    assert sweep.published == Published(
        "A Paper", "the paper", (Finding("Wide is better.", "model.units", 256, 128),),
        ("wide",), ("frozen",),
    )  # fmt: skip
    bare = load_sweep(write("[rows]\na = {}\n[report]\nout = 'OWN.md'"))
    assert (bare.out, bare.published, bare.notes) == ("OWN.md", None, ())
    short = load_sweep(write("[rows]\na = {}\n[published]\nsource = 'A'")).published
    assert short == Published("A", "published")


def test_a_row_may_start_from_another_pipeline(write):
    write("[model]\nunits = 7\n", "beside.toml")
    text = """
pipeline = "lstm"
[base]
embedding.dropout = 0.1
[rows]
default = {}
cnn = { pipeline = "cnn", model.filters = 9 }
beside = { pipeline = "beside.toml" }
"""
    default, cnn, beside = (item.pipeline for item in load_sweep(write(text)).experiments)
    assert (default.model.pooling, default.embedding.dropout) == ("last", 0.1)
    assert (cnn.model.name, cnn.model.filters, cnn.embedding.dropout) == ("cnn", 9, 0.1)
    assert (beside.model.units, beside.embedding.dropout) == (7, 0.1)


def test_dev_checks_are_the_variants_and_no_setting(write):
    text = "[rows]\na = {}\n[variants.v]\ndev_checks = 4\n"
    row, variant = load_sweep(write(text)).experiments
    assert (row.dev_checks, variant.dev_checks) == (1, 4)
    assert row.pipeline.settings() == variant.pipeline.settings()


def test_changed_settings(write):
    text = "[rows]\na = {}\nb = { embedding.vectors = ['none'] }\n"
    a, b = load_sweep(write(text)).experiments
    assert a.changed() == a
    changed = a.changed(["x", "y"], ["model.units=3"]).pipeline
    assert (changed.embedding.vectors, changed.model.units) == (("x", "y"), 3)
    assert b.changed(["x"]).pipeline.embedding.vectors == ("none",)
    with pytest.raises(UsageError, match="each entry once"):
        a.changed(["x", "x"])


def test_variants_about_vectors_keep_them(write):
    text = "[rows]\na = {}\n[variants.other]\nembedding.vectors = ['v']\n"
    text += "[variants.wide]\nmodel.units = 9\n"
    vectors = {
        item.variant: item.changed(["x"]).pipeline.embedding.vectors
        for item in load_sweep(write(text)).experiments
    }
    assert vectors == {None: ("x",), "other": ("v",), "wide": ("x",)}


def test_seed_by_seed(write):
    sweep = load_sweep(write(OWN))
    assert names(sweep.select(seeds=2)) == [
        ("own/plain", 1), ("own/wide", 1), ("own/plain", 2), ("own/wide", 2),
    ]  # fmt: skip
    assert names(sweep.select(rows=["w*"])) == [("own/wide", seed) for seed in (1, 2, 3)]
    assert names(sweep.select(variants=["*"])) == [("own/wide/frozen", 1), ("own/wide/frozen", 2)]
    with pytest.raises(UsageError, match=r"rows: nothing matches 'x\*'. Expected one of plain"):
        sweep.select(rows=["x*"])
    with pytest.raises(UsageError, match="nothing matches 'tuned'. Expected one of frozen"):
        sweep.select(variants=["tuned"])


def test_a_grid_is_every_combination(write):
    text = "[grid]\nmodel.units = [64, 128]\nmodel.pooling = ['last', 'mean']\n"
    grid = load_sweep(write(text)).experiments
    assert [item.row for item in grid] == [
        "units=64,pooling=last", "units=64,pooling=mean",
        "units=128,pooling=last", "units=128,pooling=mean",
    ]  # fmt: skip
    assert grid[1].pipeline.model.units == 64 and grid[1].pipeline.model.pooling == "mean"
    rows = load_sweep(write(text + "[rows]\na = {}\nb = { training.l2 = 0.1 }\n")).experiments
    assert len(rows) == 8 and rows[4].row == "b,units=64,pooling=last"
    assert rows[4].pipeline.training.l2 == 0.1


def test_settings_with_the_same_key_have_their_sections_in_labels(write):
    text = "[grid]\nmodel.dropout = [0.1]\nembedding.dropout = [0.2]\nmodel.units = [3]\n"
    (only,) = load_sweep(write(text)).experiments
    assert only.row == "model.dropout=0.1,units=3,embedding.dropout=0.2"


def test_one_experiment_of_a_sweep_can_be_trained(write):
    assert find_pipeline("lstm") == load_pipeline("lstm")
    pipeline = find_pipeline("paper/V2.3", ["training.seed=7"])
    assert (pipeline.model.units, pipeline.training.epochs, pipeline.training.seed) == (384, 2, 7)
    assert not find_pipeline("paper/V1.1/frozen").embedding.trainable
    assert find_pipeline(f"{write(OWN)}/wide").model.units == 256
    for name, message in (
        ("paper/V2.9", "did you mean 'paper/V2.7'"),
        ("paper/V1.1/frosen", "did you mean 'paper/V1.1/frozen'"),
        ("papper/V1.1", "no pipeline 'papper/V1.1'"),
        (
            "paper",
            "paper is a sweep .* `sst-keras reproduce paper` .* `sst-keras train paper/V1.1`",
        ),
        ("paper/", "paper is a sweep"),
        (str(write(OWN)), r"own\.toml is a sweep"),
    ):
        with pytest.raises(UsageError, match=message):
            find_pipeline(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a sweep, with \[rows\], \[grid\]"),
        ("[model]\nunits = 3\n[rows]\na = {}", "no key 'model'"),
        ("sedes = 3\n[rows]\na = {}", "did you mean 'seeds'"),
        ("seeds = 0\n[rows]\na = {}", "seeds: expected a number from 1 to 10,000. Received: 0"),
        ("seeds = true\n[rows]\na = {}", "seeds: expected a number from 1 to 10,000"),
        ("rows = 3", "rows: expected a table"),
        ("[rows]\na = 3", "rows: a: expected a table"),
        ("[rows]\na = { model.unit = 3 }", "rows.a: unknown setting 'model.unit'"),
        ("[rows]\na = { pipeline = 3 }", "a: pipeline: expected text"),
        ("[rows]\na = { published = 'x' }", "a: published: expected an accuracy"),
        ("[rows]\na = { published = nan }", "a: published: expected an accuracy"),
        ("[rows]\na = { published = true }", "a: published: expected an accuracy"),
        ("[rows]\n", "expected names .* Received: ''"),
        ("[rows]\n'a/b' = {}", "without '/'.* Received: 'a/b'"),
        ("[rows]\n'..' = {}", "expected names .* Received: '..'"),
        ("[rows]\n'.a' = {}", "expected names .* Received: '.a'"),
        ('[rows]\n"a\\n" = {}', "and control characters"),
        (f"[rows]\n{'a' * 151} = {{}}", "at most 150 bytes"),
        (f"[rows]\n'{'é' * 75}' = {{}}\n[variants.v]", "at most 150 bytes"),
        ("[rows]\na = {}\n[variants.'..']", "variants: expected names .* Received: '..'"),
        ("[rows]\na = {}\n[variants.'']", "variants: expected names"),
        ("base = 3\n[rows]\na = {}", "base: expected a table"),
        ("pipeline = 3\n[rows]\na = {}", "pipeline: expected text"),
        ("[rows]\na = {}\n[report]\nnotes = 'x'", "notes: expected a list"),
        ("[rows]\na = {}\n[report]\nnotes = [1]", "notes: expected text. Received: 1"),
        ("[rows]\na = {}\n[report]\ncurves = ['b']", "curves: there is no row 'b'"),
        ("[rows]\na = {}\n[published]", "published: expected 'source'"),
        (PUBLISHED + "readings = 3", "readings: expected a table"),
        (PUBLISHED + "readings = { rows = ['b'] }", "readings: there is no row 'b'"),
        (
            PUBLISHED + "readings = { rows = ['a'], variants = ['v'] }",
            "readings: there is no row 'a/v'",
        ),
        ("[rows]\na = {}\n[variants.v]\nrows = 'a'", "v: rows: expected a list"),
        ("[rows]\na = {}\n[variants.v]\nrows = [['a']]", "v: rows: expected text"),
        ("[rows]\na = {}\n[variants.v]\nrows = ['a', 'a']", "expected 'a/v' once"),
        ("[rows]\na = {}\n[variants.v]\ndev_checks = 0", "dev_checks: expected a number from 1"),
        ("[rows]\na = {}\n[variants.v]\ndev_checks = 1000000000", "a number from 1 to 10,000"),
        ("seeds = 1000000000\n[rows]\na = {}", "seeds: expected a number from 1 to 10,000"),
        (
            "seeds = 100\n[rows]\na = {}\nb = {}\n[variants.v]\n[variants.w]\nrows = ['a']\n"
            f"seeds = 1\n[grid]\nmodel.units = {list(range(1, 31))}",
            "at most 10,000 runs.* Received: 12,001",
        ),
        (f"{REPORT}out = '/etc/x.md'", "report.out: expected a file below .* '/etc/x.md'.*--out"),
        (f"{REPORT}out = 'docs/../../x.md'", "report.out: expected a file below"),
        (f"{REPORT}out = '.bashrc'", "report.out: expected .* ends in .md. Received: '.bashrc'"),
        (f'{REPORT}out = "a\\u0000.md"', "report.out: expected a file below"),
        (f"{REPORT}html = '../x.html'", "report.html: expected a file below .*--html"),
        (f"{REPORT}html = 'docs/.html'", "report.html: expected .* ends in .html"),
        ("[base]\nmodel.units = 0\n[rows]\na = {}", "base: model.units: expected at least 1"),
        ("pipeline = 'x'\n[rows]\na = {}", "no pipeline 'x'"),
        ("[grid]\nmodel.units = 3", "units: expected a list"),
        ("[grid]\nmodel = 3", "model: expected a table"),
        ("[grid]\nmodel.units = []", "expected 1 to 10,000 combinations. Received: 0"),
        ("[grid]\nmodel.units = ['x']", "grid: model.units: expected a whole number"),
        ("[grid]\nmodel.units = [{}]", "grid: model.units: expected a whole number"),
        ("[grid]\nmodel.unit = [3]", "did you mean 'model.units'"),
        ("[grid]\nmodel.units = [3, 3]", "expected 'units=3' once"),
        (f"[grid]\ntraining.seed = {list(range(10001))}", "Received: 10,001"),
        ("[rows]\na = {}\n[variants.v]\nrows = ['b']", "variants.v: there is no row 'b'"),
        ("[rows]\na = {}\n[variants.v]\nseeds = 'x'", "v: seeds: expected a number"),
        (PUBLISHED + "findings = 3", "findings: expected a list"),
        (PUBLISHED + "findings = [{ claim = 'x' }]", "findings: expected 'setting'"),
        (PUBLISHED + FINDING.format("5", 1, 2), "setting: expected text"),
        (PUBLISHED + FINDING.format("'model.unit'", 1, 2), "did you mean 'model.units'"),
        (PUBLISHED + FINDING.format("'model.units'", 0, 2), "findings: model.units: expected at"),
    ],
)
def test_what_a_sweep_cannot_state(write, text, message):
    with pytest.raises(UsageError, match=message) as error:
        load_sweep(write(text))
    assert "own.toml" in str(error.value) or "no pipeline" in message


def test_sweeps_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"no sweep 'lstm'. Expected one of flagship, main, paper"):
        load_sweep("lstm")
    with pytest.raises(UsageError, match="gone.toml: expected a TOML file"):
        load_sweep(tmp_path / "gone.toml")


# Of a sweep of their own, or of an earlier run.
OF_OTHER_PLACES = {"teacher", "student", "flagship", "small", "fine-tune"}


def test_the_main_sweep_has_every_named_pipeline():
    sweep = load_sweep("main")
    found = {item.row: item.pipeline for item in sweep.experiments}
    assert {item.seeds for item in sweep.experiments} == {3} and not sweep.questions
    for name in set(pipeline_names()) - OF_OTHER_PLACES:
        pipeline = load_pipeline(name, ["data.dataset=sst5"])
        assert found.pop(name).settings() == pipeline.settings()
    base = load_pipeline("lstm-attention").settings()
    changes = {
        row: {key: value for key, value in pipeline.settings().items() if value != base[key]}
        for row, pipeline in found.items()
    }
    assert changes == {
        "lstm-attention-384": {"model.units": 384},
        "lstm-attention-384-bfloat16": {"model.units": 384, "model.matmul_dtype": "bfloat16"},
        "lstm-attention-phrases": {"data.examples": "unique-phrases"},
    }


def test_the_published_table_has_all_its_rows():
    assert sweep_names() == ["flagship", "main", "paper"]
    sweep = load_sweep("paper")
    rows = [item for item in sweep.experiments if item.variant is None]
    assert len(rows) == 27 and len(sweep.select()) == 135
    assert all(item.published for item in rows)
    assert all(sweep.questions.values())
    assert (sweep.out, sweep.html) == ("RESULTS.md", "docs/results.html")
    assert sweep.published.source == "SST Classification with RNN (LSTM)"
    assert len(sweep.published.findings) == 8 and sweep.published.reading_rows[0] == "V3.1"
    checks = {item.variant: item.dev_checks for item in sweep.experiments if item.dev_checks > 1}
    assert checks == {"quarters": 4}


def test_the_paper_sweep_has_the_settings_of_the_published_table(real_data):
    source = real_data.parent / "source" / "table-2-1.csv"
    if not source.is_file():
        pytest.skip(f"the report's table is not beside the real data: {source}")
    rows = {item.row: item for item in load_sweep("paper").experiments if item.variant is None}
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
