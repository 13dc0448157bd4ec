import pytest

from sst_keras.errors import InputError
from sst_keras.vocabulary import PADDING, UNKNOWN, Vocabulary


def test_the_most_frequent_first_and_equals_by_code_point():
    vocabulary = Vocabulary.build({"b": 2, "a": 2, "film": 5, "Z": 2})
    assert vocabulary.tokens == (PADDING, UNKNOWN, "film", "Z", "a", "b")


def test_rare_words_need_a_vector():
    vocabulary = Vocabulary.build(
        {"film": 2, "rare": 1, "odd": 1}, min_count=2, with_vector={"odd", "elsewhere"}
    )
    assert vocabulary.tokens[2:] == ("film", "odd")


def test_further_words_follow_once_each():
    vocabulary = Vocabulary.build({"film": 2}, extra=["the", "film", UNKNOWN, "the", "of"])
    assert vocabulary.tokens[2:] == ("film", "the", "of")
    assert len(vocabulary) == 5


def test_a_file_reads_back_to_the_letter(tmp_path):
    # A line separator within a word must not split it.
    vocabulary = Vocabulary((PADDING, UNKNOWN, "8\u00a01/2", "é", "a\u2028b", "\x85", "a\rb"))
    vocabulary.save(tmp_path / "vocabulary.txt")
    assert Vocabulary.load(tmp_path / "vocabulary.txt") == vocabulary
    assert (tmp_path / "vocabulary.txt").read_bytes().startswith(b"<pad>\n<unk>\n8\xc2\xa01/2\n")


@pytest.mark.parametrize("text", ["", "film\n", "<pad>\r\n<unk>\r\n", "<pad>\n<unk>\na\na\n"])
def test_a_file_that_is_not_a_vocabulary(tmp_path, text):
    (tmp_path / "vocabulary.txt").write_text(text)
    with pytest.raises(InputError, match=r"vocabulary\.txt"):
        Vocabulary.load(tmp_path / "vocabulary.txt")


def test_more_words_come_behind():
    vocabulary = Vocabulary((PADDING, UNKNOWN, "a", "b"))
    assert vocabulary.extended(["b", "c", UNKNOWN, "d", "c"]).tokens == (
        PADDING, UNKNOWN, "a", "b", "c", "d",
    )  # fmt: skip
