"""Any table that a program writes comes back row by row, and the format does not matter."""

import csv
import io
import json

import pandas as pd
import pytest
from cases.rows import FIVE, objects, reviews
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sst_keras.corpora import load_corpus
from sst_keras.errors import InputError
from sst_keras.settings import DataConfig
from sst_keras.tables.reading import open_table, rows_of

pytestmark = pytest.mark.slow

DELIMITERS = (",", "\t", ";", "|")
NAMES = {",": ",", "\t": "tab", ";": ";", "|": "|"}
QUOTED = {"all": csv.QUOTE_ALL, "text": csv.QUOTE_NONNUMERIC, "minimal": csv.QUOTE_MINIMAL}
BREAKS = ("\n", "\r\n")
# What readers trip over, between words. A text has at least one word.
_SIGNS = (
    *",;|\t\"'#=~<>&", '""', '", "', "\n", "\r\n", "\n\n", "  ", "\u00a0", "\u2028", "\x85", "\x0c",
    "é", "e\u0301", "日本", "\U0001f621", "\u2764\ufe0f", "text", "label", "1", "''",
)  # fmt: skip
_PIECES = st.one_of(st.sampled_from(_SIGNS), st.text("abcXYZ .!?-", min_size=1, max_size=6))


def texts(*without):
    """Returns a strategy for texts, with leading spaces and all, without some strings."""
    return (
        st.tuples(st.lists(_PIECES, max_size=6), st.lists(_PIECES, max_size=6))
        .map(lambda parts: f"{''.join(parts[0])}word{''.join(parts[1])}")
        .filter(lambda text: not any(each in text for each in without))
    )


def rows(text=None, most=8):
    """Returns a strategy for rows: a text and a label."""
    labels = st.sampled_from(("bad", "good", "so-so"))
    text = texts() if text is None else text
    return st.lists(st.tuples(text, labels), min_size=1, max_size=most)


# The same tables each time. A test writes the same file again, so one folder is enough.
properties = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def written(rows, header=("text", "label"), **dialect):
    """Returns a table as `csv.writer` writes it."""
    file = io.StringIO()
    csv.writer(file, **dialect).writerows([header, *rows])
    return file.getvalue()


def read(path, content, **options):
    """Writes a file, and returns its rows as the package reads them."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    found = block(path, **options)
    labels = [
        label.strip() for label in found.labels
    ]  # white space around a label is no part of it
    return list(zip(found.texts, labels, strict=True))


def block(path, **options):
    """Returns the rows of a file in columns."""
    data = DataConfig(dataset=str(path), markup="keep", **options)
    return rows_of(open_table(path, data).blocks())


# === Python's csv ===


@pytest.mark.parametrize("delimiter", DELIMITERS, ids=("comma", "tab", "semicolon", "bar"))
@pytest.mark.parametrize("quoting", QUOTED)
@properties
@given(rows=rows(), end=st.sampled_from(BREAKS))
@example(rows=[('"a" is a word', "bad")], end="\n")
@example(rows=[('word, "a"', "bad"), (' "word', "good")], end="\n")
@example(rows=[("word\nword", "bad"), ('a "word\n', "good")], end="\r\n")
def test_common_dialects_are_found(tmp_path, delimiter, quoting, rows, end):
    content = written(rows, delimiter=delimiter, quoting=QUOTED[quoting], lineterminator=end)
    assert read(tmp_path / "x.csv", content) == rows


@properties
@given(rows=rows(texts("\n", "\r")), delimiter=st.sampled_from(DELIMITERS))
def test_line_breaks_of_an_old_system(tmp_path, rows, delimiter):
    content = written(rows, delimiter=delimiter, lineterminator="\r")
    assert read(tmp_path / "x.csv", content) == rows


@pytest.mark.parametrize("delimiter", DELIMITERS, ids=("comma", "tab", "semicolon", "bar"))
@properties
@given(rows=rows(st.one_of(texts(), texts().map("\\{}\\n\\\\".format))), quote_all=st.booleans())
def test_quoting_by_option(tmp_path, delimiter, rows, quote_all):
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    form = {"delimiter": delimiter, "quoting": quoting}
    options = {"delimiter": NAMES[delimiter], "quoting": "double"}
    assert read(tmp_path / "x.csv", written(rows, **form), **options) == rows
    content = written(rows, **form, doublequote=False, escapechar="\\")
    assert read(tmp_path / "x.csv", content, **options | {"quoting": "backslash"}) == rows


@properties
@given(rows=rows(texts("\n", "\r")))
def test_escapes_without_quotes(tmp_path, rows):
    content = written(rows, quoting=csv.QUOTE_NONE, escapechar="\\")
    assert read(tmp_path / "x.csv", content, delimiter=",", quoting="backslash") == rows


@properties
@given(rows=rows(texts("\n", "\r", "\t")), ending=st.sampled_from(("csv", "tsv", "tab", "txt")))
def test_tabs_without_quoting(tmp_path, rows, ending):
    content = "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows])
    options = {"delimiter": "tab", "quoting": "none"}
    assert read(tmp_path / f"x.{ending}", content, **options) == rows


@properties
@given(rows=rows(), delimiter=st.sampled_from(DELIMITERS))
def test_single_quotation_marks_are_read_or_refused(tmp_path, rows, delimiter):
    content = written(rows, delimiter=delimiter, quotechar="'", quoting=csv.QUOTE_ALL)
    try:
        found = read(tmp_path / "x.csv", content)
    except InputError:
        return
    assert found == rows


@properties
@given(rows=rows(texts("\n", "\r", '"')))
def test_a_space_after_the_separator(tmp_path, rows):
    content = "text, label\n" + "".join(f'"{text}", {label}\n' for text, label in rows)
    assert read(tmp_path / "x.csv", content) == rows


@properties
@given(rows=rows(), end=st.sampled_from(BREAKS))
def test_the_line_where_a_row_starts(tmp_path, rows, end):
    path = tmp_path / "x.csv"
    path.write_bytes(written(rows, quoting=csv.QUOTE_ALL, lineterminator=end).encode())
    starts = [2]
    for text, _ in rows:
        # A line ends as an editor counts: at a line feed.
        starts.append(starts[-1] + text.count("\n") + 1)
    assert block(path).lines == starts[:-1]


# === Other programs ===


@properties
@given(rows=rows(), separator=st.sampled_from(DELIMITERS), index=st.booleans())
def test_tables_of_pandas(tmp_path, rows, separator, index):
    frame = pd.DataFrame(rows, columns=["text", "label"])
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        content = frame.to_csv(sep=separator, index=index).encode(encoding)
        assert read(tmp_path / "x.csv", content) == rows


@properties
@given(rows=rows(), ascii_only=st.booleans(), indent=st.sampled_from((0, 2)))
def test_json_of_pandas(tmp_path, rows, ascii_only, indent):
    frame = pd.DataFrame(rows, columns=["text", "label"])
    form = {"orient": "records", "force_ascii": ascii_only}
    assert read(tmp_path / "x.jsonl", frame.to_json(lines=True, **form)) == rows
    assert read(tmp_path / "x.json", frame.to_json(indent=indent, **form)) == rows


@properties
@given(rows=rows(), ascii_only=st.booleans())
def test_json_of_python(tmp_path, rows, ascii_only):
    found = objects(rows)
    lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in found)
    assert read(tmp_path / "x.jsonl", lines) == rows
    assert read(tmp_path / "x.json", json.dumps(found, ensure_ascii=ascii_only, indent=1)) == rows


@properties
@given(rows=rows(), empty=st.integers(0, 3))
def test_exports_of_spreadsheets(tmp_path, rows, empty):
    wide = [(*row, *[""] * empty) for row in rows]
    header = ("text", "label", *[""] * empty)
    form = {"lineterminator": "\r\n"}
    semicolons = written(wide, header, delimiter=";", **form)
    assert read(tmp_path / "x.csv", "\ufeff" + semicolons) == rows
    tabs = written(wide, header, delimiter="\t", **form)
    assert read(tmp_path / "x.txt", tabs.encode("utf-16")) == rows
    everything = written(wide, header, quoting=csv.QUOTE_ALL, **form)
    assert read(tmp_path / "x.csv", everything) == rows


# === The same data set ===

SPELLINGS = ("{}", "{}.0", "+{}", "0{}", " {} ", "{}\u200b")


def decimal(spelled):
    """Returns a label as a JSON number if it is one, else as it is."""
    try:
        return json.loads(spelled)
    except ValueError:
        return spelled


@settings(properties, max_examples=12)
@given(forms=st.lists(st.sampled_from(SPELLINGS), min_size=60, max_size=60))
def test_formats_and_spellings_give_the_same_data_set(tmp_path, forms):
    plain = reviews(60, FIVE)
    spelled = [(text, form.format(y)) for (text, y), form in zip(plain, forms, strict=True)]
    names = ("text", "label")
    contents = {
        "plain.csv": written(plain),
        "x.csv": written(spelled),
        "x.tsv": written(spelled, delimiter="\t"),
        "x.jsonl": "".join(
            json.dumps({"text": text, "label": decimal(y)}) + "\n" for text, y in spelled
        ),
        "x.json": json.dumps(objects(spelled, names)),
        "semicolons.csv": "\ufeff" + written(spelled, delimiter=";", quoting=csv.QUOTE_ALL),
    }
    prints = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content.encode("utf-8"))
        prints[name] = load_corpus(DataConfig(dataset=str(tmp_path / name))).fingerprint()
    assert set(prints.values()) == {prints["plain.csv"]}, prints
