import zipfile

import pytest

from sst_keras.errors import InputError
from sst_keras.treebank import (
    LABEL_NAMES,
    Example,
    Tree,
    class_names,
    escape,
    parse_tree,
    read_trees,
    unescape,
)

LINE = "(3 (2 It) (4 (2 's) (4 wonderful)))"


def test_every_span_in_order():
    assert list(parse_tree(LINE).examples()) == [
        Example(("It", "'s", "wonderful"), 3, is_root=True),
        Example(("It",), 2, is_root=False),
        Example(("'s", "wonderful"), 4, is_root=False),
        Example(("'s",), 2, is_root=False),
        Example(("wonderful",), 4, is_root=False),
    ]
    assert parse_tree(LINE).root_example() == Example(("It", "'s", "wonderful"), 3)


def test_a_sentence_of_one_word_is_one_span():
    assert list(parse_tree("(1 Dull)").examples()) == [Example(("Dull",), 1, is_root=True)]


def test_only_the_first_of_equal_spans_is_the_root():
    flags = [example.is_root for example in parse_tree("(2 (2 no) (2 no))").examples()]
    assert flags == [True, False, False]


def test_escapes_are_undone_and_written_again():
    line = r"(2 (2 -LRB-) (2 (2 and\/or) (2 \*)))"
    assert parse_tree(line).root_example().tokens == ("(", "and/or", "*")
    assert str(parse_tree(line)) == line
    assert unescape("-RRB-") == ")" and escape(")") == "-RRB-"


def test_a_no_break_space_is_part_of_a_token():
    tree = parse_tree("(2 (2 8\u00a01\\/2) (2 stars))")
    assert tree.root_example().tokens == ("8\u00a01/2", "stars")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("(3 (2 It) (4 works)", "cut off: 1 brackets"),
        ("(3 (2 It) (4 works)))", "never opened"),
        ("(5 word)", "label '5'"),
        ("(x word)", "label 'x'"),
        ("(3 )", "no token"),
        ("(3)", "no token"),
        ("(3 two words)", "'words'"),
        ("((2 a) (2 b))", "found 2"),
        ("(ROOT (2 a)", "cut off: 1 brackets"),
        ("(ROOT (2 a) (2 b))", "found 2"),
        ("(ROOT)", "label 'ROOT'"),
        ("(FOO (2 a))", "label 'FOO'"),
        ("(2 (ROOT (2 a)))", "label 'ROOT'"),
        ("(2\ttwo\twords)", "'words'"),
        ("(2 word (2 a))", "bracket opens"),
        ("word", "outside of brackets"),
        ("(2 a) (2 b)", "found 2"),
        ("(2 " * 501 + "a" + ")" * 501, "nested more than 500"),
    ],
)
def test_lines_that_are_not_a_tree(line, problem):
    with pytest.raises(InputError, match="train.txt, line 7") as error:
        parse_tree(line, "train.txt, line 7")
    assert problem in str(error.value)


def test_a_file(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes("(1 Dull)\r\n\n(3 Charmé)\n".encode())
    assert [tree.token for tree in read_trees(path)] == ["Dull", "Charmé"]


def test_a_file_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("trees/dev.txt", "(1 Dull)\n")
    path = zipfile.Path(tmp_path / "x.zip", "trees/") / "dev.txt"
    assert list(read_trees(path)) == [Tree(1, "Dull")]


def test_latin_1_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes(b"(1 Dull)\n(3 Charm\xe9)\n")
    with pytest.raises(InputError, match=r"train\.txt, line 2: not UTF-8"):
        list(read_trees(path))


def test_the_real_treebank(real_data):
    roots, spans, tokens = 0, 0, 0
    for tree in read_trees(real_data / "sst" / "train.txt"):
        examples = list(tree.examples())
        roots += 1
        spans += len(examples)
        tokens += len(examples[0].tokens)
    assert (roots, spans, tokens) == (8544, 318582, 163563)


# === Layouts of files ===

TWO = "(3 (2 It) (4 works))", "(1 Dull)"


def read(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "train.txt"
    path.write_bytes(content.encode(encoding))
    return [str(tree) for tree in read_trees(path)]


@pytest.mark.parametrize("line", ["({}3 a)", "({}(3 a){}x", "(ROOT{}x", "({}(3 a){}"])
def test_a_long_run_of_spaces_costs_no_more_than_its_length(line):
    with pytest.raises(InputError):
        parse_tree(line.replace("{}", " " * 500_000) + ")x")


def test_brackets_around_a_tree_are_bounded():
    with pytest.raises(InputError, match="a bracket opens where a label"):
        parse_tree("(" * 20_000 + "(3 a)" + ")" * 20_000)


@pytest.mark.parametrize(
    "around", ["(ROOT {})", "(TOP {})", "( {})", "({})", "(S1 {} )", "(root {})"]
)
def test_what_parsers_print_around_a_tree(tmp_path, around):
    assert str(parse_tree(around.format(TWO[0]))) == TWO[0]
    assert str(parse_tree(around.format(around.format(TWO[1])))) == TWO[1]
    content = "\n".join(around.format(tree) for tree in TWO)
    assert read(tmp_path, content) == list(TWO)
    spread = "".join(around.format(f"\n  {tree}\n  ") + "\n" for tree in TWO)
    assert read(tmp_path, spread) == list(TWO)


@pytest.mark.parametrize(
    "content",
    [
        "(3 (2 It) (4 works))\n(1 Dull)",
        "\n(3 (2 It) (4 works))\n\n\n(1 Dull)\n\n",
        "(3 (2 It)\n   (4 works))\n(1 Dull)\n",
        "(3\n  (2 It)\n  (4 works)\n  )\n\n(1\n  Dull)\n",
        "(3\n(2 It)\n(4\nworks\n)\n)\n(1 Dull)\n",
        "\t(3\t(2 It)\n\t\t(4\tworks))\n\t(1 Dull)\t\n",
        "  (3 (2 It) (4 works))\n \t\n  (1 Dull)  \n",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_layouts(tmp_path, content, newline, encoding):
    assert read(tmp_path, content.replace("\n", newline), encoding) == list(TWO)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # A tree that is cut off takes in no other.
        ("(1 a)\n(3 (2 b) (2 c)\n(1 d)\n(1 e))\n", "line 2: the tree is cut off: 1 brackets"),
        ("(1 a)\n(3 (2 b)\n\n(2 c))\n", "line 2: the tree is cut off: 1 brackets"),
        ("(1 a)\n(3\n  (2 b)\n", r"line 2: the tree is cut off: 1 brackets .* \(line 3\)"),
        ("(1 a)\n(3\n  (2 b)\n  (7 c))\n", r"line 2: the label '7' .* \(line 4\)"),
        ("(ROOT\n (3\n  (2 b c)))\n", r"line 1: the token 'c' .* \(line 3\)"),
        ("(3\n (2 b)\n (2 c)))\n", r"line 1: a bracket closes .* \(line 3\)"),
        ("(1 a)\n(7 b)\n", r"line 2: the label '7' is not one of 0, 1, 2, 3, 4\. Expected"),
        ("(3 (2 b)\n  (2 c)) (1 d)\n", "line 1: expected one tree, found 2"),
    ],
)
def test_errors_name_the_lines(tmp_path, content, message):
    with pytest.raises(InputError, match=rf"train\.txt, {message}"):
        read(tmp_path, content)


def test_utf_16_that_is_cut_off(tmp_path):
    (tmp_path / "train.txt").write_bytes("(1 a)".encode("utf-16")[:-1])
    with pytest.raises(InputError, match=r"train\.txt: not UTF-16"):
        list(read_trees(tmp_path / "train.txt"))


# === Classes ===


def splits(*lines):
    return {split: [parse_tree(line)] for split, line in zip("abc", lines, strict=True)}


def test_the_classes_of_five_labels():
    # One label above 2 in any span of any split decides.
    assert class_names(splits("(0 a)", "(0 a)", "(1 (3 a) (0 b))")) == LABEL_NAMES
    assert class_names(splits("(0 a)", "(1 a)", "(4 a)")) == LABEL_NAMES


def test_the_binary_form_has_two_classes():
    trees = splits("(0 a)", "(1 (0 a) (1 b))", "(0 a)")
    assert class_names(trees) == ("negative", "positive")


@pytest.mark.parametrize(
    ("lines", "highest"),
    [
        (("(0 a)", "(1 a)", "(2 a)"), 2),
        (("(0 a)", "(1 a)", "(1 (2 a) (1 b))"), 2),
        (("(1 a)", "(1 a)", "(1 (0 a) (1 b))"), 1),
        (("(0 a)", "(0 a)", "(0 a)"), 0),
    ],
)
def test_classes_that_are_not_certain_are_asked_for(lines, highest):
    with pytest.raises(InputError, match=f"No label is above {highest}") as error:
        class_names(splits(*lines))
    assert error.value.setting == "data.labels"
    names = ("negative", "neutral", "positive")
    assert class_names(splits(*lines), names) == names
    assert class_names(splits(*lines), LABEL_NAMES) == LABEL_NAMES


def test_a_label_without_a_name():
    with pytest.raises(
        InputError, match="labels from 0 to 1.*bad, good. The trees have the label 4"
    ):
        class_names(splits("(0 a)", "(1 a)", "(2 (4 a) (2 b))"), ("bad", "good"))
