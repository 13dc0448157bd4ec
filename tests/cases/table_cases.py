"""Tables: quotation marks, columns, separators, headers, encodings, and values of JSON."""

import gzip
import json as json_module

from cases.expecting import Case, near, refused, says
from cases.rows import FIVE, TWO, csv, folder, json, jsonl, lines, reviews, tsv

ROWS = reviews(40)
READ = {"total": {"texts": 40, "classes": dict.fromkeys(TWO, 20)}}
BY_LABEL = [(label, text) for text, label in ROWS]
# A quotation that opens in the third row and closes two rows later, an inch mark, a nickname.
SPEECH = list(ROWS)
for _place, _form in ((2, '"{}'), (4, '{}"'), (9, '12" {}'), (20, '"Pip" {}'), (30, '{} "')):
    SPEECH[_place] = (_form.format(ROWS[_place][0]), ROWS[_place][1])
MARKS = [(f'{text} They said "never again".', label) for text, label in ROWS]


def escaped(rows, delimiter, header=("text", "label")):
    """Returns quoted fields with a backslash before each quotation mark within them."""
    fields = [[str(field).replace('"', '\\"') for field in row] for row in [header, *rows]]
    return "".join(delimiter.join(f'"{field}"' for field in row) + "\n" for row in fields)


QUOTES = [
    Case("a quotation over rows of a TSV", {"x.tsv": tsv(SPEECH)}, READ, rows=SPEECH),
    Case(
        "the same with the text last, after an id",
        {"x.tab": tsv(((n, y, x) for n, (x, y) in enumerate(SPEECH)), ("id", "label", "text"))},
        READ,
        rows=SPEECH,
    ),
    Case(
        "an opening mark that never closes",
        {"x.tsv": tsv([('"So it began.', "bad"), *ROWS])},
        {"total": {"texts": 41}},
        rows=[('"So it began.', "bad"), *ROWS],
    ),
    Case(
        "marks as they are between bars",
        {"x.csv": tsv(SPEECH).replace("\t", "|")},
        READ,
        rows=SPEECH,
    ),
    Case(
        "a quotation over rows of a CSV",
        {
            "x.csv": "label,text\n"
            + "".join(f"{label},{text.replace(',', '')}\n" for text, label in SPEECH)
        },
        [READ, {"notes": says("line|quot")}, refused("line", "quot")],
    ),
    Case(
        "marks as they are, by an option",
        {"x.csv": tsv(SPEECH).replace("\t", ";")},
        READ,
        "--delimiter ; --quoting none",
        rows=SPEECH,
    ),
    Case("backslashes in a TSV", {"x.tsv": escaped(MARKS, "\t")}, READ, rows=MARKS),
    Case("backslashes in a CSV", {"x.csv": escaped(MARKS, ",")}, READ, rows=MARKS),
    Case(
        "backslashes before some marks, in fields of which some are quoted",
        {
            "x.csv": csv(
                [*ROWS[:30], *MARKS[30:]], doublequote=False, escapechar="\\", delimiter=";"
            )
        },
        READ,
        rows=[*ROWS[:30], *MARKS[30:]],
    ),
    Case(
        "backslashes, by an option",
        {"x.csv": escaped(MARKS, "|")},
        READ,
        "--delimiter | --quoting backslash",
        rows=MARKS,
    ),
    Case(
        "a line break in a quoted field of a TSV",
        {"x.tsv": escaped([(f"{text}\nTwice.", label) for text, label in ROWS], "\t")},
        READ,
        rows=[(f"{text}\nTwice.", label) for text, label in ROWS],
    ),
    Case(
        "doubled marks",
        {"x.csv": csv(MARKS, delimiter=";")},
        READ,
        rows=MARKS,
    ),
    Case(
        "single quotation marks around fields, as databases write them",
        {"x.csv": csv(ROWS, quotechar="'", quoting=1)},
        [READ, refused("text")],
    ),
    Case(
        "a quotation mark that ends no field",
        {"x.csv": csv(ROWS) + 'He said "no", and, "yes" again,bad\n'},
        refused("line 42"),
    ),
    Case("a quoting that does not exist", {"x.csv": csv(ROWS)}, refused("quoting", code=2),
         "--quoting single-ish"),
]  # fmt: skip

COLUMNS = [
    Case(
        "a label that is there twice",
        {"x.csv": csv([(*row, "yes") for row in ROWS], ("text", "label", "label"))},
        refused("label", "twice|two|2|times"),
    ),
    Case(
        "a text that is there twice",
        {"x.tsv": tsv([(*row, row[0]) for row in ROWS], ("text", "label", "text"))},
        refused("text", "twice|two|2|times"),
    ),
    Case(
        "a key that is in an object twice",
        {"x.jsonl": jsonl(ROWS) + '{"text": "One.", "text": "Other.", "label": "bad"}\n'},
        refused("line 41", "text"),
    ),
    Case(
        "another column that is there twice",
        {"x.csv": csv([(1, *row, 2) for row in ROWS], ("id", "text", "label", "id"))},
        READ,
        rows=ROWS,
    ),
    Case(
        "capitals",
        {"x.csv": csv(ROWS, ("Text", "LABEL"))},
        [READ, refused("--text-column Text", code=2)],
    ),
    Case(
        "names given in lower case",
        {"x.jsonl": jsonl(ROWS, ("Review Text", "Stars"))},
        [READ, refused("--text-column", "Review Text", code=2)],
        "--text-column 'review text' --label-column stars",
    ),
    Case(
        "the exact name comes before another in capitals",
        {"x.csv": csv([(f"N{n}", *row) for n, row in enumerate(ROWS)], ("Text", "text", "label"))},
        READ,
        rows=ROWS,
    ),
    Case(
        "a space after the comma",
        {"x.csv": "text, label\n" + "".join(f'"{text}", {label}\n' for text, label in ROWS)},
        READ,
        rows=ROWS,
    ),
    Case(
        "a space before a quoted field",
        {"x.csv": 'label; text\n' + "".join(f'{label}; "{text}; yes"\n' for text, label in ROWS)},
        [READ, refused("line 2|quot")],
    ),
    Case(
        "invisible characters in the header",
        {"x.tsv": tsv(ROWS, ("\u200btext\u00a0", "\ufefflabel "))},
        [READ, refused("--text-column", code=2)],
    ),
    Case(
        "a column that is not there",
        {"x.csv": csv(ROWS, ("opinion", "verdict"))},
        refused("--text-column", "opinion", "verdict", code=2),
    ),
    Case(
        "a column that is not there, with an option",
        {"x.csv": csv(ROWS, ("review", "stars"))},
        refused("--label-column", "'star'", "stars", code=2),
        "--text-column review --label-column star",
    ),
    Case(
        "a group that is not there",
        {"x.csv": csv(ROWS)},
        refused("--group-column", "author", code=2),
        "--group-column author",
    ),
    Case(
        "one column for both",
        {"x.csv": csv(ROWS)},
        refused("text", code=2),
        "--label-column text",
    ),
    Case(
        "columns by number",
        {"x.csv": csv([(n, *row) for n, row in enumerate(ROWS)], ("id", "what", "how"))},
        READ,
        "--text-column 2 --label-column 3",
        rows=ROWS,
    ),
    Case(
        "a column's number beyond the last",
        {"x.csv": csv(ROWS)},
        refused("3", "--label-column", code=2),
        "--label-column 3",
    ),
]  # fmt: skip


def read(*words):
    """Expects 40 rows, and a line that says how they were read."""
    return READ | {"read": says(*words)}


SEPARATORS = [
    Case("semicolons and a mark", {"x.csv": "\ufeff" + csv(ROWS, delimiter=";")},
         read("x.csv", "semicolon"), rows=ROWS),
    Case("bars", {"x.csv": csv(ROWS, delimiter="|")}, READ, rows=ROWS),
    Case("tabs in a file named CSV", {"x.csv": tsv(BY_LABEL, ("label", "text"))},
         read("tab"), rows=ROWS),
    Case("commas in a file named TSV", {"x.tsv": csv(BY_LABEL, ("label", "text"))},
         read("comma"), rows=ROWS),
    Case("a table in a file named text", {"x.txt": tsv(ROWS)}, READ, rows=ROWS),
    Case("semicolons, with more commas than columns",
         {"x.csv": csv([(f"{text} So, so, so.", label) for text, label in ROWS], delimiter=";")},
         READ),
    Case("a separator by option", {"x.csv": csv(ROWS, delimiter="~")}, READ, "--delimiter ~",
         rows=ROWS),
    Case("tab by its name", {"x.csv": tsv(ROWS)}, READ, "--delimiter tab", rows=ROWS),
    Case("the wrong separator", {"x.csv": csv(ROWS, delimiter=";")}, refused(code=2),
         "--delimiter |"),
    Case("no separator", {"x.csv": csv(ROWS)}, refused("delimiter", code=2), "--delimiter abc"),
    Case("the separator in a line above", {"x.csv": "sep=;\n" + csv(ROWS, delimiter=";")},
         [READ, refused("sep=|header")]),
    Case("a comma at the end of each row", {"x.csv": csv(ROWS).replace("bad\n", "bad,\n")
         .replace("good\n", "good,\n")}, READ, rows=ROWS),
    Case("empty columns on the right",
         {"x.csv": csv([(*row, "", "") for row in ROWS], ("text", "label", "", ""), delimiter=";")},
         READ, rows=ROWS),
    Case("empty rows at the end", {"x.csv": csv(ROWS) + ",\n,\n\n"}, READ, rows=ROWS),
    Case("a field too many", {"x.csv": csv(ROWS) + "Well, it was fine,good\n"},
         refused("line 42", "2", "3")),
]  # fmt: skip
NUMBERED = "--text-column 3 --label-column 1"
TRIPLES = [(label, "A title", text) for text, label in ROWS]
HEADERS = [
    Case("no header", {"x.csv": csv(TRIPLES, (), quoting=1)}, refused("header", code=2)),
    Case("no header, said so", {"x.csv": csv(TRIPLES, (), quoting=1)}, READ,
         f"--header none {NUMBERED}", rows=ROWS),
    Case("no header, columns by number", {"x.csv": csv(TRIPLES, (), quoting=1)},
         [READ, refused("--header none", code=2)], NUMBERED),
    Case("no header in tabs", {"x.txt": tsv(ROWS, ())}, [READ, refused("header")]),
    Case("no header in tabs, said so", {"x.tsv": tsv(ROWS, ())}, READ,
         "--header none --text-column 1 --label-column 2", rows=ROWS),
    Case("lines above the header", {"x.csv": "Reviews of the fair,\n,\n" + csv(ROWS)},
         [READ, refused("header", "3|--header")]),
    Case("lines above the header, said so", {"x.csv": "Reviews of the fair,\n,\n" + csv(ROWS)},
         READ, "--header 3", rows=ROWS),
    Case("remarks above the header", {"x.tsv": "# exported on Monday\n#\n" + tsv(ROWS)},
         [READ, refused("header")]),
    Case("a header's line beyond the end", {"x.csv": csv(ROWS)}, refused("99", code=2),
         "--header 99"),
    Case("only a header", {"x.csv": "text,label\n"}, refused("row", code=1)),
    Case("nothing", {"x.csv": ""}, refused("x.csv", code=1)),
    Case("nothing but white space", {"x.jsonl": "\n \n"}, refused("x.jsonl", code=1)),
]  # fmt: skip
DASHES = [(text.replace(",", " \u2013") + " Don\u2019t.", label) for text, label in ROWS]
CAFES = [(f"{text} Caf\u00e9.", label) for text, label in ROWS]
ENCODINGS = [
    Case("UTF-16 of a spreadsheet", {"x.tsv": tsv(CAFES).replace("\n", "\r\n").encode("utf-16")},
         read("utf-16"), rows=CAFES),
    Case("UTF-16, the other order", {"x.csv": b"\xfe\xff" + csv(CAFES).encode("utf-16-be")},
         read("utf-16"), rows=CAFES),
    Case("UTF-16 in JSON", {"x.jsonl": jsonl(CAFES).encode("utf-16")}, READ, rows=CAFES),
    Case("UTF-16 without its mark", {"x.csv": csv(CAFES).encode("utf-16-le")},
         [READ, refused("utf-16")]),
    Case("UTF-32", {"x.csv": csv(CAFES).encode("utf-32")}, [READ, refused("utf-32")]),
    Case("windows-1252", {"x.csv": csv(DASHES).encode("cp1252")},
         [read("1252"), refused("1252", code=1)]),
    Case("windows-1252, named", {"x.csv": csv(DASHES).encode("cp1252")}, read("1252"),
         "--encoding windows-1252", rows=DASHES),
    Case("windows-1252 in tabs", {"x.tab": tsv(DASHES).encode("cp1252")},
         [read("1252"), refused("1252", code=1)]),
    Case("latin-1", {"x.tsv": tsv(CAFES).encode("latin-1")},
         [READ | {"read": says("1252|latin")}, refused("0xe9", "1252|latin", code=1)]),
    Case("one wrong byte in UTF-8", {"x.csv": csv(CAFES).encode() + b"A \x9d mark.,bad\n"},
         refused("0x9d", "line 42|byte", code=1)),
    Case("no text", {"x.csv": bytes(range(256)) * 20}, refused("x.csv", code=1)),
    Case("NUL within text", {"x.csv": csv(ROWS) + "A\0B,bad\n"},
         [{"total": {"texts": 41}}, refused("nul|0x00|\\x00", code=1)]),
    Case("an unknown encoding", {"x.csv": csv(ROWS)}, refused("utf-99", "encoding", code=2),
         "--encoding utf-99"),
    Case("a mark at the start of JSON", {"x.jsonl": "\ufeff" + jsonl(CAFES)}, READ, rows=CAFES),
    Case("an encoding of which each byte is a letter", {"x.csv": csv(CAFES).encode("cp500")},
         [READ, refused("x.csv")]),
]  # fmt: skip
VALUES = [
    Case("texts cut into tokens",
         {"x.jsonl": jsonl([(text.split(), label) for text, label in ROWS])},
         [READ | {"longest": near(9, 3)}, refused("line 1", "list")]),
    Case("an object for a text",
         {"x.jsonl": jsonl(ROWS) + '{"text": {"en": "Hm."}, "label": "bad"}'},
         refused("line 41", "text")),
    Case("a list of lists", {"x.jsonl": jsonl(ROWS) + '{"text": [["Hm"], ["."]], "label": "bad"}'},
         refused("line 41", "text")),
    Case("a truth value for a text", {"x.json": json([*ROWS, (True, "bad")])}, refused("text")),
    Case("a list for a label", {"x.jsonl": jsonl(ROWS) + '{"text": "Hm.", "label": ["bad"]}'},
         [{"total": {"texts": 41}}, refused("line 41", "label")]),
    Case("an object for a label", {"x.jsonl": jsonl(ROWS) + '{"text": "Hm.", "label": {"a": 1}}'},
         refused("line 41", "label")),
    Case("half of a surrogate pair",
         {"x.jsonl": jsonl(ROWS) + '{"text": "\\ud83d", "label": "bad"}'},
         refused("line 41")),
    Case("a line that is no object", {"x.jsonl": jsonl(ROWS) + '["Hm.", "bad"]\n'},
         refused("line 41", "object")),
    Case("a line that is cut off", {"x.jsonl": jsonl(ROWS) + '{"text": "Hm.", "lab'},
         refused("line 41", code=1)),
    Case("brackets without end", {"x.jsonl": jsonl(ROWS) + "[" * 100_000},
         refused("line 41", code=1)),
    Case("an array in JSON Lines", {"x.jsonl": json(ROWS)}, [READ, refused("array")]),
    Case("an array over many lines", {"x.json": json(ROWS, indent=2)}, READ, rows=ROWS),
    Case("an array within an object", {"x.json": f'{{"data": {json(ROWS)}}}'},
         [READ, refused("x.json", "array|object|data")]),
    Case("an object of columns",
         {"x.json": json_module.dumps({"text": dict(enumerate(text for text, _ in ROWS)),
                                       "label": dict(enumerate(label for _, label in ROWS))})},
         [READ, refused("x.json", "array|object|text")]),
    Case("objects over several lines", {"x.jsonl": "".join(json_module.dumps(row, indent=1) + "\n"
         for row in json_module.loads(json(ROWS)))}, [READ, refused("x.jsonl", "line 1")]),
    Case("a long text", {"x.csv": csv([*ROWS, ("so " * 47_000, "bad")])},
         {"total": {"texts": 41}, "longest": 47_000, "notes": says("47,000|47000")}),
    Case("a long text in JSON", {"x.jsonl": jsonl([*ROWS, ("so " * 47_000, "bad")])},
         {"total": {"texts": 41}, "longest": 47_000}),
]  # fmt: skip
STARS = reviews(50, FIVE)
LABELLED = "__label__{label} {text}"
NUMBER_FIRST = "{label} {text}"
PARTS = (reviews(50, FIVE), reviews(10, FIVE, 50), reviews(15, FIVE, 60))


def parts(form):
    """Returns three text files of lines of that form."""
    return folder(lambda rows: lines(rows, form), ".txt", *PARTS)


THREE = {"class_names": list(FIVE), "splits": {"train": {"texts": 50}, "dev": {"texts": 10},
                                             "test": {"texts": 15}}}  # fmt: skip
ALL = sum(PARTS, [])
LAYOUTS = [
    Case("dev is named validation", folder(jsonl, ".jsonl", *PARTS, "validation"), THREE, rows=ALL),
    Case("dev is named valid", folder(csv, ".csv", *PARTS, "valid"), THREE, rows=ALL),
    Case("dev is named val", folder(tsv, ".tab", *PARTS, "val"), THREE, rows=ALL),
    Case("dev under two names", folder(csv, ".csv", *PARTS) | {"val.csv": csv(PARTS[1])},
         refused("dev.csv", "val.csv")),
    Case("dev is missing", {"train.csv": csv(PARTS[0]), "test.csv": csv(PARTS[2])},
         [refused("dev", code=2), {"notes": says("dev")}]),
    Case("each split in another format",
         {"train.csv": csv(PARTS[0]), "dev.tsv": tsv(PARTS[1]), "test.jsonl": jsonl(PARTS[2])},
         [THREE, refused("dev")]),
    Case("label first", parts("__label__{label}\t{text}"), THREE, rows=ALL),
    Case("label first, and a space", {"x.txt": lines(STARS, LABELLED)},
         {"class_names": list(FIVE), "total": {"texts": 50}}, rows=STARS),
    Case("several labels in a line", {"x.txt": lines(STARS, "__label__0 " + LABELLED)},
         refused("line 1", "label")),
    Case("a number first", parts(NUMBER_FIRST), THREE, rows=ALL),
    Case("a number first, in one file", {"x.txt": lines(reviews(40, ("0", "1")), NUMBER_FIRST)},
         {"class_names": ["0", "1"], "total": {"texts": 40}}, rows=reviews(40, ("0", "1"))),
    Case("a number and a tab first", parts("{label}\t{text}"),
         [THREE, refused("header|train.txt")]),
    Case("texts only", {"x.txt": lines(ROWS, "{text}")}, refused("x.txt", "label")),
    Case("a folder per class", {f"{y}/{n}.txt": text for n, (text, y) in enumerate(ROWS)}, READ,
         rows=ROWS),
    Case("a folder per class in each split",
         {f"{name}/{y}/{n}_7.txt": text for name, part in zip(("train", "valid", "test"), PARTS,
          strict=True) for n, (text, y) in enumerate(part)}, THREE, rows=ALL),
    Case("other names of train and test",
         {"Training.csv": csv(PARTS[0]), "devel.csv": csv(PARTS[1]), "testing.csv": csv(PARTS[2])},
         [THREE, refused("train")]),
    Case("packed", {"x.csv.gz": gzip.compress(csv(ROWS).encode())}, READ, rows=ROWS),
    Case("packed JSON in a folder",
         folder(lambda rows: gzip.compress(jsonl(rows).encode()), ".jsonl.gz", *PARTS), THREE),
    Case("packed, and cut off", {"x.tsv.gz": gzip.compress(tsv(ROWS).encode())[:-20]},
         refused("x.tsv.gz", code=1)),
    Case("packed by name only", {"x.csv.gz": csv(ROWS)}, [READ, refused("x.csv.gz")]),
    Case("an ending in capitals", {"X.CSV": csv(ROWS)}, READ, rows=ROWS),
    Case("other endings of JSON", {"x.ndjson": jsonl(ROWS)}, READ, rows=ROWS),
    Case("a spreadsheet", {"x.xlsx": b"PK\x03\x04" + bytes(100)}, refused("x.xlsx", "csv")),
    Case("a columnar file", {"x.parquet": b"PAR1" + bytes(100)}, refused("x.parquet", "parquet")),
    Case("line breaks of an old system", {"x.csv": csv(ROWS, lineterminator="\r")}, READ,
         rows=ROWS),
    Case("line breaks of two systems",
         {"x.csv": csv(ROWS[:20]) + csv(ROWS[20:], (), lineterminator="\r\n")}, READ, rows=ROWS),
    Case("line breaks of Unicode within texts",
         {"x.csv": csv([(f"{text}\u2028Yes.\x85No.\x0cOh.", y) for text, y in ROWS])}, READ),
]  # fmt: skip

CASES = QUOTES + COLUMNS + SEPARATORS + HEADERS + ENCODINGS + VALUES + LAYOUTS
