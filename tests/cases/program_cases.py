"""Tables and folders as programs write them: R, pandas, NumPy, database clients, fastText."""

import gzip
import json as json_module

from cases.expecting import Case, refused, says
from cases.rows import FIVE, TWO, csv, folder, lines, objects, reviews, tsv

ROWS = reviews(40)
READ = {"total": {"texts": 40, "classes": dict.fromkeys(TWO, 20)}}
PARTS = (ROWS, reviews(10, start=60), reviews(10, start=80))
ALL = [row for part in PARTS for row in part]
NUMBERED = [(number, *row) for number, row in enumerate(ROWS, start=1)]

QUOTED = [
    Case("quotes around the texts only, by numbers, without a header",
         {"x.csv": csv(ROWS, ())}, READ, "--text-column 1 --label-column 2", rows=ROWS),
    Case("quotes around the texts only, after a number, without a header",
         {"x.csv": csv(NUMBERED, ())}, READ, "--text-column 2 --label-column 3", rows=ROWS),
    Case("a header that is wider than its rows by as much as the texts have delimiters",
         {"x.csv": csv(ROWS, ("text", "label", "note"))}, READ | {"notes": says("fewer fields")},
         rows=ROWS),
    Case("a first row whose label comes once, without a header",
         {"x.csv": csv([(ROWS[0][0], "so so"), *ROWS[1:]], ())},
         {"total": {"texts": 40}}, "--text-column 1 --label-column 2",
         rows=[(ROWS[0][0], "so so"), *ROWS[1:]]),
]  # fmt: skip

COLUMNS = [
    Case("decimal commas between semicolons, from a European spreadsheet",
         {"x.csv": "\ufeff" + csv(((n, text, f"{1 + n % 5},0") for n, text, _ in NUMBERED),
                                  ("Nr", "Review text", "Rating"), delimiter=";")},
         {"class_names": list(FIVE), "total": {"texts": 40}}),
    Case("names of several words", {"x.csv": csv(ROWS, ("Review Text", "Star-Rating"))}, READ,
         rows=ROWS),
    Case("columns that pandas numbered", {"x.csv": csv(ROWS, (0, 1))}, READ,
         "--text-column 0 --label-column 1", rows=ROWS),
    Case("row numbers of R, which have no name",
         {"x.csv": "text,label\n" + csv(NUMBERED, ())}, READ, rows=ROWS),
    Case("a number, a label and a text between tabs, without a header",
         {"x.txt": tsv(((1000 + n, y, x) for n, x, y in NUMBERED), ())}, READ,
         "--text-column 3 --label-column 2", rows=ROWS),
    Case("the same without options", {"x.txt": tsv(((n, y, x) for n, x, y in NUMBERED), ())},
         refused("3 fields", "--text-column")),
    Case("tables one after the other", {"x.csv": csv(ROWS[:20]) + csv(ROWS[20:])},
         READ | {"notes": says("repeated the header", "22")}, rows=ROWS),
    Case("carets", {"x.csv": csv(ROWS, delimiter="^")}, refused("delimiter")),
    Case("a test file without labels",
         {"train.csv": csv(ROWS), "test.csv": csv([[x] for x, _ in PARTS[2]], ["text"])},
         refused("test.csv", "no labels")),
]  # fmt: skip

NOTATION = [
    Case("texts as lists of Python",
         {"x.csv": csv((str(x.split()), y) for x, y in ROWS)},
         READ | {"notes": says("python", "40 rows")}, rows=ROWS),
    Case("texts as lists of NumPy",
         {"x.tsv": tsv(("[" + " ".join(map(repr, x.split())) + "]", y) for x, y in ROWS)},
         READ, rows=ROWS),
    Case("texts as bytes of Python", {"x.csv": csv((str(x.encode()), y) for x, y in ROWS)},
         READ | {"notes": says("python", "40 rows")}, rows=ROWS),
    Case("labels as lists of one", {"x.csv": csv((x, f"['{y}']") for x, y in ROWS)},
         READ | {"notes": says("list", "40 rows")}, rows=ROWS),
    Case("numbers as lists of one",
         {"x.csv": csv((x, f"[{y}]") for x, y in reviews(40, FIVE))},
         {"class_names": list(FIVE), "ordered": True}),
    Case("labels as lists of several", {"x.csv": csv((x, "[1, 0]") for x, _ in ROWS)},
         refused("line 2", "one label")),
    Case("objects over several lines each",
         {"x.json": "\n".join(json_module.dumps(row, indent=1) for row in objects(ROWS))},
         READ, rows=ROWS),
    Case("objects with commas between",
         {"x.jsonl": ",\n".join(map(json_module.dumps, objects(ROWS)))}, READ, rows=ROWS),
    Case("one object with a column per key",
         {"x.json": json_module.dumps({"text": {str(n): x for n, x, _ in NUMBERED}})},
         refused("one object", "records")),
    Case("one object with a row per key",
         {"x.json": json_module.dumps({str(n): {"text": x} for n, x, _ in NUMBERED})},
         refused("one object", "records")),
    Case("one object around all rows",
         {"x.json": json_module.dumps({"data": objects(ROWS)}, indent=2)},
         refused("one object", "data")),
]  # fmt: skip

FOLDERS = [
    Case("texts in brackets", {"x.txt": tsv((f"({x})", y) for x, y in ROWS)}, READ,
         rows=[(f"({x})", y) for x, y in ROWS]),
    Case("fastText's names", {f"x.{name}": lines(part, "__label__{label} , {text}")
         for name, part in zip(("train", "valid", "test"), PARTS, strict=True)},
         {"total": {"texts": 60}}, rows=ALL),
    Case("fastText's labels before a comma and quotes",
         {"x.txt": lines(ROWS, '__label__{label},"{text}"')},
         {"class_names": ["__label__bad", "__label__good"]}),
    Case("names with numbers and set", folder(csv, ".csv", *PARTS, dev_name="DevSet2"),
         {"total": {"texts": 60}}, rows=ALL),
    Case("a table that is no split", {"train.csv": csv(ROWS), "held_out.csv": csv(PARTS[1])},
         READ | {"notes": says("held_out.csv", "passed over")}, rows=ROWS),
    Case("texts in windows-1252, with tags, packed, and others, in a folder per class",
         {**{f"{y}/{n}.txt": x for n, x, y in NUMBERED[:37]},
          "good/38.TXT": f"{ROWS[37][0]} D\xe9j\xe0 vu.".encode("cp1252"),
          "bad/39.txt": f"{ROWS[38][0]}<br />Really.",
          "good/40.txt.gz": gzip.compress(ROWS[39][0].encode()),
          "good/more/41.txt": "Deeper.", "bad/42.md": "Another."},
         [READ | {"notes": check} for check in [
             lambda notes: says("passed over", "42.md", "more")(notes)
             and says("windows-1252", "good/38.TXT")(notes) and says("markup", "bad/39.txt")(notes)
         ]],
         rows=[*ROWS[:37], (f"{ROWS[37][0]} D\xe9j\xe0 vu.", "good"),
               (f"{ROWS[38][0]} Really.", "bad"), ROWS[39]]),
]  # fmt: skip

ENCODINGS = [
    Case("plain text that is said to be UTF-16", {"x.csv": csv(ROWS)},
         refused("--encoding", "utf-16", code=1), "--encoding utf-16"),
]  # fmt: skip

CASES = ENCODINGS + QUOTED + COLUMNS + NOTATION + FOLDERS
