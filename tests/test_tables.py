"""Tables of texts and labels, read as data sets."""

import csv
import json

import pytest

from sst_keras.corpora import load_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig
from sst_keras.tables import columns, formats
from sst_keras.tables.reading import open_table, rows_of


def load(dataset, data_dir=None, **settings):
    return load_corpus(DataConfig(dataset=str(dataset), **settings), data_dir)


def texts(split):
    return [b" ".join(row).decode() for row in split.tokens.to_list()]


def write_csv(path, rows, header="text,label"):
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def test_a_folder_of_tables(tmp_path):
    for name, label in (("train", "good"), ("dev", "bad"), ("test", "good")):
        write_csv(tmp_path / f"{name}.csv", [f'"It\'s {name}, yes.",{label}', "x,bad"])
    corpus = load(tmp_path)
    assert corpus.class_names == ("bad", "good")
    assert texts(corpus.train) == ["It 's train , yes .", "x"]
    assert corpus.train.labels.tolist() == [1, 0]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_columns_by_name(tmp_path, ending):
    rows = [(f"text {number}", number % 3) for number in range(30)]
    if ending == "jsonl":
        lines = [json.dumps({"review": text, "stars": stars}) for text, stars in rows]
    else:
        comma = "\t" if ending == "tsv" else ","
        lines = [f"review{comma}stars", *(f"{text}{comma}{stars}" for text, stars in rows)]
    path = tmp_path / f"x.{ending}"
    path.write_text("\n".join(lines) + "\n")
    corpus = load(path, text_column="review", label_column="stars")
    assert corpus.class_names == ("0", "1", "2")
    assert len(corpus.train) + len(corpus.dev) + len(corpus.test) == 30


def test_one_file_is_split_by_seed_each_class_alike(tmp_path):
    rows = [f"text number {number},{'ab'[number % 4 == 0]}" for number in range(200)]
    path = write_csv(tmp_path / "x.csv", rows)
    corpus = load(path)
    sizes = {"train": 160, "dev": 20, "test": 20}
    for name, size in sizes.items():
        labels = corpus.split(name).labels
        assert len(labels) == size and (labels == 1).sum() == size / 4
    assert texts(load(path).test) == texts(corpus.test)
    assert texts(load(path, split_seed=2).test) != texts(corpus.test)
    everything = [text for name in sizes for text in texts(corpus.split(name))]
    assert len(set(everything)) == 200


def test_equal_texts_stay_in_one_split(tmp_path):
    rows = [f"text {number // 5},{number // 5 % 2}" for number in range(200)]
    corpus = load(write_csv(tmp_path / "x.csv", rows))
    groups = [set(texts(corpus.split(name))) for name in ("train", "dev", "test")]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 40
    assert corpus.findings.repeats == 160


def test_the_order_of_the_classes(tmp_path):
    path = write_csv(tmp_path / "x.csv", [f"t{i},{[2, 10, 1][i % 3]}" for i in range(60)])
    assert load(path).class_names == ("1", "2", "10")
    assert load(path, labels=("10", "2", "1")).class_names == ("10", "2", "1")
    with pytest.raises(InputError, match=r"20 rows have other labels: '10' \(20\) .*line 3, 6"):
        load(path, labels=("1", "2"))


def test_blank_texts_are_kept_and_counted(tmp_path):
    rows = [f"{'' if number < 2 else f't{number}'},{number % 2}" for number in range(60)]
    corpus = load(write_csv(tmp_path / "x.csv", rows))
    everything = [t for name in ("train", "dev", "test") for t in texts(corpus.split(name))]
    assert everything.count("<unk>") == 2
    assert any("2 texts are blank" in note for note in corpus.notes)


def test_a_byte_order_mark_and_line_breaks_within_quotes(tmp_path):
    path = tmp_path / "x.csv"
    rows = "".join(f'"one\r\nline {number}",{number % 2}\r\n' for number in range(40))
    path.write_bytes(f"\ufefftext,label\r\n{rows}".encode())
    assert "one line 3" in {t for n in ("train", "dev", "test") for t in texts(load(path).split(n))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"text,label\n", "no rows"),
        (b"opinion,label\na,1\n", r"data.text_column: .*'text'.*opinion, label"),
        (b"text,grade\na,1\n", "data.label_column: .*'label'.*text, grade"),
        (b"text,stars,score\na,1,2\n", "data.label_column: .*Several.*stars, score"),
        (b"text,label\na,\nb,nan\n", r"No row has a label \(.*x.csv, line 2, 3\)"),
        (b"text,label\na,b,c\n", "line 2: expected 2 fields.*Received 3"),
        (b'text,label\n"a, b"c,1\n"d, e",1\n', "line 2: expected 2 fields"),
        (b"text,label\n" + b'"a, b",1\n' * 40_000 + b'"c"d,2\n', "data.quoting: .*line 40002"),
        (b"text,label\na,1\nb,1\n", "2 to 20 classes"),
        (b"PK\x03\x04rest", "an Excel workbook"),
        (b"text,label\n\xff\x00\xfe,1\n", "no other common encoding"),
    ],
)
def test_wrong_tables(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ('{"label": "a"}', "expected 'text'"),
        ('{"text": "\\ud800", "label": 2}', "UTF-8"),
        ('{"text": {"a": 1}, "label": 2}', "a string or a list of strings"),
        ('{"text": "a", "label": ["1", "2"]}', "one label"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_wrong_json_lines(tmp_path, line, message):
    (tmp_path / "x.jsonl").write_text(f'{{"text": "a", "label": 1}}\n{line}\n')
    with pytest.raises(InputError, match=f"line 2: .*{message}"):
        load(tmp_path / "x.jsonl")


def test_numbers_that_are_not_finite_are_missing(tmp_path):
    row = '{"text": %s, "label": %s, "more": [%s]}'
    numbers = ("NaN", "Infinity", "-Infinity", "1e999")
    lines = [row % ('"a"', 1, 1.5), *(row % (number, number, number) for number in numbers)]
    for name, content in (("x.jsonl", "\n".join(lines)), ("x.json", f"[{', '.join(lines)}]")):
        (tmp_path / name).write_text(content)
        found = rows_of(open_table(tmp_path / name, DataConfig()).blocks())
        assert found.texts == ["a", "", "", "", ""]
        assert found.labels == ["1", "", "", "", ""]
        assert found.rows == [["a", 1, [1.5]], *[[None, None, [None]]] * 4]


def test_too_few_rows_and_too_many_classes(tmp_path):
    with pytest.raises(InputError, match="4 rows are too few"):
        load(write_csv(tmp_path / "x.csv", ["a,1", "b,2", "c,1", "d,2"]))
    with pytest.raises(InputError, match="Received 30"):
        load(write_csv(tmp_path / "y.csv", [f"t{i},{i}" for i in range(30)]))


def test_complete_texts_have_no_phrases(tmp_path):
    path = write_csv(tmp_path / "x.csv", [f"t{i},{i % 2}" for i in range(40)])
    with pytest.raises(UsageError, match="only trees have"):
        load(path, examples="phrases").training_split("phrases")


def test_a_line_of_separators(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"," * 20_000 + b"\ntext,label\na,1\n")
    with pytest.raises(UsageError, match="Line 1 has 20001 fields"):
        open_table(tmp_path / "a.csv", DataConfig())
    long = ", ".join(["word"] * 20_000)
    (tmp_path / "b.tsv").write_text(f"text\tlabel\n{long}\t1\n", "utf-8")
    (block,) = open_table(tmp_path / "b.tsv", DataConfig()).blocks()
    assert block.texts == [long] and block.labels == ["1"]


GOOD = [f'{number},"good, ""film"" {"x" * 1000}"' for number in range(300)]  # more than a sample


def with_problems(block):
    pairs = zip(block.lines, block.problems, strict=True)
    return [line for line, problem in pairs if problem]


@pytest.mark.parametrize(
    ("bad", "lines"),
    [
        (['7,"a "bad" row"'], 1),
        (['7,"a "bad" row"', '8,"and "another", one"'], 2),
        (['7,"never closed'], 1),  # until the next quotation mark
        (['7,"never closed', "and without a number"], 2),
    ],
)
@pytest.mark.parametrize("place", [290, 300])
def test_a_wrong_quotation_mark_is_the_problem_of_its_row(tmp_path, bad, lines, place):
    rows = [*GOOD[:place], *bad, *GOOD[place:]]
    path = write_csv(tmp_path / "x.csv", rows, "id,text")
    table = open_table(path, DataConfig(), with_label=False, lenient=True)
    found = rows_of(table.blocks(64))
    wrong = range(place + 2, place + 2 + lines)
    if bad[-1].startswith("and"):  # a row of one field, as if its text was missing
        wrong = wrong[:-1]
        assert found.rows[place + 1] == ["and without a number", ""]
    assert found.lines == list(range(2, len(rows) + 2))
    assert found.rows[place] == bad[0].split(",", 1)  # nothing of it is lost
    assert with_problems(found) == list(wrong)
    assert "the quotation marks are wrong" in found.problems[place]
    assert f"Received: {bad[0]!r}" in found.problems[place]
    pairs = zip(found.texts, found.problems, strict=True)
    right = [text for text, problem in pairs if text and not problem]
    assert right == [f'good, "film" {"x" * 1000}'] * 300
    strict = open_table(path, DataConfig(), with_label=False)
    with pytest.raises(InputError, match=f"line {place + 2}: the quotation marks are wrong"):
        rows_of(strict.blocks())


TWO_LINES = ['"line one, ok\nline two",1'] * 50
BROKEN = ['"a "bad" start\nand its second line",1']
ONE_COLUMN = [f'"line one\nline two {number}"' for number in range(50)]
PLAIN = [f"{number},a plain row of text number {number}" for number in range(12_000)]
QUOTED = [f'{number},"good, but long"' for number in range(1000)]
ESCAPED = [f'{number},"he said \\"x\\", and"' for number in range(500)]
LATE = [f'7,"so" bad {"x" * 300_000}']  # beyond the first lines


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("text,label", [*TWO_LINES, *BROKEN, *TWO_LINES], ("double", 102, 1)),
        ("text", [*ONE_COLUMN, '"a "bad" one"', *ONE_COLUMN], ("double", 101, 1)),
        ("text", ["a text"] * 50 + ['"Stray', "and others", 'end"'], ("none", 53, 0)),
        ("id,text", [*PLAIN, *QUOTED, *LATE, *QUOTED], ("double", 14_001, 1)),
        ("id,text", [*QUOTED * 10, *ESCAPED, *LATE], ("backslash", 10_501, 1)),
    ],
    ids=["a label", "one column", "strays", "quotes come late", "escapes come late"],
)
def test_a_wrong_quotation_mark_does_not_change_how_others_are_read(
    tmp_path, header, rows, expected
):
    path = write_csv(tmp_path / "x.csv", rows, header)
    table = open_table(path, DataConfig(), with_label=False, lenient=True)
    found = rows_of(table.blocks())
    assert (table.format.quoting, len(found.rows), len(with_problems(found))) == expected


def one_column(path, texts, header="text", **form):
    """Writes texts as a CSV file of one column, and reads it leniently and strictly."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **form).writerows([each] for each in ([header] if header else []) + texts)
    data = DataConfig() if header else DataConfig(header="none")
    tables = [open_table(path, data, with_label=False, lenient=each) for each in (True, False)]
    return [(rows_of(table.blocks()).texts, table.notes()) for table in tables]


SHORT = [f"a short text, the number is {number}" for number in range(9000)]  # more than a sample
PAIR = "It starts well.\nThen it gets boring."


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["good", "one\ntwo", "x"], {"quoting": csv.QUOTE_ALL}),
        (["good", "one\n", "x"], {"quoting": csv.QUOTE_ALL, "header": ""}),
        ([*SHORT, *[PAIR] * 5], {"quoting": csv.QUOTE_ALL}),
        ([*SHORT, *[PAIR] * 5], {"delimiter": ";"}),
        ([each.replace(",", "") for each in SHORT] + [PAIR] * 5, {}),
        (['a "word"', *(each.replace(",", "") for each in SHORT), *[f"So, {PAIR}"] * 5], {}),
    ],
    ids=["all quoted", "no header", "late, all quoted", "late", "late, no commas", "late commas"],
)
def test_texts_of_several_lines_in_one_column(tmp_path, texts, form):
    assert one_column(tmp_path / "x.csv", texts, **form) == [(texts, [])] * 2


DIALOGUE = ['"I came home.', "It was late.", 'Nobody was there."', "He paused."]


@pytest.mark.parametrize(
    ("lines", "opened"),
    [
        (["good", *DIALOGUE], "1 row began"),
        # So many quotations end with a line, but a program would have quoted other lines, too.
        ([*DIALOGUE, 'She said "no".'] * 9, "9 rows began"),
        ([*DIALOGUE, '"Why?" she said.'] * 9, "9 rows began"),
        ([each.replace(",", "") for each in SHORT] + ["Good, but long"], ""),
    ],
    ids=["one", "marks within lines", "marks at the start", "late commas"],
)
def test_lines_of_one_column_with_stray_quotation_marks(tmp_path, lines, opened):
    path = write_csv(tmp_path / "x.csv", lines, "text")
    for lenient in (True, False):
        table = open_table(path, DataConfig(), with_label=False, lenient=lenient)
        assert rows_of(table.blocks()).texts == lines
        notes = table.notes()
        assert len(notes) == bool(opened)
        assert all(f"x.csv: {opened}" in each and "data.quoting=double" in each for each in notes)


@pytest.mark.parametrize("header", ["0", "-1", "x", "²", "", "9" * 5000])
def test_the_line_of_the_header_is_a_number_of_a_line(tmp_path, header):
    path = write_csv(tmp_path / "x.csv", ["a film,1", "a play,2"])
    with pytest.raises(UsageError, match="expected auto, none or the number of a line") as raised:
        open_table(path, DataConfig(header=header))
    assert raised.value.setting == "data.header"
    assert len(str(raised.value)) < 200


def test_wrong_quotation_marks_cost_few_lines(monkeypatch):
    monkeypatch.setattr(formats, "_LONGEST_ROW", 400)
    lines = ['x",b,"y\n'] * 1200  # opens a field, as the first line of a row or a later one
    form = formats.Format("table", None, ",", "double")
    found = list(formats.split_lines(lines, form, lenient=True))
    assert [line for line, _ in found] == list(range(1, 1201))
    assert "no end within 400 lines" in str(found[0][1])
    assert "no end within 100 lines" in str(found[1][1])


def test_a_quotation_mark_that_is_never_closed_takes_a_bounded_number_of_lines(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(formats, "_LONGEST_ROW", 4)
    tail = ['300,"never closed', *(f"{number},plain {number}" for number in range(301, 400))]
    path = write_csv(tmp_path / "x.csv", [*GOOD, *tail], "id,text")
    found = rows_of(open_table(path, DataConfig(), with_label=False, lenient=True).blocks())
    assert found.lines == list(range(2, 402))
    assert with_problems(found) == [302]
    assert "no end within 4 lines" in found.problems[300]
    assert found.texts[301:] == [f"plain {number}" for number in range(301, 400)]


def test_a_long_cell_is_no_name_of_a_column(tmp_path, monkeypatch):
    cleaned, shown = [], columns.shown
    monkeypatch.setattr(columns, "shown", lambda name: cleaned.append(name) or shown(name))
    path = tmp_path / "a.csv"
    path.write_text(f"other,text\n{'x' * 5000},not bad\ny,fine film\n", "utf-8")
    table = open_table(path, DataConfig(), with_label=False)
    assert rows_of(table.blocks()).texts == ["not bad", "fine film"]
    assert cleaned and max(map(len, cleaned)) < 1001
