"""Labels as people write them, and the classes that they name."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_keras.errors import UsageError
from sst_keras.tables.labels import read_labels
from sst_keras.tables.spelling import shown


def read(*labels, given=()):
    """The first label has the most rows."""
    return read_labels({label: len(labels) - place for place, label in enumerate(labels)}, given)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("1", ["1.0", "+1", "01", "1e0", "1.", "1,0", "１", "１.０", " 1\t", "\u0661"]),
        ("-1", ["\u22121", "-1.00", "\u20131"]),
        ("0.5", [".5", "0,50", "5e-1", "½"]),
        ("0", ["-0", "0.0", "00"]),
        (
            "positive",
            ["Positive", "POSITIVE", "positive\u00a0", "\ufeffpositive", "posi\u00adtive"],
        ),
        ("positive", ["positive\u200b", "\u202apositive\u202c", "positive\ufe0f", "p\u043esitive"]),
        ("very negative", ["very_negative", "Very-Negative", "very  negative", "VeryNegative"]),
        (
            "very negative",
            ["very\u2013negative", " very\nnegative\x00", "\u200fvery\u3000negative"],
        ),
        ("négatif", ["ne\u0301gatif", "NÉGATIF"]),
        ("1 star", ["1 stars", "1-star", "01_Star", "1.0 stars", "1star"]),
        ("5/5", ["5 / 5", "5.0/5"]),
        ("10 %", ["10%", "10.0 %"]),
        ("don't know", ["Don\u2019t know"]),
        ("iyi", ["İyi", "IYI", "\u0131yi"]),
        ("❤", ["❤\ufe0f"]),
        ("★★", ["★ ★"]),
        (":)", [":-)"]),
    ],
)
def test_spellings_of_one_class(name, others):
    result = read(name, *others, "other")
    assert len(result.classes) == 2 and set(result.classes) == {name, "other"}
    (joined,) = result.joined.items()
    assert joined == (name, {x: len(others) + 2 - i for i, x in enumerate([name, *others])})
    assert {result.codes[x] for x in others} == {result.codes[name]} != {result.codes["other"]}


@pytest.mark.parametrize(
    "labels",
    [
        ["1", "-1", "10", "0.1", "0.01", "1_000", "1 0", "inf", "Infinity", "0x1", "x1"],
        ["1_000", "1_0", "1_00", "1,000", "1000", "1.2.3", "1.2"],
        [".-0", "0", ".0x"],
        ["90071992547409931", "90071992547409932", "0.1", "0.10000000000000001"],
        ["1" * 5000, "1" * 5001, "1e999999999"],
        ["1 2", "12", "1-2"],
        ["class 1", "class -1", "class 2"],
        ["A", "A-", "A+", "B"],
        ["++", "+", "+-", "+/-", "-", "--"],
        ["négatif", "negatif", "x²", "x2"],
        ["\U0001f469\u200d\U0001f4bb", "\U0001f469\U0001f4bb"],
    ],
)
def test_labels_that_are_different_classes(labels):
    result = read(*labels)
    assert sorted(result.codes.values()) == list(range(len(labels)))
    assert result.joined == {} and result.missing == {}


def test_a_comma_is_a_decimal_comma_only_if_each_one_can_be():
    assert read("0,5", "1,0", "1,25").classes == ("0.5", "1", "1.25")
    assert read("1,5", "1.5").classes == ("1.5",)
    assert read("1,5", "1,500").classes == ("1,5", "1,500")
    assert read("1,5", "1,2,3").classes == ("1,2,3", "1,5")
    assert read("1,5 Sterne", "1.5 sterne").classes == ("1,5 Sterne",)


def test_the_name_is_the_most_frequent_spelling_ties_by_code_point():
    assert read_labels({"a": 1, "A": 2}).classes == ("A",)
    assert read_labels({"a": 2, "A": 2}).classes == ("A",)
    # "a" is seen three times, with and without a space.
    assert read_labels({"a": 1, "a ": 2, "A": 2}).classes == ("a",)
    assert read_labels({"1.0": 9}).classes == ("1",) and read_labels({"1.0": 9}).joined == {}


def test_words_for_nothing():
    nothing = ["", " ", "nan", "NaN", "NULL", "None", "N/A", "na", "#N/A", "<NA>", "NaT", "-"]
    nothing += [
        "--",
        "?",
        "Empty",
        "nil",
        "\u2014",
        "...",
        "(blank)",
        "\\N",
        "[]",
        "\u200b",
        "n.a.",
    ]
    result = read("1", "2", *nothing)
    assert result.classes == ("1", "2") and result.ordered
    assert list(result.missing) == nothing and result.missing[""] == len(nothing)
    assert [result.codes[label] for label in nothing] == [-1] * len(nothing)
    assert read("+", "-", "--").missing == {}
    assert read("-1", "0").missing == {}


def test_a_word_for_nothing_is_a_class_if_the_user_says_so():
    result = read("mild", "none", "NaN", given=("none", "mild"))
    assert result.classes == ("none", "mild")
    assert result.codes == {"mild": 1, "none": 0, "NaN": -1}


def test_classes_of_the_user():
    result = read("Bad", "good", "BAD ", "great", "2.0", given=("2", "bad", "Good", "so so"))
    assert result.classes == ("2", "bad", "Good", "so so") and result.ordered
    assert result.codes == {
        "2.0": 0,
        "Bad": 1,
        "BAD ": 1,
        "good": 2,
    }  # "great" is left to the caller
    assert result.joined == {"bad": {"Bad": 5, "BAD ": 3}}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("1", "1.0"), "'1' and '1.0' name the same class"),
        (("bad", "good", " Bad"), "'bad' and ' Bad' name the same class"),
        (("a", "\u200b"), "Received a blank one"),
    ],
)
def test_wrong_classes_of_the_user(names, message):
    with pytest.raises(UsageError, match=message) as error:
        read("a", given=names)
    assert error.value.setting == "data.labels"


def test_order_and_whether_it_is_known():
    assert read("10", "nan", "2", "1.0").classes == ("1", "2", "10")
    result = read("Very_Positive", "neutral", "positive", "Negative", "very negative")
    expected = ("very negative", "Negative", "neutral", "positive", "Very_Positive")
    assert result.classes == expected and result.ordered
    result = read("joy", "Anger", "fear")
    assert result.classes == ("Anger", "fear", "joy") and not result.ordered
    assert read().classes == () and read("nan").classes == ()


LABELS = st.dictionaries(
    st.one_of(
        st.text("aAbB1203.,+-_ \u00a0\u200bé½★", max_size=6),
        st.sampled_from(["nan", "very good", "Very_Good", "bad", "1 star", "2 stars"]),
        st.text(max_size=4),
    ),
    st.integers(1, 5),
    max_size=12,
)


@given(LABELS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(counts, shuffle: random.Random):
    def parts(result):
        joined = [(name, list(spelled.items())) for name, spelled in result.joined.items()]
        rest = list(result.codes.items()), joined, list(result.missing.items())
        return result.classes, result.ordered, *rest

    items = list(counts.items())
    shuffle.shuffle(items)
    assert parts(read_labels(dict(items))) == parts(read_labels(counts))


@given(LABELS)
def test_each_label_is_one_class_or_none_and_names_find_their_classes(counts):
    result = read_labels(counts)
    assert result.codes.keys() == counts.keys()
    assert set(result.codes.values()) - {-1} == set(range(len(result.classes)))
    assert {label for label, code in result.codes.items() if code < 0} == result.missing.keys()
    # No two classes look alike: white space and invisible characters are not in names.
    assert all(name == shown(name) != "" for name in result.classes)
    assert len({name.casefold() for name in result.classes}) == len(result.classes)
    named = read_labels(counts, given=result.classes)
    assert named.classes == result.classes and named.codes == result.codes


@given(st.lists(st.decimals(-99, 99, places=3, allow_nan=False), min_size=1, max_size=8))
def test_numbers_are_classes_by_value(numbers):
    spelled = [f"{number:+.5f}" for number in numbers] + [f"{number:f} " for number in numbers]
    result = read_labels(dict.fromkeys(spelled, 1))
    values = sorted({Fraction(number) for number in numbers})
    assert [Fraction(name) for name in result.classes] == values and result.ordered
    assert [values[result.codes[x]] for x in spelled] == [Fraction(x.strip()) for x in spelled]
