import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

import sst_keras
from sst_keras.cli import main
from sst_keras.cli.predict import model_and_texts
from sst_keras.errors import InputError, UsageError
from sst_keras.locks import locked_file
from sst_keras.serving.prediction import Prediction
from sst_keras.serving.scoring import row_writer, score_table
from sst_keras.settings import DataConfig
from sst_keras.tables.reading import open_table


@pytest.fixture(scope="module")
def predict(trained_run):
    def run(*arguments, text=None):
        return CliRunner().invoke(main, ["predict", str(trained_run.path), *arguments], input=text)

    yield run
    import shutil

    shutil.rmtree(trained_run.saved_model_dir.parent, ignore_errors=True)


def test_texts_as_arguments(predict, trained_run):
    result = predict("A wonderful film.", "Dull [bold] stuff")
    assert result.exit_code == 0, result.output
    assert "A wonderful film." in result.stdout and "Dull [bold] stuff" in result.stdout
    assert "attention:" in result.stdout
    assert (trained_run.saved_model_dir / "saved_model.pb").is_file()  # exported for it


@pytest.mark.parametrize("how", ["standard input", "file", "export"])
def test_the_same_from_everywhere(predict, trained_run, tmp_path, how):
    lines = "Good.\n\nNot good — é.\n"
    one = predict("Good.", "", "Not good — é.", "--json")
    assert "arguments: 1 text could not be classified (2)" in one.stderr
    expected = json.loads(one.stdout)
    if how == "standard input":
        result = predict("--json", text=lines)
    elif how == "file":
        (tmp_path / "texts.txt").write_text(lines, "utf-8")
        result = predict("--file", str(tmp_path / "texts.txt"), "--json")
    else:
        arguments = ["predict", str(trained_run.saved_model_dir), "--file", "-", "--json"]
        result = CliRunner().invoke(main, arguments, input=lines)
    assert json.loads(result.stdout) == expected
    assert [row["text"] for row in expected["predictions"]] == ["Good.", "", "Not good — é."]
    assert expected["predictions"][1] == {"line": 2, "text": "", "problem": "the text is blank"}


def test_an_argument_that_is_no_utf_8(predict):
    answer = json.loads(predict("caf\udce9 noir", "--json").stdout)
    assert answer["predictions"][0]["text"] == "caf? noir"


def test_wrong_calls(predict, tmp_path):
    assert predict("text", "--file", "x").exit_code == 2
    assert predict("--file", str(tmp_path / "gone")).exit_code == 2
    (tmp_path / "latin1.txt").write_bytes("café\n".encode("utf-16-le")[:-1])
    result = predict("--file", str(tmp_path / "latin1.txt"), "--encoding", "utf-16")
    assert result.exit_code == 1 and "--encoding" in result.stderr
    nowhere = CliRunner().invoke(main, ["predict", str(tmp_path / "gone"), "text"])
    assert nowhere.exit_code == 2 and "no run" in nowhere.stderr


TEXTS = ["Good, and long.", "", "Not good.", 'It said "no", twice.']


def as_csv(header, rows, **dialect):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", **dialect).writerows([header, *rows])
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a table in a text file", as_csv(("id", "text"), enumerate(TEXTS))),
        ("tabs in a text file", as_csv(("text", "id"), ((x, 0) for x in TEXTS), delimiter="\t")),
        ("JSON in a text file", "".join(json.dumps({"text": x}) + "\n" for x in TEXTS)),
        ("a list of texts", json.dumps(TEXTS)),
        ("labels that are not read", "".join(json.dumps({"text": x, "label": {}}) for x in TEXTS)),
        ("several labels", as_csv(("text", "label"), ((x, "[1, 2]") for x in TEXTS))),
        ("lines", "".join(f"{x}\n" for x in TEXTS)),
    ],
)
def test_a_file_is_what_its_content_is(predict, tmp_path, name, content):
    (tmp_path / "texts.txt").write_text(content, "utf-8")
    result = predict("--file", str(tmp_path / "texts.txt"), "--json")
    assert [row["text"] for row in json.loads(result.stdout)["predictions"]] == TEXTS


def test_an_empty_cell_of_the_only_column_is_a_row(predict, tmp_path):
    (tmp_path / "texts.csv").write_text('text\n"Good, and long."\n\nNot good.\n\n\n', "utf-8")
    result = predict("--file", str(tmp_path / "texts.csv"), "--json")
    texts = [row["text"] for row in json.loads(result.stdout)["predictions"]]
    assert texts == ["Good, and long.", "", "Not good."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (["--out", name], f"or a folder, with / at its end. Received: {name!r}")
            for name in ("o.json", "o.txt", "o.csv.gz", "o.parquet", "o.cvs", "o.2026")
        ),
        (["--file", "-", "--text-column", "review"], "--text-column"),
        (["Good.", "--encoding", "cp1252"], "--encoding"),
    ],
)
def test_what_would_have_no_effect_is_refused(predict, arguments, message):
    result = predict(*arguments, text="Good.\n")
    assert result.exit_code == 2
    assert message in result.stderr


# === Rows that cannot be classified ===

BROKEN = {
    "texts.csv": b"id,text\n1,Good.\n2,\n3,a,b\n4,caf\xc3\xa9 caf\xc3\xa9 \xff\n5,Dull.\n",
    "texts.jsonl": b'{"text": "Good."}\n{"text": " "}\n{"id": 3}\n{"text": "\\ud800"}\n'
    b'{"text": "Dull."}\n{nonsense\n{"text": {}}\n',
    "texts.txt": b"Good.\n\nan \xc3\xa9t\xc3\xa9 \xc3\xa9t\xc3\xa9 \xff\nDull.\n",
}
PROBLEMS = {
    "texts.csv": {3: "blank", 4: "expected 2 fields", 5: "UTF-8"},
    "texts.jsonl": {2: "blank", 3: "expected 'text'", 4: "UTF-8", 6: "JSON object", 7: "string"},
    "texts.txt": {2: "blank", 3: "UTF-8"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_row_is_answered_in_its_place(predict, tmp_path, name):
    (tmp_path / name).write_bytes(BROKEN[name])
    result = predict("--file", str(tmp_path / name), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["predictions"]
    assert {row["line"]: row["problem"] for row in found if "problem" in row}.keys() == (
        PROBLEMS[name].keys()
    )
    for row in found:
        assert "problem" not in row or PROBLEMS[name][row["line"]] in row["problem"]
    assert [row["text"] for row in found if "label" in row] == ["Good.", "Dull."]
    count = len(PROBLEMS[name])
    assert f"{name}: {count} rows could not be classified (lines " in result.stderr
    table = predict("--file", str(tmp_path / name))
    assert table.stdout.count("→ not classified: line ") == count


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_bad_rows_in_a_file(predict, tmp_path, name, ending):
    (tmp_path / name).write_bytes(BROKEN[name])
    out = tmp_path / f"out{ending}"
    result = predict("--file", str(tmp_path / name), "--out", str(out))
    assert result.exit_code == 0, result.output
    if ending == ".csv":
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert len(rows) == len(PROBLEMS[name]) + 2
    bad = [row for row in rows if row["prediction_problem"]]
    for row, problem in zip(bad, PROBLEMS[name].values(), strict=True):
        assert problem in row["prediction_problem"] and not row["predicted_class"]
    assert [row["text"] for row in rows if row["predicted_class"]] == ["Good.", "Dull."]


def test_lines_of_a_pipe_to_a_file(predict, tmp_path):
    result = predict("--out", str(tmp_path / "out.csv"), text="Good.\n\nDull.")
    assert result.exit_code == 0, result.output
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["Good.", "", "Dull."]
    assert rows[1]["prediction_problem"] == "the text is blank"
    assert "standard input: 1 text could not be classified (2)" in result.stderr
    assert predict("--out", str(tmp_path / "x.csv"), "--resume", text="a").exit_code == 2


@pytest.mark.parametrize("name", ["scored", "scored/"])
@pytest.mark.parametrize("arguments", [["Good."], ["--file", "-"], []])
def test_a_folder_is_for_the_rows_of_files(predict, tmp_path, monkeypatch, name, arguments):
    monkeypatch.setattr("sst_keras.cli.predict.find_model", None)  # nothing is loaded
    result = predict(*arguments, "--out", str(tmp_path / name) + "/" * name.endswith("/"))
    assert result.exit_code == 2 and "--out: expected --file, whose rows" in result.stderr
    assert not (tmp_path / "scored").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize("out", ["", "scored/"])
def test_a_pipe_is_given_on_standard_input(predict, tmp_path, out):
    os.mkfifo(tmp_path / "pipe")
    arguments = ["--out", f"{tmp_path}/{out}"] if out else []
    result = predict("--file", str(tmp_path / "pipe"), *arguments)
    assert result.exit_code == 2 and "--file: " in result.stderr
    assert "a pipe" in result.stderr and "--file -" in result.stderr


# === Going on ===


class Killed(Exception):
    pass


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_killed_command_goes_on(predict, trained_run, tmp_path, monkeypatch, ending):
    from sst_keras.tables import reading

    monkeypatch.setattr(reading.Table.blocks, "__defaults__", (3,))
    texts = ('Not "good"\nat all.', "Dull.")
    rows = [(number, texts[number % 2]) for number in range(10)]
    (tmp_path / "in.csv").write_text(as_csv(("id", "text"), rows), "utf-8")
    whole, out = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    assert predict("--file", str(tmp_path / "in.csv"), "--out", str(whole)).exit_code == 0

    from sst_keras.cli import progress

    def die(*arguments, **options):
        @contextlib.contextmanager
        def bar():
            def move(done, size):
                if done > 5:
                    raise Killed

            yield move

        return bar()

    arguments = ("--file", str(tmp_path / "in.csv"), "--out", str(out))
    with monkeypatch.context() as patch:
        patch.setattr(progress, "bar", die)
        assert isinstance(predict(*arguments).exception, Killed)
    part = tmp_path / f"out{ending}.part"
    assert not out.exists() and whole.read_bytes().startswith(part.read_bytes())
    with part.open("ab") as file:
        file.write(b"half a ro")  # what was written after the last block
    refused = predict(*arguments)
    assert refused.exit_code == 2 and "--resume" in refused.stderr
    done = predict(*arguments, "--resume")
    assert done.exit_code == 0, done.output
    assert out.read_bytes() == whole.read_bytes()
    assert not part.exists() and not (tmp_path / f"out{ending}.part.json").exists()
    again = predict(*arguments, "--resume")
    assert again.exit_code == 2 and "there is no out" in again.stderr
    assert "Leave the option out" in again.stderr


def test_what_a_killed_command_cannot_go_on_with(predict, tmp_path):
    (tmp_path / "in.csv").write_text("text\nGood.\n", "utf-8")
    out = tmp_path / "out.csv"
    (tmp_path / "out.csv.part").write_text("text\n", "utf-8")
    state = {"format": 2, "model": "x", "rows": 1, "bytes": 5, "content": ""}
    (tmp_path / "out.csv.part.json").write_text(json.dumps(state), "utf-8")
    arguments = ("--file", str(tmp_path / "in.csv"), "--out", str(out), "--resume")
    result = predict(*arguments)
    assert result.exit_code == 2 and "begun with another model" in result.stderr
    assert (tmp_path / "out.csv.part").is_file()
    # Nor with a part of which nothing is known, as an interrupted pipe leaves it.
    (tmp_path / "out.csv.part.json").unlink()
    for again in (predict(*arguments), predict("--out", str(out), text="Good.\n")):
        assert again.exit_code == 2 and "standard input" in again.stderr
    assert (tmp_path / "out.csv.part").read_text("utf-8") == "text\n"


class Letters:
    """Says that a text is good if it has an even number of letters."""

    class_names = ("bad", "good")

    def predict(self, texts, explain):
        labels = [int(len(text) % 2 == 0) for text in texts]
        return [
            Prediction(text, label, self.class_names[label], {"bad": 1.0 - label, "good": label})
            for text, label in zip(texts, labels, strict=True)
        ]


@pytest.fixture
def stopped(tmp_path):
    """A command that was stopped after 16 of 30 rows, with its output and how it goes on."""
    (tmp_path / "in.csv").write_text(as_csv(("text",), [(f"film {n}",) for n in range(30)]))

    def score(out, stop=False, resume=False):
        table = open_table(tmp_path / "in.csv", DataConfig(), with_label=False, lenient=True)
        table.block_rows = 8

        def progress(line, lines):
            if stop and line > 16:
                raise Killed

        return score_table(Letters(), table, out, resume, "model", progress)

    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert score(whole) == 30
    with pytest.raises(Killed):
        score(out, stop=True)
    return out, whole.read_bytes(), lambda: score(out, resume=True)


STATES = [
    {"rows": 17}, {"rows": 15}, {"rows": -1}, {"rows": "x"}, {"rows": 16.5}, {"rows": None},
    {"rows": True}, {"rows": 0}, {"bytes": 10}, {"bytes": "z"}, {"bytes": None}, {"bytes": -5},
    {"bytes": 10**20}, {"counts": [1]}, {"counts": {"a": 1}}, {"counts": {"a": [1, 2]}},
    {"content": "0"}, {"content": 1}, {"format": 1}, {"model": "other"},
]  # fmt: skip


# Without a checksum, somebody could have written these.
PLAUSIBLE = [{"rows": 17}, {"rows": 15}, {"rows": 0}]


@pytest.mark.parametrize(
    ("change", "is_sealed"),
    [*((each, True) for each in STATES), *((e, False) for e in STATES if e not in PLAUSIBLE)],
    ids=str,
)
def test_a_state_that_was_changed_is_refused(stopped, change, is_sealed):
    out, whole, go_on = stopped
    state_file = out.with_name("out.csv.part.json")
    state = json.loads(state_file.read_text("utf-8"))
    assert state["rows"] == 16
    state = {name: value for name, value in (state | change).items() if value is not None}
    if not is_sealed:
        del state["sha256"]
    state_file.write_text(json.dumps(state), "utf-8")
    part = out.with_name("out.csv.part").read_bytes()
    with pytest.raises((InputError, UsageError), match=r"Delete out\.csv\.part to start anew"):
        go_on()
    assert out.with_name("out.csv.part").read_bytes() == part and not out.exists()
    out.with_name("out.csv.part").unlink()  # as the message says
    assert go_on() == 30 and out.read_bytes() == whole


def test_a_part_that_was_changed_is_refused(stopped):
    out, whole, go_on = stopped
    part = out.with_name("out.csv.part")
    content = part.read_bytes()
    part.write_bytes(content.replace(b"film 3", b"film 4", 1))
    with pytest.raises(InputError, match=r"out\.csv\.part: it has changed since it was written"):
        go_on()
    part.write_bytes(content)
    assert go_on() == 30 and out.read_bytes() == whole


def test_json_lines_hold_what_strict_readers_accept(predict, tmp_path):
    rows = '{"text": "Good.", "more": NaN}\n{"text": Infinity, "more": [1, 1e999]}\n'
    (tmp_path / "x.jsonl").write_text(rows)
    out = tmp_path / "o.jsonl"
    result = predict("--file", str(tmp_path / "x.jsonl"), "--out", str(out))
    assert result.exit_code == 0, result.output

    def refuse(constant):
        raise AssertionError(constant)

    lines = out.read_text("utf-8").splitlines()
    good, missing = (json.loads(line, parse_constant=refuse) for line in lines)
    assert good["predicted_class"] and good["more"] is None
    assert missing["text"] is None and missing["more"] == [1, None]
    assert missing["predicted_class"] is None and "blank" in missing["prediction_problem"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_of_json_has_no_number_that_is_not_finite(value):
    file = io.StringIO()
    with row_writer(".jsonl", file, ["a", "b"], False, False) as write:
        write(["x", value])
    assert file.getvalue() == '{"a": "x", "b": null}\n'


def test_an_error_in_the_first_block_leaves_nothing(tmp_path):
    class Broken:
        class_names = ("bad", "good")

        def predict(self, texts, explain):
            raise KeyboardInterrupt

    (tmp_path / "in.csv").write_text("text\nGood.\n", "utf-8")
    table = open_table(tmp_path / "in.csv", DataConfig(), with_label=False, lenient=True)
    for name in ("out.csv", "out.jsonl"):
        with pytest.raises(KeyboardInterrupt):
            score_table(Broken(), table, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


KILLED = """
import os, signal, sys
from pathlib import Path
from sst_keras.serving.scoring import score_table
from sst_keras.settings import DataConfig
from sst_keras.tables.reading import open_table

class Killed:
    class_names = ("bad", "good")

    def predict(self, texts, explain):
        os.kill(os.getpid(), signal.SIGKILL)

table = open_table(Path(sys.argv[1]), DataConfig(), with_label=False, lenient=True)
score_table(Killed(), table, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_a_command_that_was_killed_in_its_first_block_starts_anew(predict, tmp_path, options):
    (tmp_path / "in.csv").write_text("text\nGood.\n", "utf-8")
    out = tmp_path / "out.csv"
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "in.csv", out])
    assert killed.returncode == -signal.SIGKILL and not out.exists()
    assert {path.name for path in tmp_path.glob("out*")} == {"out.csv.part", "out.csv.part.json"}
    (tmp_path / "out.csv.part").write_text("text,pre", "utf-8")  # as a full buffer is written
    result = predict("--file", str(tmp_path / "in.csv"), "--out", str(out), *options)
    assert result.exit_code == 0, result.output
    assert out.read_text("utf-8").count("\n") == 2
    assert [path.name for path in tmp_path.glob("out*")] == ["out.csv"]


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_two_commands_cannot_write_one_file(predict, tmp_path, options):
    (tmp_path / "in.csv").write_text("text\nGood.\n", "utf-8")
    arguments = ("--file", str(tmp_path / "in.csv"), "--out", str(tmp_path / "out.csv"))
    with locked_file(tmp_path / "out.csv.part"):
        (tmp_path / "out.csv.part").write_text("text\n", "utf-8")
        second = predict(*arguments, *options)
        assert second.exit_code == 2 and "--out: another process is writing" in second.stderr
        assert (tmp_path / "out.csv.part").read_text("utf-8") == "text\n"
        (tmp_path / "out.csv.part").write_text("", "utf-8")
    assert not (tmp_path / "out.csv.part").exists()
    assert predict(*arguments).exit_code == 0


def test_the_input_is_not_what_would_be_written(predict, tmp_path):
    (tmp_path / "x.csv.part").write_text("text\nGood.\n", "utf-8")
    result = predict("--file", str(tmp_path / "x.csv.part"), "--out", str(tmp_path / "x.csv"))
    assert result.exit_code == 2 and "expected another file" in result.stderr
    assert (tmp_path / "x.csv.part").read_text("utf-8") == "text\nGood.\n"
    result = predict("--file", str(tmp_path / "x.csv.part"), "--out", str(tmp_path))
    assert result.exit_code == 2


def test_a_carriage_return_stays_within_its_field(predict, tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "Good.\rBad."}) + "\n", "utf-8")
    out = tmp_path / "out.csv"
    assert predict("--file", str(tmp_path / "in.jsonl"), "--out", str(out)).exit_code == 0
    with out.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["text"] == "Good.\rBad." and row["predicted_class"]


def test_what_is_printed_cannot_control_the_terminal(predict):
    result = predict("Good \x1b]0;x\x07\x1b[2J \u202e.")
    assert "Good \\x1b]0;x\\x07\\x1b[2J \\u202e." in result.stdout
    assert "\x1b]" not in result.stdout


@pytest.mark.parametrize("place", [0, 7, 20])
@pytest.mark.parametrize(
    "bad",
    ['20,"open, quote"x, y', '20,"a, b\rc", d', '20,"never closed, no'],
    ids=["a quotation mark", "a return", "no end"],
)
def test_a_wrong_quotation_mark_spoils_no_other_row(predict, tmp_path, bad, place):
    rows = [f'{number},"good, ""film"" {number}"' for number in range(20)]
    lines = ["id,text", *rows[:place], bad, *rows[place:], ""]
    (tmp_path / "x.csv").write_bytes("\n".join(lines).encode())
    result = predict("--file", str(tmp_path / "x.csv"), "--json")
    found = json.loads(result.stdout)["predictions"]
    assert found.pop(place)["line"] == place + 2
    assert [row["text"] for row in found] == [f'good, "film" {n}' for n in range(20)]
    assert all(row["class_name"] for row in found)


def test_most_quotation_marks_wrong_is_an_error(predict, tmp_path):
    """The file is then read wrongly: each text would be a part of its row."""
    rows = [f'{number},"a, "b" {number}, c"' for number in range(20)]
    (tmp_path / "x.csv").write_text("\n".join(["id,text", *rows, ""]), "utf-8")
    result = predict("--file", str(tmp_path / "x.csv"), "--json")
    assert result.exit_code == 1
    assert "--quoting" in result.stderr and "most of the first rows" in result.stderr


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        # The bad byte is a megabyte before the accents.
        (b"caf\xe9\n" + b"Good.\n" * 200_000 + "é à “x”\n".encode() * 3, None),
        (b"Good.\n\x81\xff\nDull.\n", ["Good.", "Dull."]),  # of no encoding
        (b"caf\xe9\nDull.\n", ["café", "Dull."]),  # windows-1252
    ],
)
def test_a_bad_byte_does_not_change_how_the_others_are_read(tmp_path, content, texts):
    from sst_keras.settings import DataConfig
    from sst_keras.tables.reading import open_lines, rows_of

    (tmp_path / "x.txt").write_bytes(content)
    found = rows_of(open_lines(tmp_path / "x.txt", DataConfig(), lenient=True).blocks())
    good = [t for t, problem in zip(found.texts, found.problems, strict=True) if not problem]
    assert good == texts or (texts is None and good[-1] == "é à “x”" and "café" not in good)


def test_a_damaged_first_object_and_a_line_without_its_label(predict, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "cut\n{"text": "Good."}\n{"text": "Dull."}\n')
    result = predict("--file", str(tmp_path / "x.jsonl"), "--json")
    found = json.loads(result.stdout)["predictions"]
    assert [row["text"] for row in found] == ["", "Good.", "Dull."]
    assert "JSON object" in found[0]["problem"]
    (tmp_path / "x.txt").write_text("__label__1 Good.\nDull.\n__label__2 Superb.\n")
    found = json.loads(predict("--file", str(tmp_path / "x.txt"), "--json").stdout)["predictions"]
    assert [row["text"] for row in found if "label" in row] == ["Good.", "Superb."]
    assert found[1]["line"] == 2 and "expected __label__" in found[1]["problem"]


@pytest.fixture
def small(trained_run, served_folder, monkeypatch):
    """The small model that ships with the package, which is another one here."""
    monkeypatch.setattr("sst_keras.runs.bundled", lambda name: served_folder)
    return served_folder / "3"


def test_without_a_model_it_is_the_small_one_and_a_message_says_so(small, predict, monkeypatch):
    expected = json.loads(predict("Not bad.", "--json").output)
    monkeypatch.chdir(small.parent.parent)
    for arguments in (["Not bad."], ["small", "Not bad."], [str(small.parent), "Not bad."]):
        result = CliRunner().invoke(main, ["predict", *arguments, "--json"])
        assert json.loads(result.stdout) == expected
        assert ("Model: small" in result.stderr) == (len(arguments) == 1)
    lines = CliRunner().invoke(main, ["predict"], input="Not bad.\n")
    assert lines.exit_code == 0 and "Not bad." in lines.stdout
    assert sst_keras.load()("Not bad.").class_name == expected["predictions"][0]["class_name"]
    explained = CliRunner().invoke(main, ["explain", "great", "--json"])
    assert json.loads(explained.stdout)["explanations"][0]["tokens"] == ["great"]


def test_attention_can_be_left_out(predict, tmp_path):
    (short,) = json.loads(predict("Not bad.", "--json", "--no-attention").output)["predictions"]
    (long,) = json.loads(predict("Not bad.", "--json").output)["predictions"]
    assert long.keys() - short.keys() == {"tokens", "attention"}
    assert "attention" not in predict("Not bad.", "--no-attention").output
    refused = predict("Not bad.", "--no-attention", "--out", str(tmp_path / "a.csv"))
    assert refused.exit_code == 2 and "--no-attention: expected no --out" in refused.output


@pytest.mark.parametrize(
    ("arguments", "model", "texts"),
    [
        (["great"], "small", ("great",)),
        (["great film", "bad"], "small", ("great film", "bad")),
        (["small", "great", "bad"], "small", ("great", "bad")),
        (["x" * 5000 + " "], "small", ("x" * 5000 + " ",)),
        (["a\0 b"], "small", ("a\0 b",)),
        ([], "small", ()),
    ],
)
def test_what_is_a_model_and_what_a_text(small, arguments, model, texts):
    assert model_and_texts(arguments) == (model, texts)


@pytest.mark.parametrize("arguments", [["lstm/seed1"], ["lstm", "Not bad."], ["lstm", "bad"]])
def test_a_model_that_is_missing_is_no_text(small, arguments):
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert result.exit_code == 2 and "there is no run or export 'lstm" in result.stderr
    assert "such as small" in result.stderr


def test_a_folder_that_is_no_model_is_no_text(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "great").mkdir()
    result = CliRunner().invoke(main, ["predict", "great"])
    assert result.exit_code == 2 and "not a trained run" in result.stderr


def test_json_stays_json_in_csv_and_nothing_is_left_out_unsaid(predict, tmp_path):
    path, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    first = {"text": "Good.", "tags": ["é", 1], "where": {"page": None}, "new": True, "n": 1.5}
    others = [{"text": "Bad."}] * 99 + [{"text": "Dull.", "late": 1}]
    path.write_text("\n".join(json.dumps(row) for row in [first, *others]), "utf-8")
    result = predict("--file", str(path), "--out", str(out))
    assert (
        "1 row had names that the first 100 lack, which were left out (line 101)" in result.stderr
    )
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert json.loads(rows[0]["tags"]) == ["é", 1] and rows[0]["n"] == "1.5"
    assert (rows[0]["where"], rows[0]["new"], rows[1]["new"]) == ('{"page": null}', "true", "")
    lines = predict("--file", str(path), "--out", str(tmp_path / "out.jsonl"))
    assert lines.exit_code == 0
    found = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    assert {name: found[name] for name in first} == first


def test_an_ending_in_capitals_and_the_answer_as_json(predict, tmp_path):
    (tmp_path / "in.csv").write_text("text,n\nGood.,1\n,2\n", "utf-8")
    out = tmp_path / "X.CSV"
    result = predict("--file", str(tmp_path / "in.csv"), "--json", "--out", str(out))
    assert json.loads(result.stdout) == {"out": str(out), "rows": 2, "not_classified": 1}
    assert out.read_text("utf-8").startswith("text,n,predicted_class,")


def test_columns_of_one_name_are_not_lost(predict, tmp_path):
    (tmp_path / "in.csv").write_text("text,n,n\nGood.,1,2\n", "utf-8")
    options = ["--file", str(tmp_path / "in.csv"), "--out"]
    result = predict(*options, str(tmp_path / "out.jsonl"))
    assert result.exit_code == 2 and "Received several columns 'n'" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    assert predict(*options, str(tmp_path / "out.csv")).exit_code == 0
    rows = list(csv.reader((tmp_path / "out.csv").read_text("utf-8").splitlines()))
    assert rows[1][:3] == ["Good.", "1", "2"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_cells_that_look_like_formulas(predict, tmp_path, ending):
    cells = [
        "=HYPERLINK(1)",
        "@user",
        "+ good",
        "- bad",
        " =1+1",
        "-1.5",
        "+3,5",
        "-",
        "a=b",
        "＝1",
    ]
    (tmp_path / "a.csv").write_text(
        as_csv(["text", "=x"], [("good", cell) for cell in cells]), "utf-8"
    )
    out = tmp_path / f"o.{ending}"
    result = predict("--file", str(tmp_path / "a.csv"), "--out", str(out))
    assert result.exit_code == 0, result.output
    kept = [*cells]
    if ending == "jsonl":
        found = [json.loads(line)["=x"] for line in out.read_text("utf-8").splitlines()]
    else:
        kept = [f"'{cell}" for cell in cells[:5]] + cells[5:9] + [f"'{cells[9]}"]
        assert "7 rows had a cell that looks like a formula" in result.stderr  # with the header
        lines = out.read_text("utf-8").splitlines()
        found = [
            row["'=x"] for row in csv.DictReader(lines, delimiter="\t" if ending == "tsv" else ",")
        ]
    assert found == kept
    out.unlink()
    result = predict("--file", str(tmp_path / "a.csv"), "--out", str(out), "--keep-formulas")
    assert result.exit_code == 0 and "formula" not in result.stderr
    assert "'=" not in out.read_text("utf-8")


def test_keeping_formulas_without_a_file(predict):
    result = predict("good", "--keep-formulas")
    assert result.exit_code == 2 and "--keep-formulas: expected --out" in result.stderr
