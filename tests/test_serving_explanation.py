import re

import numpy as np
import pytest

from sst_keras.classifier import Classifier
from sst_keras.corpora import load_corpus
from sst_keras.errors import UsageError
from sst_keras.runtime import tf
from sst_keras.serving.explanation import explain, explain_tree, to_html
from sst_keras.serving.prediction import Prediction
from sst_keras.tokenizer import tokenize
from sst_keras.treebank import parse_tree


class Counter:
    """A model of two classes: the share of "good" is 0.5, and 0.2 more for each word `good`."""

    def __init__(self, has_attention=True):
        self.has_attention, self.batches = has_attention, []

    def predict(self, texts, explain=False):
        texts = list(texts)
        self.batches.append(texts)
        found = []
        for text in texts:
            words = text.split()
            good = 0.5 + 0.2 * words.count("good") - 0.3 * words.count("bad")
            name = "good" if good >= 0.5 else "bad"
            weights = (1 / len(words),) * len(words) if explain and self.has_attention else None
            shares = {"bad": 1 - good, "good": good}
            tokens = tuple(words) if weights else None
            found.append(Prediction(text, int(good >= 0.5), name, shares, tokens, weights))
        return found


def test_the_effect_of_each_token_by_hand():
    model = Counter()
    one, other = explain(model, ["good film", "bad plot"])
    assert model.batches == [
        ["good film", "bad plot"], ["good film", "film", "good", "bad plot", "plot", "bad"],
    ]  # fmt: skip
    assert one.tokens == ("good", "film")
    np.testing.assert_allclose(one.effects, [0.2, 0.0])
    assert other.prediction.class_name == "bad"
    np.testing.assert_allclose(other.effects, [0.3, 0.0])  # for "bad"
    report = other.to_dict()
    assert report["tokens"] == ["bad", "plot"] and report["effects"] == list(other.effects)
    assert report["without"][0] == pytest.approx({"bad": 0.5, "good": 0.5})


def test_tokens_stay_the_same_when_they_are_joined(trained_run):
    """So that a text without a token is the same text without that token."""
    texts = [
        "It's \"good\", isn't it?",
        "I can't... (wow!)",
        "cannot 3.5 it`s 'tis A.B. U.S.",
        "$5",
    ]
    split = load_corpus(trained_run.pipeline.data).test
    tokens = [row.numpy() for row in tokenize(texts)]
    tokens += [split.tokens[row].numpy() for row in range(50)]
    for row in tokens:
        again = tokenize([tf.strings.reduce_join(row, separator=" ")])[0].numpy()
        assert again.tolist() == row.tolist()


def test_a_real_model(trained_run):
    predictor = Classifier.load(trained_run).predictor()
    text = "Not a great film, at all."
    (found,) = explain(predictor, [text])
    assert found.tokens == found.prediction.tokens
    shorter = "Not a great film , at all"  # without the last token
    name = found.prediction.class_name
    (alone,) = predictor.predict([shorter])
    effect = found.prediction.probabilities[name] - alone.probabilities[name]
    assert found.effects[-1] == pytest.approx(effect, abs=1e-6)


@pytest.mark.parametrize("has_attention", [True, False])
def test_a_page_needs_nothing_else(has_attention):
    explanations = explain(Counter(has_attention), ["good < & film", "bad plot"])
    page = to_html(explanations, "Words <1>")
    assert "<title>Words &lt;1&gt;</title>" in page and "<script" not in page
    assert ">&lt;</span>" in page and ">&amp;</span>" in page and page.count("<article") == 2
    assert "default-src 'none'" in page and not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert ('id="by-attention"' in page) == has_attention
    assert "effect +20.0 points" in page
    assert ("attention 25%" in page) == has_attention
    # The strongest word has the full shade.
    assert "--plus: 1.000; --minus: 0.000" in page


TREE = parse_tree("(1 (0 (0 bad) (0 film)) (1 (0 but) (1 good)))")


class Two(Counter):
    class_names = ("bad", "good")


def test_each_node_of_a_tree_is_predicted_by_its_text():
    model = Two()
    found = explain_tree(model, TREE)
    assert found.spans == (
        "bad film but good", "bad film", "bad", "film", "but good", "but", "good",
    )  # fmt: skip
    assert found.labels == (1, 0, 0, 0, 1, 0, 1)
    # A model that takes neutral words for good ones.
    assert [prediction.label for prediction in found.predictions] == [0, 0, 0, 1, 1, 1, 1]
    assert found.right == 4
    report = found.to_dict()
    assert report["right"] == 4 and report["nodes"][0]["true_class"] == "good"
    assert report["nodes"][0]["class_name"] == "bad"
    with pytest.raises(UsageError, match="0 to 1. Received the label 3"):
        explain_tree(model, parse_tree("(3 good)"))
