import zipfile

import pytest

from sst_keras.errors import InputError
from sst_keras.treebank import Example, Tree, escape, parse_tree, read_trees, unescape

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
        ("((2 a))", "bracket opens"),
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
