import pytest

from sst_keras.config import with_override
from sst_keras.experiments.report import wording
from sst_keras.experiments.report.comparison import Difference, Summary
from sst_keras.settings import Pipeline


def test_differences_have_signs_and_bold_where_0_is_left_out():
    assert wording.difference(Difference(1.25, 0.5, 2.0, 3)) == "**+1.2 [+0.50, +2.00]**"
    assert wording.difference(Difference(-1.0, -2.5, 0.5, 3)) == "−1.0 [−2.50, +0.50]"
    assert wording.difference(Difference(0.0, 0.0, 0.0, 3)) == "0.0 [0.00, 0.00]"
    # On which side of 0 an end lies is seen, and no 0 has a sign.
    assert wording.difference(Difference(0.7, 0.01, 1.4, 3)) == "**+0.7 [+0.01, +1.40]**"
    assert wording.difference(Difference(-0.04, -1.0, 0.9, 3)) == "0.0 [−1.00, +0.90]"
    assert wording.difference(Difference(2.0, None, None, 1)) == "+2.0 (one seed)"
    assert wording.difference(None) == "–"


def test_means():
    assert wording.mean(Summary(41.26, 0.54, 5)) == "41.3 ± 0.5 (5)"
    assert wording.mean(Summary(41.26, None, 1)) == "41.3 (1)"
    assert wording.mean(None) == "–"
    assert [wording.published(value) for value in (40.62, 42.0, None)] == ["40.62", "42.0", "–"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([], "LSTM + attention"),
        (["model.pooling=last"], "LSTM"),
        (["model.bidirectional=true", "model.pooling=max"], "BiLSTM + maximum"),
        (["embedding.vectors=none"], "LSTM + attention, no pretrained vectors"),
        (["model.name=mlp"], "MLP"),
    ],
)
def test_models(settings, words):
    pipeline = Pipeline()
    for setting in settings:
        pipeline = with_override(pipeline, setting)
    assert wording.model(pipeline) == words


def test_values_and_names():
    values = (True, 0.0005, 128, ("auto",), ("none",), ("/far/away/glove.txt", "b"), "sgd")
    words = ["yes", "0.0005", "128", "pretrained", "none", "glove.txt + b", "SGD"]
    assert list(map(wording.value, values)) == words
    assert wording.setting("model.units") == "hidden size"
    assert wording.setting("model.filters") == "`model.filters`"
    assert wording.name(("V2.3", "frozen")) == "V2.3/frozen"
    assert wording.vectors([{"vectors": ["/far/glove"]}, {"vectors": ["none"]}] * 2) == [
        "glove", "none",
    ]  # fmt: skip


def test_texts_are_shown_as_they_are():
    assert wording.text("a|b *c*\n<d>") == r"a\|b \*c\* &lt;d>"
    assert wording.ranges([1, 2, 3, 5]) == "1–3, 5"
    assert wording.slug("Own rate, 1e-3") == "own-rate-1e-3"
