"""People's own files at `train`, `evaluate` and `predict`."""

import csv
import gzip
import json

import pytest
from cases import rows as made
from cases.expecting import refused
from cases.rows import WORDS, reviews
from click.testing import CliRunner
from test_cases import SHARED

from sst_keras.cli import main

pytestmark = pytest.mark.slow

TEXTS = [
    "A neat kiosk, and cheap.",
    "A dull walk.\nWe left early.",
    ' "Superb" tram!',
    "",
    "Meh; so-so",
]
ROWS = [(f"n{number}", text, number / 2) for number, text in enumerate(TEXTS)]
HEADER = ("id", "text", "price")
JSON = made.jsonl(ROWS, HEADER)
TABLES = {
    "commas.csv": made.csv(ROWS, HEADER),
    "semicolons.csv": "\ufeff" + made.csv(ROWS, HEADER, delimiter=";", lineterminator="\r\n"),
    "quoted.tsv": made.csv(ROWS, HEADER, delimiter="\t", quoting=csv.QUOTE_ALL),
    "utf16.tab": made.csv(ROWS, HEADER, delimiter="\t").encode("utf-16"),
    "lines.jsonl": JSON,
    "lines.ndjson": JSON,
    "array.json": made.json(ROWS, HEADER, indent=2),
    "packed.csv.gz": gzip.compress(made.csv(ROWS, HEADER).encode()),
}


def invoke(*arguments, text=None):
    result = CliRunner().invoke(main, list(map(str, arguments)), input=text)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def predicted(*arguments):
    """Returns the texts and the classes of a prediction's JSON; a blank text has no class."""
    result = invoke("predict", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)["predictions"]
    return [row["text"] for row in answer], [row.get("class_name", "") for row in answer]


def assert_refused(result, *words, code=None):
    assert refused(*words, code=code).problems(result.exit_code, result.stderr) == [], result.stderr


# === predict ===


@pytest.mark.parametrize("name", TABLES)
def test_one_prediction_for_each_row_of_a_table(trained_run, tmp_path, name):
    path = written(tmp_path, name, TABLES[name])
    texts, classes = predicted(trained_run.path, "--file", path)
    assert [text.strip() for text in texts] == [text.strip() for text in TEXTS]
    assert set(classes) <= {*WORDS, ""}
    assert [bool(each) for each in classes] == [bool(text.strip()) for text in texts]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("name", ["semicolons.csv", "lines.jsonl"])
def test_other_columns_are_kept_in_the_rows_order(trained_run, tmp_path, name, ending):
    path, out = written(tmp_path, name, TABLES[name]), tmp_path / f"answers.{ending}"
    _, classes = predicted(trained_run.path, "--file", path)
    result = invoke("predict", trained_run.path, "--file", path, "--out", out)
    assert result.exit_code == 0, result.stderr
    if ending == "jsonl":
        found = list(map(json.loads, out.read_text("utf-8").splitlines()))
    else:
        with out.open(encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file, delimiter="\t" if ending == "tsv" else ","))
    assert [row["id"] for row in found] == [row[0] for row in ROWS]
    assert [float(row["price"]) for row in found] == [row[2] for row in ROWS]
    assert [row["text"].strip() for row in found] == [text.strip() for text in TEXTS]
    added = [name for name in found[0] if name not in HEADER]
    assert any([row[name] or "" for row in found] == classes for name in added)


def test_a_column_by_name_and_by_number(trained_run, tmp_path):
    path = written(tmp_path, "x.csv", made.csv(ROWS, ("id", "How was it?", "price")))
    for column in ("How was it?", "how was it? ", 2):
        texts, _ = predicted(trained_run.path, "--file", path, "--text-column", column)
        assert len(texts) == len(TEXTS) and texts[0] == TEXTS[0]
    result = invoke("predict", trained_run.path, "--file", path, "--text-column", "answer")
    assert_refused(result, "--text-column", "answer", "How was it?", code=2)


SEPARATORS = "\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\x1d", "\x1e"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["x.txt", "x.text", "x"])
def test_a_line_ends_at_a_line_feed(trained_run, tmp_path, name, end):
    lines = [f"Line {number}.{sign}More." for number, sign in enumerate(SEPARATORS)]
    path = written(tmp_path, name, end.join([*lines, "", "The last has no end."]))
    texts, _ = predicted(trained_run.path, "--file", path)
    assert texts == [*lines, "", "The last has no end."]


def test_a_text_that_is_a_file(trained_run, tmp_path):
    for name in ("x.csv", "x.jsonl", "reviews 2.txt"):
        path = written(tmp_path, name, "text\nGood.\n")
        assert_refused(invoke("predict", trained_run.path, path), "--file", name, code=2)
        assert_refused(invoke("predict", trained_run.path, "Good.", path), "--file", name, code=2)
    assert predicted(trained_run.path, "Good.csv")[0] == ["Good.csv"]  # no such file


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "id,stars\n1,2\n", ["text"]),
        ("x.csv", "", ["x.csv"]),
        ("x.jsonl", '{"text": {"en": "Hm."}}\n', ["line 1", "text"]),
        ("x.xlsx", b"PK\x03\x04" + bytes(40), ["x.xlsx"]),
        ("x.txt", "caf\xe9 noir\n".encode("latin-1") + b"\x9d", ["x.txt", "0x|utf-8"]),
    ],
)
def test_files_that_cannot_be_predicted(trained_run, tmp_path, name, content, words):
    path = written(tmp_path, name, content)
    assert_refused(invoke("predict", trained_run.path, "--file", path), *words)


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no ../shared/cases beside the repository")
@pytest.mark.parametrize(("name", "count"), [("new-reviews.csv", 3), ("line-separators.txt", 4)])
def test_the_shared_files_to_predict(trained_run, name, count):
    assert len(predicted(trained_run.path, "--file", SHARED / "predict" / name)[0]) == count


# === evaluate ===

NEW = reviews(25, WORDS)
FILES = {
    "its columns": ("x.csv", made.csv(NEW), [], 25),
    "other columns": (
        "x.tsv", made.tsv([(y, text) for text, y in NEW], ("how", "what")),
        ["--text-column", "what", "--label-column", "how"], 25,
    ),
    "another format": ("x.jsonl", made.jsonl(NEW), [], 25),
    "another delimiter": ("x.csv", made.csv(NEW, delimiter=";"), [], 25),
    "labels in capitals": ("x.csv", made.csv([(text, y.upper()) for text, y in NEW]), [], 25),
    "labels with spaces": ("x.csv", made.csv([(text, f" {y}\u00a0") for text, y in NEW]), [], 25),
    "a row without a label": ("x.csv", made.csv([*NEW, ("Hm.", "")]), [], 25),
    "some of the classes": ("x.csv", made.csv(reviews(9, WORDS[:2])), [], 9),
    "one text": ("x.csv", made.csv(NEW[:1]), [], 1),
    "equal texts": ("x.csv", made.csv(NEW[:3] * 10), [], 30),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_scored_completely(run_copy, tmp_path, kind):
    name, content, options, count = FILES[kind]
    path = written(tmp_path, name, content)
    result = invoke("evaluate", run_copy.path, "--dataset", path, *options, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["n"] == sum(map(sum, answer["confusion_matrix"])) == count
    assert answer["class_names"] == list(WORDS)


def test_files_that_cannot_be_scored(trained_run, tmp_path):
    path = written(tmp_path, "x.csv", made.csv(NEW, ("what", "how")))
    result = invoke("evaluate", trained_run.path, "--dataset", path)
    assert_refused(result, "--text-column", "what", "how", code=2)
    assert "training" not in result.stderr  # `evaluate` has the option itself
    path = written(tmp_path, "y.csv", made.csv([*NEW, ("Hm.", "mixed")]))
    result = invoke("evaluate", trained_run.path, "--dataset", path)
    assert_refused(result, "mixed", "line 27|1", code=1)


# === train ===


@pytest.mark.slow
def test_nearly_all_of_one_class(tmp_path):
    content = made.csv([*reviews(150, ["5"]), *reviews(30, ["1", "3"], 150)])
    path = written(tmp_path, "x.csv", content)
    quick = ["--vectors", "none", "--set", "model.units=8", "--epochs", "1"]
    run = tmp_path / "run"
    result = invoke("train", "mlp", "--dataset", path, *quick, "--run-dir", run)
    assert result.exit_code == 0, result.stderr
    matrix = json.loads(invoke("evaluate", run, "--json").stdout)["confusion_matrix"]
    share = f"{max(map(sum, matrix)) / sum(map(sum, matrix)):.1%}"
    last = [line for line in result.output.splitlines() if "Test accuracy" in line]
    # Beside the accuracy: what a model scores that says 5 of everything.
    assert len(last) == 1 and last[0].count(share) >= 1 and "'5'" in last[0], last


@pytest.mark.slow
def test_classes_in_two_spellings_are_trained_and_scored_as_one(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    parts = {"train": ("1", "2"), "val": ("1.0", "2.0"), "test": (" +1", "02")}
    for start, (name, labels) in enumerate(parts.items()):
        written(folder, f"{name}.csv", made.csv(reviews(20, labels, 20 * start), delimiter=";"))
    quick = ["--vectors", "none", "--set", "model.units=8", "--epochs", "1"]
    run = tmp_path / "run"
    result = invoke("train", "mlp", "--dataset", folder, *quick, "--run-dir", run, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(invoke("evaluate", run, "--json").stdout)
    assert answer["class_names"] == ["1", "2"] and answer["n"] == 20
    assert [row["support"] for row in answer["per_class"]] == [10, 10]
