import pytest

from sst_keras.tables.notation import only_entry, undo_lines, undo_markup, undo_python

SPACES = " " * 500_000


@pytest.mark.parametrize("start", ["<", "</", "<br", "<p/"])
def test_a_tag_that_never_ends_costs_no_more_than_its_length(start):
    text = f"{start}{SPACES}x"
    assert undo_markup(text) == text and undo_lines(text) == [text]


def test_a_list_that_never_ends_costs_no_more_than_its_length():
    text = f"['a'{SPACES}x]"
    assert undo_python(text) == text
    assert only_entry(f"[{SPACES}x[]") is None
    assert only_entry(f"[''{SPACES}]x]{SPACES}") is None


def test_breaks():
    assert undo_lines("a<br>b< / p >c<BR / >d</p>e<p/>f< br >g") == list("abcdefg")
    assert undo_markup("a<br>b<brr>c") == "a b<brr>c"


@pytest.mark.parametrize(
    ("label", "entry"),
    [
        ("[1]", "1"), (" [ 'good film' , ] ", "good film"), ('["a"]', "a"), ("[ a b ,]", "a b "),
        ("['a', 'b']", None), ("[1, 2]", None), ("[1 2]", None), ("['a]", None), ("good", "good"),
        ("['']", ""), ("[]", ""), ("[ ]", ""),
    ],
)  # fmt: skip
def test_the_only_entry_of_a_list(label, entry):
    assert only_entry(label) == entry


def test_a_text_that_would_take_gigabytes_to_undo_is_left_as_it_is():
    text = "['" + 200_000 * "a" + "']"
    assert undo_python(text) == text
