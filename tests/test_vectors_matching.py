import numpy as np
import pytest

from sst_keras.vectors import matching
from sst_keras.vectors.files import WordVectors
from sst_keras.vectors.matching import (
    embedding_matrix,
    forms,
    match,
    measure_coverage,
    measure_fit,
    pieces,
    scale_factor,
    wanted_words,
)


def test_forms_in_order():
    assert forms("film") == ("film", "Film", "FILM")
    assert forms("iPod") == ("iPod", "ipod", "Ipod", "IPOD")
    assert forms("(")[1:] == ("-lrb-", "-LRB-")
    assert forms("...") == ("...",)


def test_pieces_of_compounds():
    assert pieces("well-made") == ["well", "made"]
    assert pieces("and/or") == ["and", "or"]
    assert pieces("--") == pieces("-") == pieces("film") == []
    assert {"well", "Well", "<unk>", "WELL-MADE"} <= wanted_words(["well-made"])


SET = WordVectors(
    ("film", "Paris", "well", "made"), np.array([[1, 0], [0, 1], [2, 2], [4, 6]], np.float32), "set"
)


def test_how_a_vector_is_found():
    assert match("film", SET) == ("exact", [0])
    assert match("paris", SET) == ("casing", [1])
    assert match("Well-made", SET) == ("pieces", [2, 3])
    assert match("xyz/qqq", SET) == ("missing", [])
    # An earlier form goes before the token's other forms.
    both = WordVectors(("Film", "film"), np.eye(2, dtype=np.float32))
    assert match("FILM", both) == ("casing", [1])


def test_a_word_is_matched_once(monkeypatch):
    vectors = WordVectors(("film",), np.ones((1, 2), np.float32))
    measure_coverage({"train": {"film": 2, "xyz": 1}}, vectors)
    monkeypatch.setattr(matching, "forms", None)  # a second search would fail
    assert match("film", vectors)[1] and not match("xyz", vectors)[1]
    assert embedding_matrix(("<pad>", "film", "xyz"), vectors, 1)[1].tolist() == [1, 1]


def test_the_matrix_has_no_negative_zeros():
    vectors = WordVectors(("film", "the"), np.array([[-0.0, 1], [2, 3]], np.float32))
    assert not np.signbit(embedding_matrix(("<pad>", "film"), vectors, 1)[1]).any()


def test_the_matrix_of_a_vocabulary():
    tokens = ("<pad>", "<unk>", "film", "paris", "well-made", "well-xyz", "xyz")
    matrix = embedding_matrix(tokens, SET, seed=1)
    assert matrix.shape == (7, 2) and matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix[[0, 2, 3, 4, 5]], [[0, 0], [1, 0], [0, 1], [3, 4], [2, 2]])
    np.testing.assert_array_equal(matrix, embedding_matrix(tokens, SET, seed=1))
    other = embedding_matrix(tokens, SET, seed=2)
    assert (matrix[[1, 6]] != other[[1, 6]]).all()


def test_random_rows_have_the_variance_of_the_vectors():
    random = np.random.default_rng(0)
    vectors = WordVectors(("a", "b"), np.array([[0, 10], [0.2, -10]], np.float32))
    tokens = ["<pad>", "<unk>", *(f"w{n}" for n in range(5000))]
    matrix = embedding_matrix(tokens, vectors, seed=int(random.integers(100)))
    np.testing.assert_allclose(matrix[1:].std(axis=0), [0.1, 10], rtol=0.03)


def test_the_unknown_vector_of_the_file_is_used():
    vectors = WordVectors(("<unk>", "a"), np.array([[7, 7], [1, 2]], np.float32))
    assert embedding_matrix(("<pad>", "<unk>"), vectors, 1)[1].tolist() == [7, 7]
    vectors = WordVectors(("UNK", "a"), vectors.vectors)
    assert embedding_matrix(("<pad>", "<unk>"), vectors, 1)[1].tolist() == [7, 7]
    assert {"<unk>", "UNK"} <= wanted_words(())


def test_a_random_row_depends_only_on_its_place():
    few = embedding_matrix(("<pad>", "<unk>", "xyz", "film"), SET, seed=3)
    more = embedding_matrix(("<pad>", "<unk>", "zyx", "paris", "yyy"), SET, seed=3)
    np.testing.assert_array_equal(few[2], more[2])
    assert (few[2] != more[4]).all()


def test_coverage_by_hand():
    counts = {
        "train": {"film": 6, "paris": 2, "well-made": 1, "xyz": 1},
        "dev": {"xyz": 3, "film": 1},
        "test": {},
    }
    coverage = measure_coverage(counts, SET)
    train = coverage.splits["train"]
    assert (train["types"], train["tokens"]) == (4, 10)
    assert (train["types_found"], train["tokens_found"]) == pytest.approx((0.75, 0.9))
    shares = [train[how] for how in ("exact", "casing", "pieces", "missing")]
    assert shares == pytest.approx([0.6, 0.2, 0.1, 0.1])
    assert coverage.splits["dev"]["tokens_found"] == pytest.approx(0.25)
    assert coverage.splits["test"]["tokens"] == 0
    assert coverage.tokens_found == pytest.approx(10 / 14)
    assert coverage.missing == (("xyz", 4),)
    assert "90.0% of 10 tokens" in str(coverage) and "xyz (4)" in str(coverage)


def test_the_fit_by_hand():
    counts = {"train": {"film": 3, "xyz": 4, ".": 9}, "dev": {"Well-made": 1, "xyz": 2}}
    vectors = WordVectors(SET.words, SET.vectors, "set", words_in_file=8)
    fit = measure_fit(counts, vectors)
    assert fit.words_found == pytest.approx(4 / 10)  # film 3, Well-made 1, of 10 with letters
    assert fit.rows_used == 3 / 8
    assert not fit.is_doubtful
    fit = measure_fit({"train": {"film": 1, "xyz": 9}}, vectors)
    assert fit.is_doubtful and not fit.is_none
    fit = measure_fit({"train": {"film": 1, "xyz": 29}}, vectors)
    assert fit.is_none
    fit = measure_fit(
        {"train": {"film": 1, "xyz": 29}}, WordVectors(("film",), np.ones((1, 2)), "", 2)
    )
    assert fit.rows_used == 0.5 and not fit.is_doubtful


def test_the_factor_that_gives_a_standard_deviation():
    vectors = WordVectors(("a", "b"), np.array([[1, -1], [-1, 1]], np.float32))
    assert scale_factor(vectors, 0.25) == 0.25
    assert scale_factor(vectors, 0) == 1
    assert scale_factor(WordVectors(("a",), np.ones((1, 2), np.float32)), 0.25) == 1
