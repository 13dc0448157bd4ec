import re
from dataclasses import replace
from pathlib import Path

import pytest
from report_records import CONSTANT, by_key, record

from sst_keras.config import with_override
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import read_records
from sst_keras.experiments.report import build_report, rows_table, write_report
from sst_keras.experiments.sweep import load_sweep

SWEEP = """
description = "A small one"
seeds = 3
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
dev_checks = 4
[report]
notes = ["Read with care."]
curves = ["a"]
[published]
source = "A Paper"
short = "the paper"
[published.readings]
rows = ["a", "c"]
variants = ["frozen"]
[[published.findings]]
claim = "More epochs overfit."
setting = "training.epochs"
better = 2
worse = 10
[[published.findings]]
claim = "Narrow beats wide."
setting = "model.units"
better = 64
worse = 256
[[published.findings]]
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
CHECKS = {
    "epoch": [0.5, 1.0, 1.5],
    "dev_loss": [1.5, 1.2, 1.4],
    "dev_accuracy": [0.3, 0.4, 0.5],
}


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return load_sweep(path)


def records_of(sweep, tests=TESTS):
    return by_key(
        *(
            record(
                one,
                seed,
                test,
                matrix=CONSTANT if one.name == "small/c" else [[20, 5], [30, 45]],
                checks=CHECKS if one.variant == "quarters" else None,
            )
            for one in sweep.experiments
            for seed, test in enumerate(tests.get((one.row, one.variant), ()), start=1)
        )
    )


@pytest.fixture
def records(sweep):
    return records_of(sweep)


def report_of(sweep, records):
    return build_report(sweep, records, "results/small")


def section(text, heading):
    """The text between a heading and the next of its rank."""
    rank = heading.split()[0]
    return f"\n{text}\n{rank} ".split(f"\n{heading}\n")[1].split(f"\n{rank} ")[0]


def cells(text, first):
    """The cells of the table row that begins with `first`, without bold."""
    (line,) = [one for one in text.splitlines() if one.startswith(f"| {first} |")]
    return [cell.strip(" *") for cell in line.strip("|").split("|")][1:]


def test_sections_are_in_order(sweep, records):
    text = report_of(sweep, records).markdown
    assert re.findall(r"^#+ (.*)", text, re.MULTILINE) == [
        "Results of the sweep `small`",
        "All rows",
        "How to read the scores",
        "Curves",
        "What each setting does",
        "Findings",
        "The highest published accuracy",
        "Questions",
        "frozen",
        "quarters",
        "† Models that predict one class",
        "Which reading is nearest to the published scores",
        "Confusion matrix",
        "Notes",
        "Runs",
    ]
    opening = text.split("\n\n")
    assert opening[1] == "A small one."
    assert opening[2].endswith('"the paper" give the accuracies that "A Paper" published.')


def test_bookkeeping(sweep, records):
    report = report_of(sweep, records)
    assert (report.summary["runs"], report.summary["failed"]) == (18, 0)
    assert report.summary["seconds"] == 6 * (10 + 20 + 30)
    runs = section(report.markdown, "## Runs")
    assert cells(runs, "data set") == ["sst5 (100 test sentences)"]
    assert cells(runs, "finished runs") == ["18 of 18 planned; 0 failed"]
    assert cells(runs, "seeds") == ["1, 2, 3"]
    assert cells(runs, "time of all runs, added up") == ["360 s (0.1 h)"]
    # From 00:01:50, the start of seed 1, to 00:04:00: 130 seconds, of rows and of variants.
    assert "rows 2 min; variants 2 min" in runs
    assert cells(runs, "commits") == ["`0123456789`"]


def test_rows(sweep, records):
    report = report_of(sweep, records)
    first = report.summary["rows"][0]
    assert (first["row"], first["published"]) == ("a", 42.0)
    assert first["last"]["mean"] == pytest.approx(42) and first["last"]["sd"] == pytest.approx(1)
    assert first["best"]["mean"] == pytest.approx(43)
    rows = section(report.markdown, "## All rows")
    scores = ["42.0", "42.0 ± 1.0 (3)", "43.0 ± 1.0 (3)", "20"]
    assert cells(rows, "a") == ["LSTM", "64", "attention", "2", *scores]
    assert cells(rows, "c †")[4:6] == ["25.0", "25.0 ± 0.0 (3)"]
    assert "- **last epoch:** a 42.0, b 40.0, c 25.0" in rows
    single = section(report.markdown, "## † Models that predict one class")
    assert "c in 3 of 3 runs (bad)" in single
    assert "c (25.0, bad)" in single  # the published accuracy is the share of a class too
    # Our means are those published with the last epoch's weights, and 1 higher with the best's.
    assert "0.0 points (ours are higher in 0)" in report.markdown
    assert "1.0 points (ours are higher in 3)" in report.markdown


def test_settings_that_vary_between_rows_are_columns(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        'seeds = 3\n[rows]\na = { model.pooling = "mean", embedding.vectors = ["none"] }\n'
        'b = { model.name = "mlp", model.units = 64 }\nc = { model.bidirectional = true }\n'
    )
    report = report_of(load_sweep(path), records_of(load_sweep(path)))
    rows = section(report.markdown, "## All rows")
    columns = ["word vectors", "model", "hidden size", "both directions", "pooling"]
    assert cells(rows, "row")[:5] == columns
    assert cells(rows, "a")[:5] == ["none", "LSTM", "128", "no", "mean"]
    assert cells(rows, "b")[:5] == ["pretrained", "MLP", "64", "–", "–"]  # it has no LSTM
    assert cells(rows, "c")[:5] == ["pretrained", "LSTM", "128", "yes", "attention"]


def test_effects(sweep, records):
    epochs, units = report_of(sweep, records).summary["effects"][::-1]
    if units["setting"] != "model.units":
        epochs, units = units, epochs
    assert (units["before"], units["after"], units["pairs"]) == (64, 256, (("a", "b"),))
    # Seeds: -1, -2, -3; the interval is 4.303 · 1 / √3 = 2.484 to both sides.
    assert units["last"]["mean"] == pytest.approx(-2)
    assert units["last"]["interval"] == pytest.approx((-4.484, 0.484), abs=1e-3)
    assert epochs["last"]["interval"] == pytest.approx((-19.484, -14.516), abs=1e-3)


def findings_of(sweep, records):
    return {one["claim"]: one for one in report_of(sweep, records).summary["findings"]}


def test_findings(sweep, records):
    found = findings_of(sweep, records)
    narrow = found["Narrow beats wide"]
    assert narrow["pairs"] == (("b", "a"),) and narrow["published"] == pytest.approx(2)
    assert narrow["last"]["interval"] == pytest.approx((-0.484, 4.484), abs=1e-3)
    assert narrow["verdicts"] == {"last": "not shown", "best": "not shown"}
    # 41, 42, 43 against 25. The best of ten epochs is compared with the best of its first two.
    assert found["More epochs overfit"]["last"]["mean"] == pytest.approx(17)
    assert found["More epochs overfit"]["verdicts"] == {"last": "holds", "best": "not comparable"}
    adam = found["Adam beats SGD"]
    assert (adam["pairs"], adam["last"]) == ((), None)
    assert adam["verdicts"] == {"last": "not tested", "best": "not tested"}


@pytest.mark.parametrize(
    ("wide", "verdict"),
    [
        ((30, 31, 31), "holds"),
        ((60, 61, 61), "the opposite holds"),
        ((30, 31, 32), "not shown"),  # all seeds differ by the same: no spread, no interval
    ],
)
def test_verdicts(sweep, wide, verdict):
    records = records_of(sweep, TESTS | {("b", None): wide})
    assert findings_of(sweep, records)["Narrow beats wide"]["verdicts"]["last"] == verdict
    opening, _ = report_of(sweep, records).markdown.split("## All rows")
    assert re.search(rf'- \*\*{verdict}\*\*: .*"Narrow beats wide"', opening)


def test_highest_published_accuracy(sweep, records):
    best = report_of(sweep, records).summary["published_best"]
    assert (best["row"], best["published"]) == ("a", 42.0)
    assert best["error"] == pytest.approx(4.94, abs=0.01)  # √(0.42 · 0.58 / 100)
    # 4.303 · 1 · √(4/3) = 4.97 about 42
    assert (best["last"]["low"], best["last"]["high"]) == pytest.approx((37.03, 46.97), abs=0.01)
    assert best["best"]["gap"] == pytest.approx(-1)


def test_questions(sweep, records):
    report = report_of(sweep, records)
    assert list(report.summary["questions"]) == ["frozen"]  # quarters trains as its row does
    frozen = report.summary["questions"]["frozen"]["last"]
    # Within seeds: (2 + 16) / 2, (2 + 17) / 2, (2 + 18) / 2; 4.303 · 0.5 / √3 = 1.24
    assert frozen["mean"] == pytest.approx(9.5)
    assert frozen["interval"] == pytest.approx((8.26, 10.74), abs=0.01)
    scores = cells(section(report.markdown, "### frozen"), "a")
    assert scores[:4] == ["42.0", "42.0 ± 1.0 (3)", "44.0 ± 1.0 (3)", "+2.0 [+2.00, +2.00]"]
    assert "variants" in report.figures


def test_questions_are_compared_on_dev(sweep, records):
    worse = {
        key: replace(one, best=replace(one.best, dev=one.best.dev - 0.2))
        for key, one in records.items()
        if key.variant == "frozen"
    }
    report = report_of(sweep, records | worse)
    found = report.summary["questions"]["frozen"]
    assert found["best"]["mean"] == pytest.approx(9.5)
    assert found["dev"]["best"]["mean"] == pytest.approx(9.5 - 20)
    assert cells(section(report.markdown, "## Questions"), "frozen")[-1].startswith("−10.5 [")


def test_questions_with_more_checks_of_dev_are_not_compared_on_dev(sweep, records):
    longer = [
        replace(one, pipeline=with_override(one.pipeline, "training.epochs=99"))
        if one.variant == "frozen"
        else one
        for one in sweep.experiments
    ]
    changed = {
        key: replace(one, settings={**one.settings, "training.epochs": 99})
        for key, one in records.items()
        if key.variant == "frozen"
    }
    report = report_of(replace(sweep, experiments=tuple(longer)), records | changed)
    assert report.summary["questions"]["frozen"]["dev"]["best"] is None
    assert report.summary["questions"]["frozen"]["best"] is not None
    assert cells(section(report.markdown, "## Questions"), "frozen")[-1] == "not comparable"


def test_dev_checks(sweep, records):
    report = report_of(sweep, records)
    assert "checks-quarters" in report.figures
    quarters = section(report.markdown, "### quarters")
    turns = ["3", "1.5", "1 [1–1]", "1.5 [1.5–1.5]", "50.0", "50.0", "0.0"]
    assert cells(quarters, "a/quarters") == turns
    assert cells(quarters, "0.5") == ["1.500 ± 0.000", "30.0 ± 0.0"]


def test_readings(sweep, records):
    readings = report_of(sweep, records).summary["readings"]
    # The rows: |41 - 42| + 0, 0 + 0, |43 - 42| + 0, halved: 0.5, 0, 0.5.
    assert readings["the rows, last epoch"]["distance"]["mean"] == pytest.approx(1 / 3)
    # Frozen: (1 + 16) / 2, (2 + 17) / 2, (3 + 18) / 2.
    assert readings["frozen, last epoch"]["distance"]["mean"] == pytest.approx(9.5)
    assert list(readings)[0] == "the rows, last epoch"


def test_readings_are_compared_over_the_seeds_that_all_have(sweep):
    heading = "## Which reading is nearest to the published scores"
    report = report_of(sweep, records_of(sweep, TESTS | {("c", "frozen"): (41, 42)}))
    readings = section(report.markdown, heading)
    assert report.summary["readings"]["frozen, last epoch"]["distance"]["n"] == 2
    # The rows: 0.5 and 0. Frozen: 8.5 and 9.5, which is 8 and 9.5 farther.
    assert cells(readings, "the rows, last epoch")[2:4] == ["0.2 ± 0.4", "nearest"]
    assert cells(readings, "frozen, last epoch")[3].startswith("+8.8 [")
    report = report_of(sweep, records_of(sweep, TESTS | {("c", "frozen"): ()}))
    assert "No seed was run in all of them" in section(report.markdown, heading)
    assert "readings" not in report.summary


def test_records_that_are_not_comparable(sweep, records):
    (key, one), *_ = records.items()
    other = replace(one, data_fingerprint="beef")
    with pytest.raises(InputError, match=r"one data set. Received: sst5 \(beef\); sst5 \(f00d"):
        report_of(sweep, records | {key: other})
    other = replace(one, settings={**one.settings, "embedding.vectors": ("other",)})
    with pytest.raises(InputError, match="same word vectors in all runs of a. Received: other; gl"):
        report_of(sweep, records | {key: other})


def test_runs_of_a_row_learn_from_the_same(sweep, records):
    for number, (key, one) in enumerate(list(records.items())):
        if key.row == "a" and not key.variant:
            records[key] = replace(one, learned_from={"language_model": f"{number % 2}" * 64})
    with pytest.raises(InputError, match="the same language model in all runs of a. Received: 0"):
        report_of(sweep, records)


def test_confusion_of_the_best_row_by_dev(sweep, records):
    for key, one in records.items():
        if key.row == "b":
            records[key] = replace(one, best=replace(one.best, dev=0.9))
    report = report_of(sweep, records)
    assert report.summary["confusion"] == {"row": "b", "matrix": [[57, 18], [75, 150]]}
    confusion = section(report.markdown, "## Confusion matrix")
    assert cells(confusion, "good") == ["75", "150", "66.7", "89.3"]  # 150 / 225, 150 / 168


def test_failed_and_missing_runs_are_listed(sweep, records):
    (experiment,) = [one for one in sweep.experiments if one.name == "small/b"]
    failed = record(experiment, 1, 0, error="Traceback\nValueError: <nan>")
    report = report_of(sweep, records | {failed.key: failed})
    assert (report.summary["runs"], report.summary["failed"]) == (17, 1)
    assert "ValueError: &lt;nan>" in section(report.markdown, "## Runs that are not used")
    assert "b: 2 of 3 runs" in section(report.markdown, "## Not run yet")
    assert report.summary["rows"][1]["last"]["n"] == 2


def test_one_run(sweep):
    report = report_of(sweep, records_of(sweep, {("a", None): (41,)}))
    a, b, _ = report.summary["rows"]
    assert (a["last"]["sd"], b["last"]) == (None, None)
    assert (report.summary["effects"], report.summary["published_best"]["last"]["low"]) == (
        [],
        None,
    )
    assert cells(section(report.markdown, "## All rows"), "b")[5:] == ["–", "–", "–"]


def test_one_seed_has_no_intervals(sweep):
    report = report_of(sweep, records_of(sweep, {key: some[:1] for key, some in TESTS.items()}))
    assert {one["last"]["interval"] for one in report.summary["effects"]} == {None}
    assert {one["verdicts"]["last"] for one in report.summary["findings"]} == {
        "not shown", "not tested",
    }  # fmt: skip
    assert "**" not in section(report.markdown, "## What each setting does")


def test_only_variants(sweep):
    report = report_of(sweep, records_of(sweep, {("a", "frozen"): (43, 44)}))
    nothing = {"last": None, "best": None}
    assert report.summary["questions"]["frozen"] == nothing | {"dev": nothing}
    assert "variants" not in report.figures
    assert report.summary["confusion"]["row"] == "a"


def test_sweep_without_a_published_source(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text("seeds = 3\n[rows]\na = { model.units = 64 }\nb = { model.units = 256 }\n")
    sweep = load_sweep(path)
    report = report_of(sweep, records_of(sweep))
    assert len(report.summary["effects"]) == 1
    assert not {"findings", "published_best", "readings"} & set(report.summary)
    assert "published" not in report.markdown and "paper" not in report.markdown
    path.write_text("seeds = 3\n[rows]\na = { published = 42.0 }\nb = { model.units = 256 }\n")
    report = report_of(load_sweep(path), records_of(load_sweep(path)))
    assert "| published | last epoch |" in report.markdown
    assert "†" not in report.markdown and "published_best" not in report.summary


def test_rows_table(sweep, records):
    lines = rows_table(sweep, records).splitlines()
    assert len(lines) == 5
    assert cells(lines[2], "a") == ["glove.small", "43.0 ± 1.0", "42.0 ± 1.0", "3", "20"]
    assert cells(rows_table(sweep, records_of(sweep, {("a", None): (41,)})), "b")[1:] == [
        "–", "–", "0", "–",
    ]  # fmt: skip


def test_rows_table_with_the_halves_of_the_scale(sweep, records):
    polar = {
        key: replace(record, best=replace(record.best, test_polarity=0.8 + key.seed / 100))
        for key, record in records.items()
    }
    lines = rows_table(sweep, polar).splitlines()
    assert "negative or positive, %" in lines[0]
    assert cells(lines[2], "a")[3:5] == ["82.0 ± 1.0", "3"]
    one_without = {**polar, next(iter(polar)): next(iter(records.values()))}
    assert "negative or positive" not in rows_table(sweep, one_without)


HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [link](javascript:alert(1)) "
    "![image](http://example.org/x.png)"
)


def test_texts_of_a_sweep_are_not_live_html(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        f"description = '{HOSTILE}'\nseeds = 3\n[rows]\n'**a** [b]' = {{}}\n"
        f"[variants.v]\nquestion = '{HOSTILE}'\nmodel.units = 64\n[report]\nnotes = ['{HOSTILE}']\n"
        f"[published]\nsource = '{HOSTILE}'\nshort = '{HOSTILE}'\n"
        f"[[published.findings]]\nclaim = '{HOSTILE}'\nsetting = 'model.units'\n"
        f"better = 64\nworse = 128\n"
    )
    sweep = load_sweep(path)
    tests = {(sweep.experiments[0].row, variant): (40, 41, 42) for variant in (None, "v")}
    records = records_of(sweep, tests)
    names = ("**bad**", "<b>[red]good[/red]</b>")
    records = {key: replace(one, class_names=names) for key, one in records.items()}
    write_report(sweep, records, tmp_path, tmp_path / "R.md", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    body = re.sub(r'src="data:image/png;base64,[^"]*"', "", page.split("<main>")[1])
    tags = set(re.findall(r"<([^/\s>]+)", body))
    assert not tags & {"script", "a", "b"}
    assert all("example.org" not in tag for tag in re.findall(r"<[^>]*>", body))
    assert not re.findall(r"<[^>]*\bonerror", body)
    for shown in ("**bad**", "[red]good[/red]", "**a** [b]", "&lt;script>"):
        assert shown in body.replace("&gt;", ">")


def test_writing_is_repeatable_and_the_page_is_complete(sweep, records, tmp_path):
    outs = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        report, paths = write_report(
            sweep, records, tmp_path / "small",
            folder / "RESULTS.md", folder / "docs" / "results.html",
        )  # fmt: skip
        assert all(path.is_file() for path in paths)
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


@pytest.mark.parametrize("html", ["R.md", "page.txt"])
def test_page_needs_its_own_name(sweep, records, tmp_path, html):
    with pytest.raises(UsageError, match="ends in .html") as caught:
        write_report(sweep, records, tmp_path, tmp_path / "R.md", tmp_path / html)
    assert caught.value.setting == "html"


def test_records_that_do_not_belong(sweep, records):
    with pytest.raises(InputError, match=r"expected a finished run of the sweep 'small'"):
        build_report(sweep, {}, "x")
    with pytest.raises(InputError, match=r"x: .* sweep 'other'. Received one of small/a, seed 1"):
        build_report(replace(sweep, name="other"), records, "x")


@pytest.mark.parametrize("name", ["flagship", "paper"])
def test_committed_results_are_what_the_records_say(tmp_path, name):
    root, sweep = Path(__file__).parents[1], load_sweep(name)
    out, page = tmp_path / sweep.out, tmp_path / sweep.html
    write_report(sweep, read_records(root / "results" / name), f"results/{name}", out, page)
    assert out.read_text("utf-8") == (root / sweep.out).read_text("utf-8")
