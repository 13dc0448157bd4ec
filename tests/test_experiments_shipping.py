"""What the runs of a sweep read, in one folder."""

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sst_keras.config import with_settings
from sst_keras.datasets.sst5 import source
from sst_keras.errors import UsageError
from sst_keras.experiments.shipping import ENVIRONMENT, settle, ship
from sst_keras.experiments.sweep import load_sweep
from sst_keras.vectors import sets

VECTORS = b"film 1 2\ngood 1 0\nbad 0 1\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of the user's, with a home and a cache that are not those of the node."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("XDG_CACHE_HOME", "GENSIM_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("SST_KERAS_DATA", raising=False)
    return place


def jobs(here, **settings):
    (here / "s.toml").write_text("[rows]\na = {}\n")
    (item, _), *_ = load_sweep(here / "s.toml").select()
    named = {name.replace("__", "."): value for name, value in settings.items()}
    pipeline = with_settings(item.pipeline, {"data.dataset": "sample", **named}, "test")
    return [(replace(item, pipeline=pipeline), 1)]


@pytest.fixture
def on_node(tmp_path, monkeypatch):
    """Returns a function that ships jobs, and then is where they run."""

    def go(of, data_dir=None):
        node = tmp_path / "node"
        size = ship(of, node, data_dir)
        monkeypatch.chdir(node)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node-cache"))
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        return size

    return go


def test_the_sample_needs_nothing(here, on_node):
    assert on_node(jobs(here, embedding__vectors=["none"])) == 0
    assert Path("data").is_dir()


@pytest.mark.parametrize("name", ["mine", "mine.txt", "in/a.zip/a.txt", "packed.zip/b.txt", "g"])
def test_vectors_are_found_by_the_same_name(here, on_node, tmp_path, name):
    data = tmp_path / "data"
    for folder in (data / "vectors", here / "in", tmp_path / "GENSIM_DATA_DIR" / "g"):
        folder.mkdir(parents=True)
    (data / "vectors" / "mine.txt").write_bytes(VECTORS)
    for path, member in ((here / "in/a.zip", "a.txt"), (data / "vectors/packed.zip", "b.txt")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, VECTORS)
    (tmp_path / "GENSIM_DATA_DIR" / "g" / "g.gz").write_bytes(gzip.compress(b"3 2\n" + VECTORS))
    assert on_node(jobs(here, embedding__vectors=[name]), data) > 0
    found = sets.load_vectors(sets.find_vectors(name), ["film"])
    assert found.vectors.tolist() == [[1, 2]]
    assert Path.cwd() in sets.find_vectors(name).resolve().parents


def test_files_of_ones_own(here, on_node):
    (here / "my").mkdir()
    (here / "my" / "train.csv").write_text("text,label\na,b\n")
    (here / "my" / ".gitignore").write_text("*.csv\n")  # which Ray would obey
    on_node(jobs(here, data__dataset="my", embedding__vectors=["none"]))
    assert [path.name for path in Path("my").iterdir()] == ["train.csv"]


def test_sst5_is_downloaded_first(here, on_node, tmp_path, monkeypatch):
    monkeypatch.setattr("sst_keras.locations.is_reachable", lambda url: True)

    def load(data, data_dir):
        assert data.dataset == "sst5"
        (source.tfds_dir() / "sst5").mkdir(parents=True)
        (source.tfds_dir() / "sst5" / "x").write_text("prepared")

    monkeypatch.setattr("sst_keras.corpora.load_corpus", load)
    on_node(jobs(here, data__dataset="sst5", embedding__vectors=["none"]))
    assert (source.tfds_dir() / "sst5" / "x").resolve().is_relative_to(tmp_path / "node")


def test_too_much_is_refused_before_it_is_copied(here, on_node, tmp_path):
    (here / "my" / "more").mkdir(parents=True)
    (here / "my" / "more" / "train.csv").write_text("text,label\n" + 989 * "x")
    (here / "mine.txt").write_bytes(VECTORS)
    size = 1000 + len(VECTORS)
    of = jobs(here, data__dataset="my", embedding__vectors=["mine.txt"])
    message = "engine: expected at most 0 MB of data.*Received 0 MB. Cut vectors"
    with pytest.raises(UsageError, match=message):
        ship(of, tmp_path / "node", largest=size - 1)
    assert not (tmp_path / "node").exists()
    assert ship(of, tmp_path / "node", largest=size) == size
    copied = [path for path in (tmp_path / "node").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in copied) == size


@pytest.mark.parametrize("name", ["../x.csv", "/tmp/x.csv"])
def test_what_lies_elsewhere(here, tmp_path, name):
    with pytest.raises(UsageError, match="data.dataset: expected a path below the present folder"):
        ship(jobs(here, data__dataset=name, embedding__vectors=["none"]), tmp_path / "node")


def test_auto_is_what_is_found_here(here, tmp_path):
    (item, seed), *_ = settle(jobs(here, embedding__vectors=["auto"]))
    assert (item.pipeline.embedding.vectors, seed) == (("sample",), 1)
    (item, _), *_ = settle(jobs(here, embedding__vectors=["none"]))
    assert item.pipeline.embedding.vectors == ("none",)
