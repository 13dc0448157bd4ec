"""Splits: shares, copies and parts of texts on both sides. Then trees, and tokens."""

from cases.expecting import Case, near, positive, refused, says
from cases.rows import FIVE, TWO, WORDS, csv, folder, jsonl, lines, reviews, tsv

# === Parts of texts ===


def nested(sentences, labels=("0", "4")):
    """Returns sentences and growing beginnings of each: each is within the next."""
    rows = []
    for number, (text, _) in enumerate(reviews(sentences), start=1):
        words = f"No{number} {text}".split()
        for length in (3, 5, 7, len(words)):
            phrase = " ".join(words[:length])
            rows.append((len(rows) + 1, f"s{number}", phrase, labels[number % len(labels)]))
    return rows


PHRASES = ("PhraseId", "SentenceId", "Phrase", "Sentiment")
NAMED = "--text-column Phrase --label-column Sentiment"
APART = {name: {"equal": 0, "within": 0} for name in ("dev", "test")}
GROUPS = [
    Case("phrases of sentences", {"x.tsv": tsv(nested(40), PHRASES)},
         {"total": {"texts": 160}, "leaks": {"test": {"equal": 0, "within": positive}},
          "group_columns": ["SentenceId"], "notes": says("group", "SentenceId")}, NAMED),
    Case("phrases, sentence by sentence", {"x.tsv": tsv(nested(40), PHRASES)},
         {"total": {"texts": 160}, "leaks": APART,
          "splits": {"train": {"texts": near(128, 4)}, "test": {"texts": near(16, 4)}}},
         f"{NAMED} --group-column SentenceId"),
    Case("a group's column by number, in JSON", {"x.jsonl": jsonl(nested(40), PHRASES)},
         {"leaks": APART}, f"{NAMED} --group-column sentenceid"),
    Case("reviews of one product, the group in words and out of order",
         {"x.csv": csv(sorted((n % 4, f"Product {chr(65 + n // 8)}", text, label)
                              for n, (_, _, text, label) in enumerate(nested(40))),
                       ("draft", "product", "text", "label"), delimiter=";")},
         {"total": {"texts": 160}, "leaks": APART}, "--group-column product"),
    Case("two groups", {"x.csv": csv([(*row, n % 2) for n, row in enumerate(reviews(40))],
                                     ("text", "label", "side"))},
         [refused("side|group|together"), {"notes": says("side")}], "--group-column side"),
    Case("a number for each row is no group",
         {"x.csv": csv([(n, *row) for n, row in enumerate(reviews(40))], ("id", "text", "label"))},
         {"group_columns": [], "leaks": APART}),
]  # fmt: skip

# === Copies ===

FIRST = reviews(30)


def copies(*changes):
    """Returns each text as `changes` make it."""
    return [(change(text), label) for text, label in FIRST for change in changes]


def with_break(text):
    """Returns a text with a line break of HTML in it."""
    return text.replace(", ", ",<br />")


COPIES = [
    Case("copies in another form",
         {"x.csv": csv(copies(str, str.lower, lambda text: text.replace(" ", "  "),
                              lambda text: text.replace(", ", ",\n\n")))},
         {"repeats": 90, "leaks": APART, "total": {"texts": 120}}),
    Case("copies in capitals, with other spaces and a free-standing full stop",
         {"x.jsonl": jsonl(copies(str, str.upper, lambda text: text.replace(" ", "\u00a0\t"),
                                  lambda text: text.replace(".", " . ").replace(",", " ,")))},
         {"repeats": 90, "leaks": APART, "total": {"texts": 120}}),
    Case("copies with curly marks",
         {"x.tsv": tsv([(form.format(text), label) for text, label in FIRST
                        for form in ("\u201c{}\u201d It\u2019s so", '"{}" It\'s so')])},
         {"repeats": 30, "leaks": APART}),
    Case("copies with markup", {"x.csv": csv(copies(str, with_break))},
         {"repeats": 30, "leaks": APART}),
    Case("markup that is kept", {"x.csv": csv(copies(str, with_break))},
         {"repeats": 0}, "--markup keep"),
    Case("a folder of one's own that overlaps",
         folder(csv, ".csv", train=reviews(60), dev=reviews(20, start=50),
                test=[(text.upper(), label) for text, label in reviews(20, start=42)]),
         {"leaks": {"dev": {"equal": 10}, "test": {"equal": 18}},
          "notes": says("18", "test")}),
    Case("test texts that are the beginnings of training texts, in JSON",
         folder(jsonl, ".jsonl", train=reviews(60), dev=reviews(20, start=80),
                test=[*((text.rpartition(",")[0], label) for text, label in reviews(12)),
                      *reviews(10, start=100)]),
         {"leaks": {"dev": {"equal": 0, "within": 0}, "test": {"equal": 0, "within": 12}},
          "notes": says("12", "test")}),
]  # fmt: skip

# === Shares ===

SHARES = [
    Case("one answer many times", {"x.csv": csv([*reviews(60, FIVE), *[("Good", "5")] * 40])},
         {"repeats": 39, "splits": {"train": {"texts": near(80, 3)}, "dev": {"texts": near(10, 3)},
                                    "test": {"texts": near(10, 3)}}}),
    Case("the same with another seed", {"x.csv": csv([*reviews(60, FIVE), *[("Good", "5")] * 40])},
         {"splits": {"train": {"texts": near(80, 3)}, "test": {"texts": near(10, 3)}}},
         "--split-seed 2"),
    Case("two answers, one in several forms",
         {"x.jsonl": jsonl([*reviews(80), *[(f"{word} ", "good") for word in ("ok", "OK")] * 15,
                            *[("never again", "bad")] * 10])},
         {"repeats": 29 + 9, "leaks": APART,
          "splits": {"train": {"texts": near(96, 4)}, "test": {"texts": near(12, 4)}}}),
    Case("one answer that is nearly all", {"x.csv": csv([*reviews(20), *[("Fine", "good")] * 180])},
         [{"splits": {"train": {"texts": lambda n: n >= 180}}, "notes": says("18")},
          refused("too few|repeat")]),
    Case("rare classes", {"x.csv": csv([*reviews(60, ["5"]), *reviews(1, ["1"], 60),
                                        *reviews(2, ["2"], 61), *reviews(4, ["3"], 63)])},
         {"class_names": ["1", "2", "3", "5"], "total": {"classes": {"1": 1, "2": 2, "3": 4}},
          "splits": {"train": {"classes": {"1": 1, "2": positive, "3": positive}}},
          "notes": says("test", "1", "2")}),
    Case("dev lacks a class", folder(tsv, ".tsv", reviews(60, FIVE), reviews(8, FIVE[:4], 60),
                                     reviews(10, FIVE, 70)),
         {"notes": says("dev", "5")}),
    Case("train lacks a class of dev", folder(csv, ".csv", reviews(60), reviews(10, FIVE, 60),
                                              reviews(10, start=70)),
         [refused("dev", "train"), {"class_names": list(TWO), "notes": says("dev", "5")}]),
    Case("one text with every label",
         {"x.csv": csv([*reviews(60, FIVE), *[("ok", label) for label in FIVE] * 4])},
         {"contradicted": 1, "repeats": 19, "notes": says("1", "label")}),
    Case("texts with two labels in two forms",
         {"x.tsv": tsv([*reviews(60), *[(text.upper(), TWO[label == "bad"])
                                        for text, label in reviews(7)]])},
         {"contradicted": 7, "repeats": 7, "notes": says("7", "label")}),
    Case("too few rows", {"x.csv": csv(reviews(4))}, refused("4", "few", code=1)),
    Case("one class", {"x.csv": csv(reviews(40, ["good"]))}, refused("class", "good", code=1)),
    Case("a text per class", {"x.csv": csv(reviews(40, range(40)))},
         refused("40", "--label-column|column", code=1)),
    Case("a seed that is no number", {"x.csv": csv(reviews(40))}, refused("split-seed", code=2),
         "--split-seed one"),
]  # fmt: skip

# === Trees ===


def tree(text, label):
    """Returns a tree that branches to the right, each node with the label."""
    first, *rest = text.replace(",", " ,").replace(".", " .").split()
    return f"({label} ({label} {first}) {tree(' '.join(rest), label)})" if rest else \
        f"({label} {first})"  # fmt: skip


def trees(labels, form="{}"):
    """Returns a folder of trees, each written as `form`."""

    def write(rows):
        return "".join(form.format(tree(*row)) + "\n" for row in rows)

    return folder(write, ".txt", reviews(20, labels), reviews(10, labels, 20),
                  reviews(10, labels, 30))  # fmt: skip


FIVE_NAMES = {"class_names": list(WORDS), "ordered": True, "splits": {"train": {"texts": 20}}}
TREES = [
    Case("trees", trees(range(5)), FIVE_NAMES),
    Case("a ROOT around each tree", trees(range(5), "(ROOT {})"), FIVE_NAMES),
    Case("a root without a name", trees(range(5), "( {})"), FIVE_NAMES),
    Case("another name of the root", trees(range(5), "(TOP {} )"), FIVE_NAMES),
    Case("two trees in a ROOT", trees(range(5), "(ROOT {0} {0})"), refused("line 1", code=1)),
    Case("trees of two classes", trees((0, 1)),
         [refused("0", "1"), {"class_names": lambda names: len(names) == 2}]),
    Case("trees of three classes", trees((0, 1, 2)),
         [refused("2"), {"class_names": lambda names: len(names) == 3}]),
    Case("trees of 1 to 5", trees(range(1, 6)), refused("5", "label", code=1)),
    Case("trees in one file", {"x.txt": trees(range(5))["train.txt"] * 4},
         [{"total": {"classes": {"bad": 15, "good": 15}}}, refused("x.txt")]),
]  # fmt: skip

# The treebank's main download: sentences, splits, phrases, and the phrases' values.
_SENTENCES = reviews(30)
TREEBANK = {
    "datasetSentences.txt": "sentence_index\tsentence\n"
    + "".join(f"{n}\t{text}\n" for n, (text, _) in enumerate(_SENTENCES, start=1)),
    "datasetSplit.txt": "sentence_index,splitset_label\n"
    + "".join(f"{n},{(1, 1, 1, 2, 3)[n % 5]}\n" for n in range(1, 31)),
    "dictionary.txt": "".join(f"{text}|{n}\n" for n, (text, _) in enumerate(_SENTENCES)),
    "sentiment_labels.txt": "phrase ids|sentiment values\n"
    + "".join(f"{n}|{(0.1, 0.9)[n % 2]}\n" for n in range(30)),
}
FIRST_FORM = [
    {"total": {"texts": 30}},
    refused("trainDevTestTrees|dictionary.txt|datasetSentences"),
]
TREEBANKS = [
    Case("the treebank's first form", TREEBANK, FIRST_FORM),
    Case("the same in another folder, with other line breaks, incomplete",
         {f"stanford/{name}": content.replace("\n", "\r\n") for name, content in TREEBANK.items()
          if name != "dictionary.txt"} | {"README.txt": "Read me.\n"},
         refused("train|stanford|dataset")),
    Case("a folder without any", {"notes.md": "Hm.\n", "data.bin": "x"}, refused("train", code=2)),
]  # fmt: skip

# === Tokens ===


def emoji(*signs):
    """Returns texts with a sign behind the last word and on its own: equal if they are tokens."""
    return [(form.format(text.rstrip("."), sign), label)
            for (text, label), sign in zip(FIRST, signs * len(FIRST), strict=False)
            for form in ("{}{}", "{} {}")]  # fmt: skip


EMOJI = [
    Case("an emoji behind a word",
         {"x.csv": csv(emoji("\U0001f621", "\u2764\ufe0f", "\U0001f4a9"))},
         {"repeats": 30}),
    Case("emoji of several characters",
         {"x.jsonl": jsonl(emoji("\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7", "\u2639\ufe0f",
                                 "\U0001f468\u200d\U0001f469\u200d\U0001f467"))},
         {"repeats": 30}),
    Case("two emoji in a row and with a space",
         {"x.tsv": tsv([(form.format(text.rstrip(".")), label) for text, label in FIRST
                        for form in ("{} \U0001f621\U0001f621", "{}\U0001f621 \U0001f621")])},
         {"repeats": 30}),
    Case("an emoji before a word and within two",
         {"x.tsv": tsv([(form.format(text), label) for text, label in FIRST
                        for form in ("\U0001f44e{}Oh\U0001f62d", "\U0001f44e {}Oh \U0001f62d")])},
         {"repeats": 30}),
]  # fmt: skip

UNREADABLE = [
    Case("a sample of lines that are nothing", {"x.txt": lines(FIRST, "{text} ; {label}")},
         [{"total": {"classes": {"bad": 15, "good": 15}}}, refused("x.txt")]),
]  # fmt: skip

CASES = GROUPS + COPIES + SHARES + TREES + TREEBANKS + EMOJI + UNREADABLE
