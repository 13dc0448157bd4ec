"""Rows of one file, split so that nothing is on two sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_keras.errors import InputError
from sst_keras.tables.splits import contradictions, looks_like_group, split_rows


def split(labels, keys, groups=None, seed=1, **options):
    groups = None if groups is None else np.asarray(groups, np.int64)
    return split_rows(
        np.asarray(labels, np.int32), np.asarray(keys, np.uint64), groups, seed, **options
    )


def sizes_of(result):
    """The rows of train, dev and test."""
    return np.bincount(result.sides, minlength=3).tolist()


def sides_of(values, sides):
    """Value → the sides on which it is."""
    return {value: set(sides[values == value].tolist()) for value in np.unique(values)}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_different_texts_are_split_as_each_class_was_shuffled(seed):
    labels = np.repeat([0, 1, 2], [60, 25, 15])
    expected = np.empty(100, int)
    random = np.random.default_rng(seed)
    for label, dev, test in ((0, 48, 54), (1, 20, 22), (2, 12, 14)):  # round(0.8 n), round(0.9 n)
        rows = random.permutation(np.flatnonzero(labels == label))
        expected[rows[:dev]], expected[rows[dev:test]], expected[rows[test:]] = 0, 1, 2
    result = split(labels, np.arange(100), seed=seed)
    assert result.sides.tolist() == expected.tolist()
    assert result.sides.dtype == np.int8
    assert sizes_of(result) == [80, 10, 10]
    assert result.notes == ()
    assert split(labels, np.arange(100), seed=seed + 1).sides.tolist() != expected.tolist()


def test_a_chain_of_texts_and_groups_is_one_part():
    # Rows 0 and 1 share a text, 1 and 2 a group, 2 and 3 a text. Rows 4 and 5 have no group.
    keys = [8, 8, 9, 9, *range(10, 40)]
    groups = [-1, 5, 5, -1, -1, -1, *range(100, 128)]
    for seed in range(20):
        sides = split([0] * 34, keys, groups, seed).sides
        assert len(set(sides[:4])) == 1
    assert any(np.diff(split([0] * 34, keys, groups, seed).sides[4:6]) for seed in range(20))


def test_a_text_with_many_rows_is_in_train_and_each_class_keeps_dev_and_test():
    # One text 40 times in class 1; 80 others in each class. 20 rows are a tenth of all.
    labels = np.repeat([1, 0, 1], [40, 80, 80])
    result = split(labels, [0] * 40 + list(range(1, 161)))
    assert sizes_of(result) == [160, 20, 20] and set(result.sides[:40]) == {0}
    for label in (0, 1):  # Of 160 other rows, 20 are an eighth: 60, 10 and 10 of each class.
        assert np.bincount(result.sides[40:][labels[40:] == label]).tolist() == [60, 10, 10]
    assert result.notes == (
        "1 text or group has 40 of 200 rows, too many for dev or test; those rows are in train.",
    )


def test_dev_and_test_get_a_quarter_of_what_a_large_text_leaves():
    result = split([0] * 100, [0] * 80 + list(range(1, 21)))
    assert sizes_of(result) == [90, 5, 5]
    assert result.notes[-1] == (
        "The rows are split 90/5/5, not 80/10/10 %: rows that belong together are together."
    )


def test_few_large_groups_reach_all_three():
    result = split([0] * 100, np.arange(100), np.repeat([0, 1, 2, 3, 4], 20))
    assert sizes_of(result) == [60, 20, 20]
    assert all(len(sides) == 1 for sides in sides_of(np.arange(100) // 20, result.sides).values())


def test_small_groups_of_many_classes_reach_all_three():
    # Three groups of nine rows in each of five classes: one class cannot be split by itself.
    labels, groups = np.repeat(np.arange(5), 27), np.repeat(np.arange(15), 9)
    sizes = sizes_of(split(labels, np.arange(135), groups))
    assert min(sizes) >= 9 and sizes[0] >= 99


def test_a_part_belongs_to_its_most_frequent_class_the_lowest_of_several():
    # Part 0: classes 1, 1, 0. Part 1: classes 2, 0. The other rows are of class 2.
    labels = [1, 1, 0, 2, 0] + [2] * 95
    keys = [0, 0, 0, 1, 1, *range(2, 97)]
    result = split(labels, keys)
    assert contradictions(np.asarray(labels), np.asarray(keys, np.uint64)) == 2
    # Class 1 has part 0: 2, 1 and 0 rows are wanted, and train gets 3. Class 0 has part 1, which is
    # as near to train as to dev. Class 2 has 95 rows, 76, 10 and 9, and train owes dev a row.
    assert result.sides[:5].tolist() == [0] * 5
    assert np.bincount(result.sides[5:]).tolist() == [75, 11, 9]


def test_copies_within_dev_and_test_are_counted():
    result = split([0] * 200, np.arange(200) // 2)
    assert sizes_of(result) == [160, 20, 20]
    assert "10 of 20 dev rows repeat another dev text." in result.notes
    assert "10 of 20 test rows repeat another test text." in result.notes


def test_a_share_of_zero_is_an_empty_split():
    result = split([0] * 60 + [1] * 40, np.arange(100), shares=(0.9, 0.1, 0))
    assert sizes_of(result) == [90, 10, 0]
    assert np.bincount(result.sides[60:]).tolist() == [36, 4]
    assert sizes_of(split([0] * 100, np.arange(100), shares=(0.9, 0, 0.1))) == [90, 0, 10]
    assert sizes_of(split([0] * 3, np.arange(3), shares=(1, 0, 0))) == [3, 0, 0]


def test_sizes_that_rare_classes_make_are_reported():
    # Of four rows, round(3.2) = 3 are for train and round(3.6) - 3 = 1 for dev.
    labels = [0] * 10 + list(np.repeat(np.arange(1, 11), 4))
    result = split(labels, np.arange(50))
    assert sizes_of(result) == [38, 11, 1]
    assert result.notes == ("The rows are split 38/11/1, not 80/10/10 %: some classes are rare.",)


@pytest.mark.parametrize(
    ("labels", "keys", "message"),
    [
        ([0, 0, 1, 1], range(4), "4 rows are too few to split into train, dev and test.*10 of"),
        ([0, 0, 1, 1], [0, 0, 1, 2], "4 rows are too few"),
        ([0] * 20, [0] * 20, "20 rows cannot be split.*that leaves 1 part"),
        ([0] * 20, [0] * 10 + [1] * 10, "that leaves 2 parts"),
    ],
)
def test_too_few_rows(labels, keys, message):
    with pytest.raises(InputError, match=message):
        split(labels, list(keys))


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 150), st.integers(-1, 60)),
    min_size=40,
    max_size=200,
)


@given(ROWS, st.integers(0, 5))
def test_no_text_and_no_group_is_divided(rows, seed):
    labels, keys, groups = map(np.asarray, zip(*rows, strict=True))
    try:
        result = split(labels, keys, groups, seed)
    except InputError as error:
        assert "cannot be split" in str(error)
        return
    assert all(len(sides) == 1 for sides in sides_of(keys, result.sides).values())
    grouped = groups >= 0
    divided = sides_of(groups[grouped], result.sides[grouped])
    assert all(len(sides) == 1 for sides in divided.values())
    assert len(result.sides) == len(rows) and min(sizes_of(result)) > 0
    again = split(labels, keys, groups, seed)
    assert again.sides.tolist() == result.sides.tolist() and again.notes == result.notes


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30)), min_size=10, max_size=60),
    st.integers(0, 5),
)
def test_sizes_are_as_near_to_the_shares_as_the_largest_part(parts, seed):
    label, sizes = (np.asarray(values) for values in zip(*parts, strict=True))
    total = sizes.sum()
    if np.bincount(np.repeat(label, sizes)).max() < 10:
        return
    result = split(np.repeat(label, sizes), np.repeat(np.arange(len(sizes)), sizes), seed=seed)
    for size, share in zip(sizes_of(result), (0.8, 0.1, 0.1), strict=True):
        assert abs(size - share * total) <= sizes.max() + 4  # a row per class is rounded


def test_contradictions():
    keys = np.asarray([7, 8, 7, 9, 9], np.uint64)
    assert contradictions(np.asarray([0, 1, 2, 1, 1]), keys) == 1
    assert contradictions(np.empty(0, int), np.empty(0, np.uint64)) == 0


# The columns of well-known tables, and those of them whose rows belong together.
HEADERS = {
    "PhraseId SentenceId Phrase Sentiment": "SentenceId",
    "reviewerID asin reviewerName helpful reviewText overall summary unixReviewTime": (
        "reviewerID asin reviewerName"
    ),
    "rating title text images asin parent_asin user_id timestamp helpful_vote": (
        "asin parent_asin user_id"
    ),
    "review_id user_id business_id stars text date useful": "review_id user_id business_id",
    "Id ProductId UserId ProfileName HelpfulnessNumerator Score Time Summary Text": (
        "Id ProductId UserId ProfileName"
    ),
    "Sr_No Utterance Speaker Emotion Sentiment Dialogue_ID Utterance_ID Season": (
        "Speaker Dialogue_ID"
    ),
    "target ids date flag user text": "user",
    "ClothingID Age Title ReviewText Rating DivisionName ClassName": "ClothingID",
    "text label class_id lang category split annotator worker_id": "",
    "userid doc_id conversation-id movieName HotelName book": (
        "userid doc_id conversation-id movieName HotelName book"
    ),
}


@pytest.mark.parametrize("header", HEADERS)
def test_names_of_groups(header):
    values = np.arange(40) // 4
    found = [name for name in header.split() if looks_like_group(name, values)]
    assert found == HEADERS[header].split()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(40), False),  # a number of the row
        (np.arange(40) // 2, True),
        (np.arange(40) // 20, False),  # two values
        (np.append(np.arange(30), np.arange(10)), False),  # 40 rows of 30 values
        (np.append(np.full(20, -1), np.arange(20) // 4), True),  # empty cells do not count
        (np.full(40, -1), False),
        (np.arange(0), False),
    ],
)
def test_values_of_groups(values, expected):
    assert looks_like_group("SentenceId", values) is expected
