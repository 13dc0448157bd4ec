"""Labels: one class in several spellings, no label at all, classes that have an order."""

from cases.expecting import Case, left_out, refused, says
from cases.rows import FIVE, TWO, WORDS, csv, folder, jsonl, lines, relabelled, reviews, tsv


def spelled(rows, spellings):
    """Returns rows whose labels take the spellings of their class in turn."""
    met = dict.fromkeys(spellings, 0)
    result = []
    for text, label in rows:
        result.append((text, spellings[label][met[label] % len(spellings[label])]))
        met[label] += 1
    return result


def each(number):
    """Expects two classes of that many texts, whichever spelling names them."""
    return {"total": {"classes": lambda classes: list(classes.values()) == [number] * 2}}


EACH_20, EACH_40 = each(20), each(40)
DECIMALS = tuple(f"{label}.0" for label in FIVE)
STARS = ("text", "stars")

SPELLINGS = [
    Case(
        "whole numbers in train, decimals in dev and test",
        folder(
            lambda rows: csv(rows, STARS),
            ".csv",
            train=reviews(50, FIVE),
            dev=reviews(10, DECIMALS, 50),
            test=reviews(15, DECIMALS, 60),
        ),
        {
            "class_names": list(FIVE),
            "ordered": True,
            "joined": {label: {label: 10, f"{label}.0": 5} for label in FIVE},
            "splits": {"test": {"texts": 15, "classes": dict.fromkeys(FIVE, 3)}},
            "notes": says("1.0"),
        },
        "--label-column stars",
        rows=reviews(75, FIVE),
    ),
    Case(
        "JSON numbers, decimals and strings",
        {"x.jsonl": jsonl(spelled(reviews(60, TWO), {"bad": (1, 1.0, "1"), "good": (2, "02")}))},
        {
            "class_names": ["1", "2"],
            "total": {"classes": {"1": 30, "2": 30}},
            # JSON's 1 and "1" are the same spelling.
            "joined": {"1": {"1": 20, "1.0": 10}, "2": {"2": 15, "02": 15}},
        },
    ),
    Case(
        "a plus sign",
        {"x.csv": csv(spelled(reviews(40), {"bad": ("-1",), "good": ("1", "+1")}))},
        {
            "class_names": ["-1", "1"],
            "joined": {"1": {"1": 10, "+1": 10}},
            "total": {"classes": {"-1": 20, "1": 20}},
        },
    ),
    Case(
        "zero with signs and decimals",
        {"x.tsv": tsv(spelled(reviews(40), {"bad": ("0", "-0", "0.00", "+0"), "good": "1"}))},
        {"class_names": ["0", "1"], "total": {"classes": {"0": 20, "1": 20}}},
    ),
    Case(
        "powers of ten",
        {"x.csv": csv(spelled(reviews(40), {"bad": ("10", "1e1"), "good": ("20", "20.")}))},
        {"class_names": ["10", "20"], "total": {"classes": {"10": 20, "20": 20}}},
    ),
    Case(
        "a typesetter's minus sign",
        {"x.csv": csv(spelled(reviews(40), {"bad": ("-1", "\u22121"), "good": ("1",)}))},
        {"class_names": ["-1", "1"], "total": {"classes": {"-1": 20, "1": 20}}},
    ),
    Case(
        "capitals and invisible characters",
        {
            "x.csv": csv(
                spelled(
                    reviews(80, TWO),
                    {
                        "bad": ("bad", "Bad", "BAD\u00a0", "\u200bbad"),
                        "good": ("good", "good\u200b", " good\u00a0", "Good"),
                    },
                )
            )
        },
        [
            EACH_40 | {"notes": says("Bad")},
            refused("bad", "Bad", "Good"),
        ],
    ),
    Case(
        "invisible characters in the middle of a tab-separated field",
        {
            "x.tab": tsv(
                spelled(
                    reviews(40),
                    {"bad": ("bad", "bad\u2060", "\ufeffbad", "b\u00adad"), "good": ("good",)},
                )
            )
        },
        [EACH_20, refused("bad")],
    ),
    Case(
        "accents in one character and in two",
        {
            "x.csv": csv(
                spelled(reviews(80), {"bad": ("g\u00e9ne", "ge\u0301ne"), "good": ("génial",)})
            )
        },
        [EACH_40, refused("géne")],
    ),
    Case(
        "truth values of two programs",
        {"x.csv": csv(spelled(reviews(40), {"bad": ("False", "FALSE"), "good": ("True", "TRUE")}))},
        [
            EACH_20,
            refused("False", "FALSE", "True", "TRUE"),
        ],
    ),
    Case(
        "JSON's own truth values are not Python's",
        {"x.jsonl": jsonl(spelled(reviews(40), {"bad": (False,), "good": (True,)}))},
        [{"class_names": ["false", "true"]}, refused("line 1", "label")],
    ),
    Case(
        "classes that are named, in other spellings",
        {"x.csv": csv(spelled(reviews(40), {"bad": ("bad", "BAD"), "good": ("good ",)}))},
        [
            {"class_names": ["good", "bad"], "total": {"classes": {"bad": 20, "good": 20}}},
            refused("BAD"),
        ],
        "--labels good,bad",
    ),
]

NO_LABEL = [
    Case(
        "nan among numbers",
        {"x.csv": csv(relabelled(reviews(60, FIVE), dict.fromkeys(range(0, 60, 7), "nan")))},
        {
            "class_names": list(FIVE),
            "ordered": True,
            "total": {"texts": 51},
            **left_out("x.csv", 2, 9, 16, 23, 30, rows=9),
            "notes": says("9", "label"),
        },
    ),
    Case(
        "every program's word for nothing",
        {
            "x.tsv": tsv(
                relabelled(
                    reviews(60, FIVE),
                    dict(
                        enumerate(("NA", "N/A", "NULL", "None", "NaN", "<NA>", r"\N", "#N/A", ""))
                    ),
                )
            )
        },
        {
            "class_names": list(FIVE),
            "total": {"texts": 51},
            **left_out("x.tsv", 2, 3, 4, 5, 6, rows=9),
        },
    ),
    Case(
        "blank labels",
        {"x.csv": csv(relabelled(reviews(60), {5: "", 17: "", 44: ""}))},
        {"class_names": list(TWO), "total": {"texts": 57}, **left_out("x.csv", 7, 19, 46)},
    ),
    Case(
        "labels of white space that nobody sees",
        {
            "x.csv": csv(
                relabelled(reviews(60), {5: "  ", 17: "\u00a0", 44: "\u200b"}), delimiter=";"
            )
        },
        {"class_names": list(TWO), "total": {"texts": 57}, **left_out("x.csv", 7, 19, 46)},
    ),
    Case(
        "rows that end before the label",
        {"x.tsv": tsv(reviews(30)) + "A note without a label\n" + tsv(reviews(10, start=30), ())},
        [{"total": {"texts": 40}, **left_out("x.tsv", 32)}, refused("line 32")],
    ),
    Case(
        "null",
        {"x.jsonl": jsonl(relabelled(reviews(60), {40: None}))},
        {"class_names": list(TWO), "total": {"texts": 59}, **left_out("x.jsonl", 41)},
    ),
    Case(
        "an object without the label, and a bare NaN",
        {
            "x.jsonl": jsonl(reviews(40))
            + '{"text": "Unlabelled so far."}\n'
            + '{"text": "A gap in a table.", "label": NaN}\n'
        },
        {"class_names": list(TWO), "total": {"texts": 40}, **left_out("x.jsonl", 41, 42)},
    ),
    Case(
        "null in an array",
        {
            "x.json": "[\n"
            + ",\n".join(jsonl(relabelled(reviews(40), {9: None})).splitlines())
            + "\n]"
        },
        {"class_names": list(TWO), "total": {"texts": 39}, **left_out("x.json", 11)},
    ),
    Case(
        "no label anywhere",
        {"x.csv": csv(reviews(30, [""]))},
        refused("label", "30|no row", code=1),
    ),
    Case(
        "hidden test labels",
        folder(
            jsonl, ".jsonl", reviews(60, (0, 1)), reviews(20, (0, 1), 60), reviews(30, [-1], 80)
        ),
        [
            refused("-1", "30", "test"),
            {"class_names": ["0", "1"], "notes": says("-1", "30", "test")},
        ],
    ),
    Case(
        "hidden test labels in words",
        folder(tsv, ".tsv", reviews(60), reviews(20, start=60), reviews(30, ["hidden"], 80)),
        [
            refused("hidden", "30", "test"),
            {"class_names": list(TWO), "notes": says("hidden", "30", "test")},
        ],
    ),
    Case(
        "test has no column of labels",
        folder(csv, ".csv", reviews(60), reviews(20, start=60), [])
        | {"test.csv": csv([(text,) for text, _ in reviews(20, start=80)], ["text"])},
        [refused("test.csv", "label"), {"notes": says("test", "label")}],
    ),
]

SCALE = {"class_names": list(WORDS), "ordered": True}
ORDERS = [
    Case("five words of a known scale", {"x.csv": csv(reviews(60, WORDS))}, SCALE),
    Case(
        "the same in capitals",
        {"x.jsonl": jsonl(reviews(60, [word.upper() for word in WORDS]))},
        {"class_names": [word.upper() for word in WORDS], "ordered": True},
    ),
    Case(
        "the same as identifiers",
        {"x.tsv": tsv(reviews(60, [word.replace(" ", "_") for word in WORDS]))},
        {"class_names": [word.replace(" ", "_") for word in WORDS], "ordered": True},
    ),
    Case(
        "three of them",
        {"x.csv": csv(reviews(60, ("Positive", "Neutral", "Negative")))},
        {"class_names": ["Negative", "Neutral", "Positive"], "ordered": True},
    ),
    Case(
        "ten stars",
        {"x.csv": csv(reviews(100, [f"{n} star{'s' * (n > 1)}" for n in (10, *range(1, 10))]))},
        {
            "class_names": ["1 star", *(f"{number} stars" for number in range(2, 11))],
            "ordered": True,
        },
    ),
    Case(
        "numbers at the end, with decimals",
        {"x.csv": csv(reviews(60, ("grade 2.5", "grade 10", "grade 1")), delimiter=";")},
        {"class_names": ["grade 1", "grade 2.5", "grade 10"], "ordered": True},
    ),
    Case(
        "numbers after a word in label-first lines",
        {
            "x.txt": lines(
                reviews(60, ("level-12", "level-2", "level-9")), "__label__{label} {text}"
            )
        },
        {"class_names": ["level-2", "level-9", "level-12"], "ordered": True},
    ),
    Case(
        "negative numbers",
        {"x.csv": csv(reviews(60, ("-2", "-10", "3", "0")))},
        {"class_names": ["-10", "-2", "0", "3"], "ordered": True},
    ),
    Case(
        "words that only people put in order",
        {"x.csv": csv(reviews(60, ("low", "medium", "high")))},
        [
            {"ordered": False, "notes": says("--labels|order")},
            {"class_names": ["low", "medium", "high"], "ordered": True},
        ],
    ),
    Case(
        "words without an order",
        {"x.jsonl": jsonl(reviews(60, ("sports", "art", "politics")))},
        {"class_names": ["art", "politics", "sports"], "ordered": False},
    ),
    Case(
        "an order that the user gives",
        {"x.csv": csv(reviews(60, ("rare", "medium", "well done")))},
        {"class_names": ["rare", "medium", "well done"], "ordered": True},
        "--labels 'rare,medium,well done'",
    ),
]

CASES = SPELLINGS + NO_LABEL + ORDERS
