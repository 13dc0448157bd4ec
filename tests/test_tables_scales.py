"""Classes that are a scale, and classes that are not."""

import itertools

import pytest

from sst_keras.tables.scales import order
from sst_keras.tables.spelling import plain


def places(labels):
    return order([plain(label) for label in labels])


@pytest.mark.parametrize(
    "scale",
    [
        "1 2 10",
        "-1 0 1",
        "0.5 1 1.5",
        "1 star, 2 stars, 10 stars",
        "1, 2 stars, 3 stars",
        "10 %, 50%, 100 %",
        "1/5 3/5 5/5",
        "1 out of 5, 2 out of 5",
        "Grade 1, grade_2, grade-3",
        "LABEL_0 LABEL_1 LABEL_10",
        "class -1, class 1",
        "★ ★★ ★★★½",
        "☆☆☆ ★☆☆ ★★☆",
        "☆ ☆☆ ☆☆☆",
        "* ** ***",
        "$ $$ $$$",
        "one star, two stars, three stars, ten stars",
        "one two three",
        "1st 2nd 3rd",
        "1 - bad, 2 - ok, 3 - good",
        "1. excellent, 2. good, 3. poor",
        "angry (1), calm (2), glad (3)",
        "1 Stern, 2 Sterne",
        "very negative, negative, neutral, positive, very positive",
        "Extremely Negative, Negative, Neutral, Positive, Extremely Positive",
        "negative, somewhat negative, neutral, somewhat positive, positive",
        "neg neu pos",
        "NEGATIVE POSITIVE",
        "neutral positive",
        "very bad, bad, okay, good, very good",
        "bad so-so good",
        "poor, fair, good, very good, excellent",
        "terrible bad average good excellent",
        "worst best",
        "good better best",
        "low medium high",
        "very low, low, moderate, high, critical",
        "small medium large",
        "mild moderate severe",
        "never rarely sometimes often always",
        "Strongly disagree, Disagree, Neither agree nor disagree, Agree, Strongly agree",
        "very dissatisfied, dissatisfied, neutral, satisfied, very satisfied",
        "Not at all satisfied, slightly satisfied, very satisfied",
        "very unlikely, unlikely, neutral, likely, very likely",
        "no maybe yes",
        "FALSE TRUE",
        "fail pass",
        "hate dislike neutral like love",
        "N+ N NEU P P+",
        "-- - 0 + ++",
        ":-( :-| :-)",
        "👎 👍",
    ],
)
def test_scales_in_any_order(scale):
    labels = scale.split(", ") if ", " in scale else scale.split()
    for shuffled in itertools.islice(itertools.permutations(labels), 50):
        assert [shuffled[place] for place in places(shuffled)] == labels


@pytest.mark.parametrize(
    "labels",
    [
        ["joy", "anger"],
        ["positive", "negative", "neutral", "irrelevant"],
        ["positive", "negative", "neutral", "mixed"],  # two in the middle
        ["bad", "negative"],  # of two scales
        ["terrible", "awful", "good"],
        ["1", "2", "good"],
        ["0 negative", "1 positive", "2 neutral"],  # number and word contradict each other
        ["1/2", "1/3", "1/4"],
        ["1 of 5", "2 of 4"],
        ["mp3", "covid19"],
        ["1-2", "3-4"],
        ["2020-01-02", "2021-01-03"],
        ["1.2.3", "1.2.4"],
        ["one", "1"],
        ["someone", "anyone"],
        ["good"],
        [],
    ],
)
def test_no_scales(labels):
    assert places(labels) is None
