"""ONNX and LiteRT give the probabilities of the model itself."""

import json
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from sst_keras.classifier import Classifier
from sst_keras.cli import main
from sst_keras.corpora import load_corpus
from sst_keras.ensemble import averaged
from sst_keras.errors import UsageError
from sst_keras.models import build_model, quantize_vectors
from sst_keras.serving.portable import export_portable, portable
from sst_keras.settings import EmbeddingConfig, ModelConfig

IDS = np.array([[2, 3, 4, 5, 6], [7, 8, 0, 0, 0], [1, 0, 0, 0, 0]], np.int32)


def model(quantized=False, **settings):
    keras.utils.set_random_seed(1)
    built = build_model(ModelConfig(units=4, **settings), EmbeddingConfig(dim=6), 9, 3)
    if quantized:
        quantize_vectors(built)
    return built


MODELS = {
    "one direction": lambda: model(),
    "both": lambda: model(bidirectional=True, pooling="max-mean-attention", quantized=True),
    "two layers": lambda: model(
        num_layers=2, shortcuts=True, bidirectional=True, matmul_dtype="bfloat16"
    ),
    "last": lambda: model(pooling="last", bidirectional=True),
    "mean": lambda: model(name="mlp"),
    "convolution": lambda: model(name="cnn-multichannel", filters=3),
    "ensemble": lambda: averaged([model(), model(num_layers=2)]),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_of_others_give_the_same(name):
    own = MODELS[name]()
    found = portable(own)({"token_ids": IDS}, training=False)
    # bfloat16 rounds to 8 bits; Keras's layer does not.
    expected = keras.ops.softmax(own({"token_ids": IDS}, training=False))
    np.testing.assert_allclose(
        found["probabilities"], expected, atol=2e-3 if name == "two layers" else 1e-6
    )
    if "attention" in found:
        np.testing.assert_allclose(np.sum(found["attention"], axis=1), 1, rtol=1e-5)
        assert (np.asarray(found["attention"])[IDS == 0] == 0).all()


@pytest.fixture(scope="module")
def expected(trained_run):
    classifier = Classifier.load(trained_run)
    split = load_corpus(trained_run.pipeline.data).test
    ids = [row.numpy().astype(np.int32) for row in classifier.encoder(split.tokens)]
    return ids, classifier.probabilities(split)


def test_onnx(trained_run, expected, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    out = export_portable(trained_run, "onnx", tmp_path / "onnx")
    about = json.loads((out / "about.json").read_text("utf-8"))
    assert about["class_names"][0] == "very negative" and about["batch"] is None
    assert len((out / "vocabulary.txt").read_text("utf-8").split("\n")) > 100
    assert "## Behaviour" in (out / "model_card.md").read_text("utf-8")
    session = runtime.InferenceSession(out / "model.onnx")
    assert {each.name for each in session.get_outputs()} == {"probabilities", "attention"}
    ids, probabilities = expected
    padded = np.zeros((len(ids), max(map(len, ids))), np.int32)
    for place, row in enumerate(ids):
        padded[place, : len(row)] = row
    found, attention = session.run(["probabilities", "attention"], {"token_ids": padded})
    np.testing.assert_allclose(found, probabilities, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), probabilities.argmax(axis=1))
    assert (attention[padded == 0] == 0).all()


def test_litert(trained_run, expected, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    out = export_portable(trained_run, "litert", tmp_path / "litert")
    assert json.loads((out / "about.json").read_text("utf-8"))["batch"] == 1
    run = interpreter.Interpreter(model_path=str(out / "model.tflite")).get_signature_runner()
    for row, probabilities in zip(*expected, strict=True):
        found = run(token_ids=row[None])
        np.testing.assert_allclose(found["probabilities"][0], probabilities, atol=1e-5)
        assert found["attention"].sum() == pytest.approx(1, abs=1e-5)


def test_the_command(run_copy, tmp_path, monkeypatch):
    def written(model, form, path):
        path.write_text(form, "utf-8")

    monkeypatch.setattr("sst_keras.serving.portable._write", written)
    for form, name in (("onnx", "model.onnx"), ("litert", "model.tflite")):
        arguments = ["export", str(run_copy.path), "--format", form]
        for _ in range(2):  # its own is replaced
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 0 and result.stdout.strip() == str(run_copy.path / form)
        assert (run_copy.path / form / name).read_text("utf-8") == form
    out = tmp_path / "out"
    for more, code in (([], 0), ([], 2), (["--overwrite"], 0)):
        assert CliRunner().invoke(main, [*arguments, "--out", str(out), *more]).exit_code == code
    monkeypatch.chdir(out)
    again = CliRunner().invoke(main, [*arguments, "--out", ".", "--overwrite"])
    assert again.exit_code == 0 and again.stdout.strip() == str(out)
    assert (out / "model.tflite").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("", "utf-8")
    mine = ["--out", str(tmp_path / "mine"), "--overwrite"]
    assert CliRunner().invoke(main, [*arguments, *mine]).exit_code == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_an_old_export_stays_until_the_new_one_is_complete(run_copy, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    monkeypatch.setattr(
        "sst_keras.serving.portable._write", lambda model, form, path: path.write_text(form)
    )
    folder = export_portable(run_copy, "onnx")
    monkeypatch.setattr("sst_keras.files.os.rename", killed)
    monkeypatch.setattr("sst_keras.files.Path.rename", killed)
    with pytest.raises(Killed):
        export_portable(run_copy, "onnx")
    assert (folder / "model.onnx").is_file()


def test_a_package_that_is_missing_is_named(run_copy, monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "tf2onnx":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'sst-keras\[onnx\]'"):
        export_portable(run_copy, "onnx")
    assert not (run_copy.path / "onnx").exists()
