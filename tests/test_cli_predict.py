import csv
import io
import json

import pytest
from click.testing import CliRunner

from sst_keras.cli import main


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
    expected = json.loads(predict("Good.", "", "Not good — é.", "--json").stdout)
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
    assert expected["predictions"][1]["tokens"] == ["<unk>"]


def test_an_argument_that_is_no_utf_8(predict):
    answer = json.loads(predict("caf\udce9 noir", "--json").stdout)
    assert answer["predictions"][0]["text"] == "caf? noir"


def test_wrong_calls(predict, tmp_path):
    assert predict("text", "--file", "x").exit_code == 2
    assert predict("--file", str(tmp_path / "gone")).exit_code == 2
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9\n")
    result = predict("--file", str(tmp_path / "latin1.txt"), "--encoding", "utf-8")
    assert result.exit_code == 1 and "--encoding" in result.stderr and "0xe9" in result.stderr
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
        (["--file", "-", "--text-column", "review"], "--text-column"),
        (["Good.", "--encoding", "cp1252"], "--encoding"),
    ],
)
def test_what_would_have_no_effect_is_refused(predict, arguments, message):
    result = predict(*arguments, text="Good.\n")
    assert result.exit_code == 2
    assert message in result.stderr
