"""The main path of a user, with each command in its own process; and the wheel."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # processes that start TensorFlow, and a wheel

REPOSITORY = Path(__file__).parents[1]


def run(*command, cwd, **environment):
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done


def test_from_training_to_prediction(tmp_path):
    def sst_keras(*arguments):
        return run(sys.executable, "-m", "sst_keras", *arguments, cwd=tmp_path)

    trained = sst_keras("train", "--dataset", "sample", "--epochs", "2", "--json")
    answer = json.loads(trained.stdout)
    assert "BUNDLED SAMPLE" in trained.stderr and "absl" not in trained.stderr
    evaluated = json.loads(sst_keras("evaluate", answer["run"], "--json").stdout)
    assert evaluated["accuracy"] == answer["test"]["accuracy"]
    # A run works in another folder.
    Path(tmp_path / answer["run"]).rename(tmp_path / "copy")
    export = sst_keras("export", "copy", "--out", "export").stdout.strip()
    predicted = json.loads(sst_keras("predict", export, "Not bad.", "--json").stdout)
    assert predicted["predictions"][0]["tokens"] == ["Not", "bad", "."]
    assert "history.png" in sst_keras("plot", "copy").stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    run("git", "clone", "--quiet", str(REPOSITORY), str(source), cwd=folder)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    run(*pip, "--wheel-dir", str(folder), str(source), cwd=folder)
    return next(folder.glob("*.whl"))


def test_the_wheel_ships_pipelines_and_sample_once(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in ("pipelines/lstm-attention.toml", "sample/train.txt", "sample/vectors.txt"):
        assert f"sst_keras/{name}" in names
    assert "sst_keras/datasets/sst5/checksums.tsv" in names
    assert {"sst_keras/serving/page.html", "sst_keras/serving/explanation.html"} <= set(names)
    parts = {"saved_model.pb", "variables/variables.index", "assets.extra/model_card.md"}
    assert {f"sst_keras/small/1/{part}" for part in parts} <= set(names)
    assert wheel.stat().st_size < 12e6
    assert len(names) == len(set(names))
    assert not any(name.startswith(("tests/", "data/", "pipelines/")) for name in names)


def test_the_wheel_works_without_a_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--target", str(site), str(wheel), cwd=tmp_path)
    command = (sys.executable, "-m", "sst_keras")
    listing = run(*command, "pipelines", cwd=tmp_path, PYTHONPATH=str(site)).stdout
    assert "lstm-attention" in listing
    predicted = run(*command, "predict", "Not bad.", cwd=tmp_path, PYTHONPATH=str(site))
    assert "Not bad." in predicted.stdout and "Model: small" in predicted.stderr
    trained = run(
        *command, "train", "mlp", "--dataset", "sample", "--epochs", "1", "--json",
        cwd=tmp_path, PYTHONPATH=str(site),
    )  # fmt: skip
    assert json.loads(trained.stdout)["dataset"] == "sample"
    where = run(
        sys.executable, "-c", "import sst_keras; print(sst_keras.__file__)",
        cwd=tmp_path, PYTHONPATH=str(site),
    ).stdout  # fmt: skip
    assert where.startswith(str(site))
