"""The files of ../shared/cases, if there are any: path, options, and the expected answer."""

from cases.expecting import left_out, near, positive, refused, says
from cases.rows import FIVE, WORDS

ANY = {"total": {"texts": positive}}
TERNARY = {"class_names": ["negative", "neutral", "positive"]}


def texts(number):
    """Expects that many texts in the splits together."""
    return {"total": {"texts": number}}


PHRASES = "--text-column Phrase --label-column Sentiment"
CASES = [
    (
        "label-spelling/whole-in-train-decimal-in-test",
        "--label-column stars",
        {"class_names": list(FIVE), "ordered": True, "notes": says("1.0")},
    ),
    (
        "label-spelling/case-and-invisible.csv",
        "",
        [
            {"total": {"classes": lambda classes: len(classes) == 2}},
            refused("positive", "Positive", "POSITIVE"),
        ],
    ),
    ("label-spelling/plus-signs.csv", "", {"class_names": ["-1", "1"], "joined": {"1": dict}}),
    (
        "missing-labels/nan-among-numbers.csv",
        "",
        {"class_names": list(FIVE), "left_out": [{"rows": 10}]},
    ),
    (
        "missing-labels/hidden-test-labels",
        "--text-column sentence",
        [refused("-1"), {"class_names": ["0", "1"], "notes": says("-1")}],
    ),
    ("missing-labels/null-label.jsonl", "", left_out("null-label.jsonl", 41)),
    ("missing-labels/blank-labels.csv", "", {"left_out": [{"rows": 8}], **texts(112)}),
    (
        "leaks/phrases-of-sentences.tsv",
        PHRASES,
        {"group_columns": ["SentenceId"], "leaks": {"test": {"within": positive}}},
    ),
    (
        "leaks/phrases-of-sentences.tsv",
        f"{PHRASES} --group-column SentenceId",
        {"leaks": {name: {"equal": near(0, 3)} for name in ("dev", "test")}},
    ),
    (
        "leaks/near-copies.csv",
        "",
        {"repeats": positive, "leaks": {"dev": {"equal": 0}, "test": {"equal": 0}}},
    ),
    (
        "leaks/overlapping-folder",
        "",
        {"leaks": {"test": {"equal": 25}}, "notes": says("25", "test")},
    ),
    ("tsv-quotes/quotation-over-two-rows.tsv", "", texts(150)),
    (
        "tsv-quotes/backslash-quotes.tsv",
        "--text-column review --label-column sentiment",
        {"class_names": ["0", "1"]},
    ),
    ("tsv-quotes/backslash-quotes.csv", "", {"class_names": ["negative", "positive"]}),
    ("class-order/five-words.csv", "", {"class_names": list(WORDS), "ordered": True}),
    (
        "class-order/ten-stars.csv",
        "",
        {"class_names": ["1 star", *(f"{n} stars" for n in range(2, 11))], "ordered": True},
    ),
    (
        "class-order/low-to-high.csv",
        "",
        [
            {"ordered": False, "notes": says("--labels|order")},
            {"class_names": ["low", "medium", "high"], "ordered": True},
        ],
    ),
    ("class-order/low-to-high.csv", "--labels low,medium,high", {"ordered": True}),
    ("evaluate/training.csv", "", {"class_names": list(FIVE)}),
    ("evaluate/new-reviews.csv", "", texts(60)),
    (
        "evaluate/new-reviews-other-columns.csv",
        "--text-column review --label-column stars",
        texts(60),
    ),
    (
        "evaluate/new-reviews-other-columns.csv",
        "",
        [
            texts(60) | {"read": says("text = review", "label = stars")},
            refused("--text-column", "stars", "review", code=2),
        ],
    ),
    ("predict/new-reviews.csv", "", refused("label", code=2)),
    ("predict/line-separators.txt", "", refused("line-separators.txt")),
    (
        "split-shape/one-answer-many-times.csv",
        "",
        {
            "repeats": 89,
            "splits": {"train": {"texts": near(168, 4)}, "test": {"texts": near(21, 4)}},
        },
    ),
    ("split-shape/rare-classes.csv", "", {"notes": says("test")}),
    (
        "split-shape/one-text-with-every-label.csv",
        "",
        {"contradicted": 1, "repeats": 39, "notes": says("label")},
    ),
    ("json-values/tokens-in-a-list.jsonl", "", [ANY, refused("list", "line 1")]),
    ("columns/label-twice.csv", "", refused("label", "twice|two|2|times")),
    ("columns/capital-names.csv", "", [TERNARY, refused("--text-column Text")]),
    ("columns/space-after-the-comma.csv", "", TERNARY),
    ("encodings/spreadsheet-unicode-text.tsv", "", [ANY, refused("utf-16")]),
    ("encodings/windows-1252.csv", "", [{"read": says("1252")}, refused("1252", code=1)]),
    ("encodings/windows-1252.csv", "--encoding windows-1252", ANY),
    ("imbalance/mostly-five-stars.csv", "", {"class_names": ["1", "3", "4", "5"]}),
    (
        "layouts/split-named-validation",
        "",
        {"class_names": ["0", "1", "2", "3", "4"], "splits": {"dev": {"texts": positive}}},
    ),
    ("layouts/no-header.csv", "", refused("header", code=2)),
    (
        "layouts/no-header.csv",
        "--header none --text-column 3 --label-column 1",
        {"class_names": list(FIVE)},
    ),
    ("layouts/label-first-lines", "", {"class_names": list(FIVE)}),
    ("layouts/number-then-text", "", {"class_names": ["0", "1", "2", "3", "4"]}),
    ("layouts/semicolons.csv", "", TERNARY),
    ("layouts/tabs-in-csv.csv", "", TERNARY),
    ("layouts/title-above-the-header.csv", "", [TERNARY, refused("header")]),
    ("layouts/title-above-the-header.csv", "--header 3", TERNARY),
    ("layouts/comma-at-the-end.csv", "", TERNARY),
    ("layouts/packed.csv.gz", "", ANY),
    ("layouts/reviews.tab", "", TERNARY),
    (
        "layouts/first-form-of-the-treebank",
        "",
        [ANY, refused("trainDevTestTrees|dictionary.txt|datasetSentences")],
    ),
    ("layouts/one-array.jsonl", "", [ANY, refused("array")]),
    ("trees/two-classes", "", [refused("0", "1"), {"class_names": lambda names: len(names) == 2}]),
    ("trees/with-a-root", "", {"class_names": list(WORDS)}),
    ("tokens/emoji-at-the-last-word.csv", "", {"class_names": ["negative", "positive"]}),
]
