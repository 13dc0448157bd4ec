"""Models of other installed packages."""

import sys

import pytest
from click.testing import CliRunner

from sst_keras import plugins
from sst_keras.classifier import Classifier
from sst_keras.cli import main
from sst_keras.config import load_pipeline
from sst_keras.errors import UsageError
from sst_keras.runs import new_run
from sst_keras.settings import is_read
from sst_keras.training import train

MODULE = """
import keras
from sst_keras.layers import MaskedAveragePooling

@keras.saving.register_keras_serializable("other")
class Doubled(keras.layers.Layer):
    supports_masking = True

    def call(self, x):
        return 2.0 * x

def gru(model, x):
    x = keras.layers.GRU(model.units, return_sequences=True, name="gru")(Doubled()(x))
    return MaskedAveragePooling(name="mean")(x)
"""


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """An installed package with the encoders `gru` and `broken`, and an `mlp` that is not ours."""
    (tmp_path / "other_package.py").write_text(MODULE, "utf-8")
    about = tmp_path / "other_package-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other_package\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[sst_keras.encoders]\ngru = other_package:gru\nbroken = other_package:none\n"
        "mlp = other_package:gru\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.encoders.cache_clear()
    yield
    sys.modules.pop("other_package", None)
    plugins.encoders.cache_clear()


def test_an_encoder_of_another_package(other_package, tmp_path, monkeypatch):
    settings = ["model.name=gru", "model.units=4", "data.dataset=sample", "training.epochs=1"]
    pipeline = load_pipeline("lstm", settings)
    assert pipeline.unread() == []
    assert is_read("model.filters", pipeline.settings())
    assert not is_read("model.filters", load_pipeline("mlp").settings())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = train(pipeline, new_run(pipeline, tmp_path / "run")).run
    assert {"doubled", "gru"} <= {layer.name for layer in Classifier.load(run).model.layers}


def test_one_that_is_not_installed_or_broken(other_package):
    with pytest.raises(UsageError, match="one of lstm, mlp, cnn, cnn-multichannel, gru, broken "):
        load_pipeline("lstm", ["model.name=grub"])
    with pytest.raises(UsageError, match="other_package:none to be importable. AttributeError"):
        plugins.load_encoder("broken")
    command = ["train", "--dataset", "sample", "--set", "model.name=broken"]
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, "model.name" in result.stderr) == (2, True)
