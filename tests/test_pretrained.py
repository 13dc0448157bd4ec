import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sst_keras.config import load_pipeline
from sst_keras.errors import InputError, UsageError
from sst_keras.pretrained import LanguageModelRun, export_encoder, find_language_models
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras
from sst_keras.training import train
from sst_keras.vectors import sets

UNITS = 3


@pytest.fixture
def language_model(tmp_path):
    """A finished run that reads the sample's vectors."""
    run = LanguageModelRun(tmp_path / "lm")
    run.path.mkdir()
    random = np.random.default_rng(0)
    vectors = sets.find_vectors("sample")
    dim = sets.describe(vectors)["dim"]
    weights = {}
    for direction in ("forward", "backward"):
        weights[f"{direction}/kernel"] = random.normal(size=(dim, 4 * UNITS)).astype("f")
        recurrent_kernel, bias = (
            random.normal(size=(UNITS, 4 * UNITS)),
            random.normal(size=4 * UNITS),
        )
        weights[f"{direction}/recurrent_kernel"] = recurrent_kernel.astype("f")
        weights[f"{direction}/bias"] = bias.astype("f")
    np.savez(run.weights_file, **weights)
    about = {
        "format": 1,
        "settings": {"units": UNITS, "epochs": 1},
        "corpus": {"name": "films", "fingerprint": "f00d"},
        "vectors": {"name": "sample", "fingerprint": sets.fingerprint(vectors)},
    }
    run.settings_file.write_text(json.dumps(about))
    run.metrics_file.write_text("{}")
    return run


@pytest.fixture
def part_of_the_vectors(tmp_path, language_model):
    """Some of the vectors that the language model reads, as `vectors subset` writes them."""
    whole, part = tmp_path / "whole.txt", tmp_path / "part.txt"
    whole.write_bytes(sets.find_vectors("sample").read_bytes())
    facts = {"file": whole.name, "corpus": {"name": "films"}}
    sets.facts_file(whole).write_text(json.dumps(facts))
    sets.write_subset(whole, (), part, 100)
    return part


def initial_weights(tmp_path, *overrides):
    """Returns the model before training, for settings of a pipeline on the sample."""

    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise KeyboardInterrupt

    pipeline = load_pipeline(
        "lstm-attention",
        ["data.dataset=sample", f"model.units={UNITS}", *overrides],
    )
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir(exist_ok=True)
    with pytest.raises(KeyboardInterrupt):
        train(pipeline, run, callbacks=[Stop()])
    return keras.models.load_model(run.model_file)


def test_a_run_says_what_it_started_from(tmp_path, language_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    initial_weights(tmp_path, "model.init=lm")
    run = RunDirectory(tmp_path / "run")
    assert run.pipeline.model.init == str(language_model.path)  # found from any folder
    about = run.environment()["language_model"]
    assert about["corpus"] == {"name": "films", "fingerprint": "f00d"}
    digest = hashlib.sha256(language_model.weights_file.read_bytes())
    assert about["fingerprint"] == digest.hexdigest()


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_both_directions_start_from_the_language_model(tmp_path, language_model, scale):
    model = initial_weights(
        tmp_path,
        f"model.init={language_model.path}",
        f"embedding.scale={scale}",
        "model.bidirectional=true",
    )
    layer, weights = model.get_layer("bidirectional_1"), language_model.weights()
    vectors = sets.load_vectors(sets.find_vectors("sample"), ())
    plain = initial_weights(tmp_path).get_layer("embedding").get_weights()[0]
    factor = model.get_layer("embedding").get_weights()[0][2:].std() / plain[2:].std()
    for name, one in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
        kernel, recurrent, bias = one.get_weights()
        # The product with the scaled vectors is that with the vectors of the file.
        np.testing.assert_allclose(kernel * factor, weights[f"{name}/kernel"], rtol=1e-4)
        np.testing.assert_allclose(recurrent, weights[f"{name}/recurrent_kernel"], rtol=1e-6)
        np.testing.assert_allclose(bias, weights[f"{name}/bias"], rtol=1e-6)
    assert (factor == pytest.approx(1)) == (scale == 0)
    assert vectors.dim == kernel.shape[0]


def test_an_encoder_and_a_part_of_its_vectors_are_a_start(
    tmp_path, language_model, part_of_the_vectors
):
    encoder = export_encoder(language_model)
    assert encoder == language_model.path / "encoder"
    assert {str(each.dtype) for each in LanguageModelRun(encoder).weights().values()} == {"float16"}
    settings = [f'embedding.vectors="{part_of_the_vectors}"', f"model.init={encoder}"]
    kernel, recurrent, bias = initial_weights(tmp_path, *settings).get_layer("lstm_1").get_weights()
    whole = language_model.weights()
    for found, name in ((kernel, "kernel"), (recurrent, "recurrent_kernel"), (bias, "bias")):
        np.testing.assert_allclose(found, whole[f"forward/{name}"], rtol=2**-10, atol=1e-6)
    again = export_encoder(language_model)
    assert sorted(file.name for file in again.iterdir()) == [
        "language_model.json", "metrics.json", "weights.npz",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="exists already"):
        export_encoder(language_model, again)


def test_an_encoder_whose_description_was_changed(language_model):
    encoder = LanguageModelRun(export_encoder(language_model))
    about = encoder.about()
    assert about.pop("made_from") == language_model.fingerprint and about == language_model.about()
    text = encoder.settings_file.read_text("utf-8")
    encoder.settings_file.write_text(text.replace("films", "fills"), "utf-8")
    with pytest.raises(InputError, match=r"language_model\.json: it has changed since"):
        encoder.about()


def test_an_encoder_replaces_no_other_files(language_model):
    encoder = export_encoder(language_model)
    for name in ("notes.txt", "vocabulary.txt"):  # the second is of a complete language model
        (encoder / name).write_text("mine")
        with pytest.raises(UsageError, match=rf"{name} is not of an encoder.*Move it away"):
            export_encoder(language_model)
        assert (encoder / name).read_text() == "mine"
        (encoder / name).unlink()
    assert export_encoder(language_model) == encoder


def test_a_killed_export_of_an_encoder_is_no_finished_language_model(language_model):
    code = f"""
import os, numpy
from pathlib import Path
from sst_keras.pretrained import LanguageModelRun, export_encoder
numpy.savez = lambda *_, **__: os._exit(9)
export_encoder(LanguageModelRun(Path({str(language_model.path)!r})))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    (left,) = language_model.path.glob(".encoder.*")
    assert not LanguageModelRun(left).is_finished
    assert list(find_language_models(language_model.path.parent)) == [language_model]
    for path in (*left.iterdir(), left):
        os.utime(path, (1, 1))
    export_encoder(language_model)
    assert not left.exists()


def test_the_encoder_of_the_repository_reads_its_vectors():
    run = LanguageModelRun(Path(__file__).parents[1] / "saved_models/language-model/imdb_reviews")
    path = sets.find_vectors("imdb_reviews-skip-gram-300.sst5")
    assert run.is_finished and run.about()["vectors"]["fingerprint"] in sets.fingerprints(path)
    shapes = {name: array.shape for name, array in run.weights().items()}
    assert shapes["forward/kernel"] == (300, 4 * run.units)
    assert shapes["backward/recurrent_kernel"] == (run.units, 4 * run.units)
    assert "terrible" in sets.load_vectors(path, ["terrible"]).words


def test_weights_that_float16_does_not_reach(tmp_path, language_model):
    weights = language_model.weights()
    weights["backward/kernel"][0, 0] = 1e6
    np.savez(language_model.weights_file, **weights)
    with pytest.raises(InputError, match="backward/kernel"):
        export_encoder(language_model, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_other_inputs_do_not_count_at_first(tmp_path, language_model):
    extra = tmp_path / "extra.txt"
    words = ["the", "a", "film", "and", "of", "is", "it", "to", "in", "that", ".", ","]
    extra.write_text("".join(f"{word} {number} 1\n" for number, word in enumerate(words)))
    overrides = [f'embedding.vectors=["{extra}", "sample"]']
    model = initial_weights(tmp_path, *overrides, f"model.init={language_model.path}")
    kernel = model.get_layer("lstm_1").get_weights()[0]
    np.testing.assert_array_equal(kernel[:2], 0)
    np.testing.assert_allclose(kernel[2:], language_model.weights()["forward/kernel"], rtol=1e-6)


def test_a_frozen_language_model_gives_features(tmp_path, language_model):
    settings = (f"model.init={language_model.path}", "model.train_init=false", "model.units=5")
    layers = ("model.num_layers=2", "model.bidirectional=true")
    model = initial_weights(tmp_path, *settings, *layers)
    widths = [model.get_layer(f"bidirectional_{n}").forward_layer.units for n in (1, 2)]
    assert widths == [UNITS, 5]  # the first layer is as wide as the language model
    assert not model.get_layer("bidirectional_1").trainable_variables
    assert len(model.get_layer("bidirectional_2").trainable_variables) == 6


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        (["model.train_init=false"], True),
        (["model.train_init=false", "model.num_layers=2"], True),
        (["model.train_init=false", "model.num_layers=2", "model.shortcuts=true"], False),
        (["model.train_init=true"], False),
    ],
)
def test_vectors_without_effect(tmp_path, language_model, settings, warned, caplog):
    extra = tmp_path / "extra.txt"
    words = ["the", "a", "film", "and", "of", "is", "it", "to", "in", "that", ".", ","]
    extra.write_text("".join(f"{word} {number} 1\n" for number, word in enumerate(words)))
    vectors = f'embedding.vectors=["{extra}", "sample"]'
    initial_weights(tmp_path, vectors, f"model.init={language_model.path}", *settings)
    assert ("the other vectors have no effect" in caplog.text) is warned


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["embedding.vectors=none"], "reads the vectors sample. Add them.*Received: none"),
        (["model.init={lm}", "model.name=mlp"], "model.name = lstm.*Received: mlp"),
        (["model.init=nowhere"], "no run or language model 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, language_model, overrides, message):
    with pytest.raises(UsageError, match=message):
        initial_weights(tmp_path, f"model.init={language_model.path}", *overrides)


@pytest.mark.parametrize(
    "name, change",
    [
        ("forward/kernel", lambda array: array[:, 1:]),
        ("backward/kernel", lambda array: array[1:]),
        ("forward/recurrent_kernel", lambda array: array.T),
        ("backward/bias", lambda array: array.astype(str)),
        ("backward/bias", lambda array: array.astype(int)),
        ("forward/bias", lambda array: np.where(np.arange(len(array)), array, np.nan)),
        ("forward/bias", lambda array: array.reshape(1, -1)),
    ],
)
def test_weights_that_do_not_fit(language_model, name, change):
    weights = language_model.weights()
    np.savez(language_model.weights_file, **weights | {name: change(weights[name])})
    with pytest.raises(InputError, match=f"weights.npz: .*{name} is float.*Received .*pretrain"):
        language_model.weights()


def test_weights_for_other_vectors(tmp_path, language_model):
    weights = language_model.weights()
    kernels = {name: array[1:] for name, array in weights.items() if name.endswith("/kernel")}
    np.savez(language_model.weights_file, **weights | kernels)
    with pytest.raises(InputError, match="weights for vectors of .* numbers. Received those for"):
        initial_weights(tmp_path, f"model.init={language_model.path}")


def test_damaged_and_newer_runs(language_model):
    assert LanguageModelRun.find(language_model.path) == language_model
    language_model.weights_file.write_bytes(b"PK")
    with pytest.raises(InputError, match="expected a file of arrays"):
        language_model.weights()
    np.savez(language_model.weights_file, **{"forward/kernel": np.zeros(1)})
    with pytest.raises(
        InputError, match=r"forward/kernel is float\[0, 12\].* Received float64\[1\]"
    ):
        language_model.weights()
    about = language_model.about()
    for table in ("settings", "corpus", "vectors"):
        language_model.settings_file.write_text(json.dumps({**about, table: {}}))
        with pytest.raises(InputError, match=f"expected .* in {table}.*sst-keras pretrain"):
            language_model.about()
    settings = {**about, "settings": about["settings"] | {"units": True}}
    language_model.settings_file.write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"a whole number from 1 .* in settings\.units"):
        language_model.about()
    for damage in ("{}", '{"perplexity": {"forward": 1}}', '{"perplexity": 1}'):
        language_model.metrics_file.write_text(damage)
        with pytest.raises(InputError, match=r"metrics\.json: expected .*sst-keras pretrain"):
            language_model.metrics()
    language_model.history_file.write_text("epoch,tokens\n1,2\n")
    with pytest.raises(InputError, match=r"history\.csv: expected a number in \[0\]\.seconds"):
        language_model.history()
    language_model.settings_file.write_text('{"format": 2}')
    with pytest.raises(InputError, match="expected format 1. Received: 2"):
        language_model.about()


def test_a_run_is_named_by_its_place_below_saved_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert LanguageModelRun(tmp_path / "saved_models/a/b").lasting_name == "a/b"
    outside = tmp_path / "elsewhere"
    assert LanguageModelRun(outside).lasting_name == str(outside)
