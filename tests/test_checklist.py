import pytest

from sst_keras import locations
from sst_keras.checklist import Case, check, is_sentiment, load_cases
from sst_keras.errors import InputError
from sst_keras.serving.prediction import Prediction

FIVE = ("very negative", "negative", "neutral", "positive", "very positive")


def says(answers, names=FIVE):
    """Returns a model that gives each text a class, by its number, with a probability of 0.6."""

    def predict(texts):
        assert len(set(texts)) == len(texts)  # each is asked once
        found = []
        for text in texts:
            label = answers[text]
            rest = 0.4 / (len(names) - 1)
            shares = {name: 0.6 if place == label else rest for place, name in enumerate(names)}
            found.append(Prediction(text, label, names[label], shares))
        return found

    return predict


@pytest.mark.parametrize(
    ("expected", "passing"),
    [
        ("negative", [0, 1]), ("positive", [3, 4]),
        ("not negative", [2, 3, 4]), ("not positive", [0, 1, 2]),
    ],
)  # fmt: skip
def test_sides_of_five_classes(expected, passing):
    for label in range(5):
        ((outcome,),) = (c.outcomes for c in check(says({"a": label}), [Case("x", "a", expected)]))
        assert outcome.passed == (label in passing)
        assert outcome.answers == (FIVE[label],)


def test_sides_of_two_classes():
    (found,) = check(says({"a": 1}, ("bad", "good")), [Case("x", "a", "not negative")])
    assert found.failure_rate == 0
    (found,) = check(says({"a": 0}, ("bad", "good")), [Case("x", "a", "not negative")])
    assert found.failure_rate == 1


@pytest.mark.parametrize(("other", "passing"), [(1, {"lower"}), (2, {"same"}), (3, {"higher"})])
def test_what_another_sentence_changes(other, passing):
    for expected in ("same", "higher", "lower"):
        predict = says({"a": 2, "b": other})
        (found,) = check(predict, [Case("x", "a", expected, "b")])
        assert found.outcomes[0].passed == (expected in passing)
    assert found.outcomes[0].mean_classes[0] == pytest.approx(2.0)  # 0.6 · 2 + 0.1 · (0+1+3+4)


def test_cases_are_counted_by_capability():
    cases = [Case("x", "a", "negative"), Case("y", "a", "positive"), Case("x", "b", "negative")]
    x, y = check(says({"a": 0, "b": 4}), cases)
    assert (x.name, x.failure_rate, y.name, y.failure_rate) == ("x", 0.5, "y", 1.0)
    assert [outcome.case.text for outcome in x.failures] == ["b"]
    report = x.to_dict()
    assert (report["cases"], report["failures"]) == (2, 1)
    assert report["outcomes"][1]["passed"] is False and "other" not in report["outcomes"][1]


def test_the_cases_that_ship():
    cases = load_cases()
    names = list(dict.fromkeys(case.capability for case in cases))
    assert names[:3] == ["plain", "negation", "negated-negatives"] and len(names) == 9
    for name in names:
        own = [(case.text, case.other) for case in cases if case.capability == name]
        assert len(own) >= 40 and len(set(own)) == len(own)
        # As many of one side as of the other, where both are tested.
        kinds = [case.expected for case in cases if case.capability == name]
        low = sum(kind in ("negative", "not positive", "lower") for kind in kinds)
        assert name in ("negation", "negated-negatives", "names", "typos") or abs(low - 20) <= 2
    readme = (locations.bundled("behaviour") / "README.md").read_text("utf-8")
    assert all(f"| `{name}.csv` |" in readme for name in names)


def test_classes_that_are_sentiments():
    for names in (FIVE, ("bad", "good"), ("neg", "pos"), ("Very Bad", "so-so", "Very Good")):
        assert is_sentiment(names)
    for names in (("good", "bad"), ("mild", "severe"), ("0", "1"), ("1", "5"), ("no", "yes")):
        assert not is_sentiment(names)


@pytest.mark.parametrize("row", ["Not bad.,good", ",negative", "a,b,negative", "a,negative,,more"])
def test_damaged_cases(tmp_path, row):
    (tmp_path / "x.csv").write_text(f"text,other,expected\n{row}\n", "utf-8")
    with pytest.raises(InputError, match="x.csv, case 1: expected a text"):
        load_cases(tmp_path)
    (tmp_path / "x.csv").unlink()
    with pytest.raises(InputError, match="expected files of cases"):
        load_cases(tmp_path)
