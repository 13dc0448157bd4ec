import pytest
import tensorflow as tf

from sst_keras.errors import InputError, UsageError
from sst_keras.serving import prediction
from sst_keras.serving.export import export
from sst_keras.serving.prediction import Prediction, Predictor


@pytest.fixture(scope="module")
def predictor(trained_run, tmp_path_factory):
    return Predictor.load(export(trained_run, tmp_path_factory.mktemp("export") / "1"))


def test_a_prediction(predictor):
    (prediction,) = predictor.predict(["A wonderful film."])
    assert prediction.text == "A wonderful film."
    assert list(prediction.probabilities)[prediction.label] == prediction.class_name
    assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
    assert max(prediction.probabilities, key=prediction.probabilities.get) == prediction.class_name
    assert set(prediction.to_dict()) == {
        "text", "label", "class_name", "probabilities", "unknown_words",
    }  # fmt: skip


def test_a_notebook_shows_text_and_bars_and_runs_nothing():
    shares = {"<b>ad": 0.25, "good": 0.75}
    shown = Prediction("<script>1</script>", 1, "good", shares)._repr_html_()
    assert "&lt;script&gt;1&lt;/script&gt; → <b>good</b>" in shown and "<script" not in shown
    assert "&lt;b&gt;ad" in shown and "width: 75%" in shown
    shaded = Prediction("a <i>", 1, "good", shares, ("a", "<i>"), (0.1, 0.9))._repr_html_()
    assert '(66, 133, 244, 0.90)">&lt;i&gt;</span>' in shaded and "<i>" not in shaded


def test_words_that_the_model_does_not_know(predictor):
    known, half, guess = predictor.predict(["A wonderful film.", "film xqzzy", "xqzzy bleurgh ."])
    assert known.unknown_words == 0 and not known.is_a_guess
    assert half.unknown_words == 0.5 and not half.is_a_guess
    assert guess.unknown_words == pytest.approx(2 / 3) and guess.is_a_guess


def test_an_explanation(predictor):
    short, long = predictor.predict(["Good.", "It's not a good film."], explain=True)
    assert short.tokens == ("Good", ".") and len(short.attention) == 2
    assert long.tokens == ("It", "'s", "not", "a", "good", "film", ".")
    assert sum(long.attention) == pytest.approx(1.0)


def test_many_texts_in_their_order(predictor):
    texts = [f"{'good ' * (number % 7)}number {number}" for number in range(600)]
    predictions = predictor.predict(texts)
    assert [prediction.text for prediction in predictions] == texts
    assert predictions[599].probabilities == pytest.approx(
        predictor.predict([texts[599]])[0].probabilities, abs=1e-5
    )
    assert predictor.predict([]) == predictor.predict([], explain=True) == []
    assert predictor.predict(iter(texts[:2])) == predictor.predict(texts[:2])


def test_batches_of_few_characters_give_the_same_answers(predictor, monkeypatch):
    texts = ["good " * length for length in (9, 1, 40, 2, 3, 1, 2)]
    expected = predictor.predict(texts, explain=True)
    batches = []

    def run(batch):
        batches.append([len(text) for text in batch.numpy()])
        return signature(batch)

    signature = predictor._signatures["explain"]
    monkeypatch.setattr(predictor, "_signatures", {"explain": run})
    monkeypatch.setattr(prediction, "_BATCH_SIZE", 3)
    monkeypatch.setattr(prediction, "_BATCH_CHARACTERS", 30)
    for got, wanted in zip(predictor.predict(texts, explain=True), expected, strict=True):
        assert (got.text, got.tokens) == (wanted.text, wanted.tokens)
        assert got.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)
        assert got.attention == pytest.approx(wanted.attention, abs=1e-5)
    assert batches == [[5, 5, 10], [10, 15], [45], [200]]


def test_one_text(predictor):
    prediction = predictor("Great sound.")
    assert prediction.tokens == ("Great", "sound", ".")
    with pytest.raises(UsageError, match="a list of texts"):
        predictor.predict("Great sound.")  # would be one prediction per letter
    for wrong in (None, 3, ["good", None]):
        with pytest.raises(UsageError, match="a list of texts"):
            predictor.predict(wrong)


def test_what_is_no_export(tmp_path):
    with pytest.raises(UsageError, match="sst-keras export"):
        Predictor.load(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match="Export it again"):
        Predictor.load(tmp_path)
    tf.saved_model.save(tf.Module(), tmp_path / "other")
    with pytest.raises(InputError, match="another one"):
        Predictor.load(tmp_path / "other")
