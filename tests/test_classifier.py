import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_models import VARIANTS, make

import sst_keras
from sst_keras.classifier import Classifier
from sst_keras.corpora import load_corpus
from sst_keras.encoder import TokenEncoder
from sst_keras.errors import InputError, UsageError
from sst_keras.serving.export import export
from sst_keras.vocabulary import PADDING, UNKNOWN, Vocabulary


def test_probabilities_are_in_the_splits_order(trained_run):
    classifier = Classifier.load(trained_run)
    split = load_corpus(trained_run.pipeline.data).dev
    probabilities = classifier.probabilities(split, batch_size=7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    for row in (0, 77, 149):
        ids = classifier.encoder(split.tokens[row : row + 1]).to_tensor()
        logits = np.asarray(classifier.model({"token_ids": ids}))[0]
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(probabilities[row], expected, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_no_texts(variant):
    encoder = TokenEncoder(Vocabulary((PADDING, UNKNOWN, *"abcdefgh")), True)
    classifier = Classifier(make(variant), encoder, tuple("12345"))
    for run in classifier.signatures().values():
        answers = run(tf.constant([], tf.string))
        assert answers.pop("probabilities").shape == (0, 5)
        assert {name: tuple(value.shape) for name, value in answers.items()} == {
            "label": (0,),
            "class_name": (0,),
            "unknown_words": (0,),
            **({"tokens": (0, 0), "attention": (0, 0)} if "tokens" in answers else {}),
        }
        assert run(tf.constant(["a b"]))["probabilities"].shape == (1, 5)


@pytest.mark.slow
def test_a_run_and_its_export_predict_the_same(trained_run, tmp_path):
    folder = export(trained_run, tmp_path / "1")
    texts = ["A wonderful film.", "", "It's not good."]
    model, exported = sst_keras.load(trained_run.path), sst_keras.load(folder)
    assert model.class_names == exported.class_names and model.has_attention
    for ours, theirs in zip(model.predict(texts, explain=True), map(exported, texts), strict=True):
        assert ours.class_name == theirs.class_name and ours.tokens == theirs.tokens
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)
        assert ours.attention == pytest.approx(theirs.attention, abs=1e-5)


def test_a_damaged_model(run_copy):
    run_copy.model_file.write_bytes(run_copy.model_file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.keras"):
        Classifier.load(run_copy)


@pytest.mark.parametrize("last", ["Dense", "Unknown"])
def test_a_model_that_asks_for_more_memory_than_its_weights_take(run_copy, last):
    """A description of 10 kB may ask for gigabytes. None are taken, then or by the next model."""
    with zipfile.ZipFile(run_copy.model_file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(files["config.json"])
    described = description["config"]["layers"]
    [embedding] = [each for each in described if each["class_name"] == "Embedding"]
    assert embedding["config"]["input_dim"] == 227
    embedding["config"]["input_dim"] = 10**12
    described[-1]["class_name"] = last
    files["config.json"] = json.dumps(description).encode()
    with zipfile.ZipFile(run_copy.model_file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    expected = r"asks for [\d,]{17,} bytes" if last == "Dense" else "cannot be read .*Unknown"
    with pytest.raises(InputError, match=rf"model\.keras: .*{expected}"):
        Classifier.load(run_copy)
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def test_a_vocabulary_of_another_size(run_copy):
    words = run_copy.vocabulary_file.read_text("utf-8")
    run_copy.vocabulary_file.write_text(words + "another\n", "utf-8")
    with pytest.raises(InputError, match=r"vocabulary\.txt: expected 227 words.*Received 228"):
        Classifier.load(run_copy)


def test_no_model(tmp_path):
    with pytest.raises(UsageError, match="no run 'nothing'"):
        sst_keras.load("nothing")
    with pytest.raises(UsageError, match="not a trained run"):
        sst_keras.load(tmp_path)
