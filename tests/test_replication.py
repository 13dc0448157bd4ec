import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sst_keras.classifier import Classifier
from sst_keras.cli import main
from sst_keras.errors import UsageError
from sst_keras.optimizers import make_optimizer

CLOCK = ("seconds", "examples_per_second")


@pytest.mark.slow
def test_two_devices_train_as_one_does(tmp_path):
    command = [sys.executable, "-m", "tests.replication_checks", str(tmp_path)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "histories.json").read_text("utf-8"))
    assert len(found["one"]) == len(found["two"]) == 2
    for one, two in zip(found["one"], found["two"], strict=True):
        assert one.keys() == two.keys()
        for name in one.keys() - set(CLOCK):
            assert two[name] == pytest.approx(one[name], abs=1e-5), name
    models = [Classifier.load(tmp_path / name).model for name in ("one", "two")]
    for one, two in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)
    losses = [row[name] for row in found["dropout"] for name in ("loss", "dev_loss")]
    assert all(map(math.isfinite, losses)) and losses != [
        row[name] for row in found["two"] for name in ("loss", "dev_loss")
    ]


def test_a_single_device_cannot_share(tmp_path):
    command = ["train", "--dataset", "sample", "--strategy", "mirrored"]
    result = CliRunner().invoke(main, [*command, "--run-dir", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: --strategy: expected at least two GPUs. Received: 0.\n")


def test_lazy_updates_need_one_device(monkeypatch):
    monkeypatch.setattr("sst_keras.optimizers.replicas", lambda: 2)
    with pytest.raises(UsageError, match="only TensorFlow on one device"):
        make_optimizer("lazy-adam", 0.1)
