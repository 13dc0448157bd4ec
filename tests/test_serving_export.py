import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sst_keras.classifier import Classifier
from sst_keras.corpora import load_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.serving.export import export
from sst_keras.serving.prediction import Predictor


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    return export(trained_run, tmp_path_factory.mktemp("export") / "1")


def test_the_signatures(exported):
    loaded = tf.saved_model.load(str(exported))
    assert loaded.format.numpy() == 1
    signatures = loaded.signatures
    assert set(signatures) == {"serving_default", "explain"}
    (text,) = signatures["serving_default"].structured_input_signature[1].values()
    assert (text.name, text.dtype, text.shape.as_list()) == ("text", tf.string, [None])
    outputs = signatures["serving_default"].structured_outputs
    assert {name: (o.dtype, o.shape.as_list()) for name, o in outputs.items()} == {
        "probabilities": (tf.float32, [None, 5]),
        "label": (tf.int64, [None]),
        "class_name": (tf.string, [None]),
        "unknown_words": (tf.float32, [None]),
    }


def test_strings_get_the_labels_that_evaluation_gives(trained_run, exported):
    split = load_corpus(trained_run.pipeline.data).test
    expected = Classifier.load(trained_run).probabilities(split)
    texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ")
    answers = tf.saved_model.load(str(exported)).signatures["serving_default"](texts)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(answers["label"], expected.argmax(axis=1))


def test_no_texts(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
    none = tf.constant([], tf.string)
    shapes = {"probabilities": (0, 5), "label": (0,), "class_name": (0,), "unknown_words": (0,)}
    answers = signatures["serving_default"](none)
    assert {name: tuple(value.shape) for name, value in answers.items()} == shapes
    answers = signatures["explain"](none)
    shapes |= {"tokens": (0, 0), "attention": (0, 0)}
    assert {name: tuple(value.shape) for name, value in answers.items()} == shapes


def test_explanations(exported):
    explain = tf.saved_model.load(str(exported)).signatures["explain"]
    answers = {name: value.numpy() for name, value in explain(tf.constant(["Don't!", ""])).items()}
    assert answers["tokens"].tolist() == [[b"Do", b"n't", b"!"], [b"<unk>", b"", b""]]
    np.testing.assert_allclose(answers["attention"].sum(axis=1), [1, 1], atol=1e-6)
    np.testing.assert_allclose(answers["attention"][1], [1, 0, 0], atol=1e-6)


@pytest.mark.slow
def test_it_needs_only_tensorflow(exported, tmp_path):
    code = f"""
import sys
sys.modules["sst_keras"] = None  # importing it would fail
import tensorflow as tf
answers = tf.saved_model.load({str(exported)!r}).signatures["serving_default"](
    tf.constant(["A wonderful film.", "", "caf\\u00e9 " * 300])
)
assert answers["probabilities"].shape == (3, 5)
assert answers["class_name"].numpy()[0].decode().split()[-1] in ("negative", "neutral", "positive")
assert not any(name.startswith("sst_keras.") for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_no_graph_needs_a_gpu(exported):
    loaded = tf.saved_model.load(str(exported))
    for signature in loaded.signatures.values():
        operations = {
            node.op
            for function in signature.graph.as_graph_def().library.function
            for node in function.node_def
        }
        assert operations and not any("Cudnn" in operation for operation in operations)


def test_a_run_keeps_its_export_and_replaces_it(run_copy):
    first = export(run_copy)
    assert first == run_copy.saved_model_dir == run_copy.path / "saved_model" / "1"
    assert export(run_copy) == first
    assert [path.name for path in first.parent.iterdir()] == ["1"]


def test_a_folder_that_is_there_already(trained_run, exported, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    for out, overwrite in ((tmp_path, False), (tmp_path, True), (exported, False)):
        with pytest.raises(UsageError) as error:
            export(trained_run, out, overwrite)
        assert error.value.setting == "out"
    backup = exported.with_name(f".{exported.name}.backup")
    backup.mkdir()
    os.utime(backup, (1, 1))
    assert export(trained_run, exported, overwrite=True) == exported
    assert (tmp_path / "thesis.tex").exists() and backup.exists()


def test_keras_runs_it_as_a_layer(trained_run, exported):
    layer = keras.layers.TFSMLayer(str(exported), call_endpoint="serving_default")
    texts = ["Not bad.", "Dull."]
    answers = layer(tf.constant(texts))
    found = Classifier.load(trained_run).predictor().predict(texts)
    assert answers["label"].numpy().tolist() == [each.label for each in found]


def test_an_export_that_has_changed_is_refused(exported, tmp_path):
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    assert Predictor.load(copy)("Not bad.").class_name
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/model_card.md"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
        with pytest.raises(InputError, match=rf"{name}: it has changed since"):
            Predictor.load(copy)
        (copy / name).write_bytes(content)
    assert Predictor.load(copy)


def test_each_weight_is_written_once(trained_run, exported):
    reader = tf.train.load_checkpoint(str(exported / "variables" / "variables"))
    written = sum(
        int(np.prod(shape)) * reader.get_variable_to_dtype_map()[name].size
        for name, shape in reader.get_variable_to_shape_map().items()
        if reader.get_variable_to_dtype_map()[name] != tf.string
    )
    model = Classifier.load(trained_run).model
    own = sum(int(np.prod(each.shape)) * tf.as_dtype(each.dtype).size for each in model.variables)
    assert written - own == 4  # the format's number


def test_what_is_no_export_is_not_replaced(run_copy, tmp_path):
    folder = export(run_copy)
    for name in ("notes.txt", "assets.extra/tf_serving_warmup_requests"):
        (folder / name).write_text("mine")
        with pytest.raises(UsageError, match=f"{name} is not of an export"):
            export(run_copy)
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        export(run_copy)
    assert (tmp_path / "elsewhere" / "saved_model.pb").is_file()
