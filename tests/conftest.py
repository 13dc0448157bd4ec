"""Shared by the tests: a clean environment, the real data if available, a trained run."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import hypothesis
import pytest

# The same examples in each run, however slow the machine is.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same")

REAL_DATA = os.environ.get("SST_KERAS_DATA")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path_factory):
    """Keeps tests away from the user's data and cache."""
    home = tmp_path_factory.getbasetemp() / "home"
    monkeypatch.delenv("SST_KERAS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("GENSIM_DATA_DIR", str(home / "gensim-data"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(home / "tfds"))


@pytest.fixture
def real_data() -> Path:
    """The folder with the real SST-5 and vectors; skips the test without one."""
    if not REAL_DATA:
        pytest.skip("SST_KERAS_DATA does not name a folder with the real data")
    return Path(REAL_DATA)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Makes SST-5's address unreachable, with nothing prepared earlier."""
    from sst_keras.datasets.sst5 import source

    # A local port without a listener refuses at once.
    monkeypatch.setattr(source, "URL", "http://127.0.0.1:9/trainDevTestTrees_PTB.zip")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """A small, short run of `lstm-attention` on the sample, which tests must not change."""
    from sst_keras.config import load_pipeline
    from sst_keras.runs import new_run
    from sst_keras.training import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        pipeline = load_pipeline(
            "lstm-attention",
            ["data.dataset=sample", "model.units=16", "training.epochs=3"],
        )
        run = new_run(pipeline, tmp_path_factory.mktemp("runs") / "run")
        return train(pipeline, run).run


@pytest.fixture(scope="session")
def served_folder(trained_run, tmp_path_factory):
    """The trained run as the model `films`, version 3, laid out for servers."""
    from sst_keras.serving.export import export

    return export(trained_run, tmp_path_factory.mktemp("films") / "films" / "3").parent


@pytest.fixture
def bare(monkeypatch):
    """Commands make no SavedModel and no plots, which take most of a small training's time.

    For commands with `--json`, which print nothing of either.
    """
    monkeypatch.setattr("sst_keras.serving.export.export", lambda run: run.saved_model_dir)
    monkeypatch.setattr("sst_keras.plotting.save_plots", lambda runs: [])


@pytest.fixture
def run_copy(trained_run, tmp_path):
    """A copy of the trained run, for tests that change it."""
    import shutil

    from sst_keras.runs import RunDirectory

    run = RunDirectory(Path(shutil.copytree(trained_run.path, tmp_path / "run")))
    run.checksums_file.unlink()
    return run


@pytest.fixture
def tree_folder(tmp_path) -> Path:
    """A folder of a few trees in train.txt, dev.txt and test.txt."""
    folder = tmp_path / "trees"
    folder.mkdir()
    good, bad = "(4 (2 A) (4 (4 great) (2 film)))", "(0 (2 A) (0 (0 bad) (2 film)))"
    (folder / "train.txt").write_text(f"{good}\n{bad}\n(2 (2 A) (2 film))\n", "utf-8")
    (folder / "dev.txt").write_text(f"{good}\n", "utf-8")
    (folder / "test.txt").write_text(f"{bad}\n(4 great)\n", "utf-8")
    return folder
