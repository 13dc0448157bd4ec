"""`keras.models.load_model` opens a run's model once `sst_keras` is imported."""

import subprocess
import sys

import pytest

LOAD = """
model = keras.models.load_model({!r})
print(*model({{"token_ids": keras.ops.ones((1, 3), "int32")}}).shape)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import sst_keras, keras",
        "import keras, sst_keras",
        "import sst_keras, tensorflow; keras = tensorflow.keras",
        "import sst_keras.tokenizer, keras",  # which loads Keras itself, but no layers
        "import sst_keras.layers, keras",
    ],
)
def test_the_import_of_the_package_is_enough(trained_run, imports):
    code = imports + LOAD.format(str(trained_run.model_file))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "5"]


def test_the_package_does_not_load_keras():
    code = "import sys, sst_keras; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not {"keras", "tensorflow", "sst_keras.layers"} & set(done.stdout.split())
