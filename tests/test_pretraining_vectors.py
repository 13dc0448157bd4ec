import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sst_keras import locations
from sst_keras.errors import UsageError
from sst_keras.pretraining import vectors as module
from sst_keras.pretraining.corpus import prepare_corpus
from sst_keras.pretraining.vectors import train_vectors, vectors_file
from sst_keras.settings import VectorsConfig
from sst_keras.vectors.files import read_vectors
from sst_keras.vectors.sets import choose_vectors, describe, training_facts

SMALL = {"dim": 8, "min_count": 2, "epochs": 3, "workers": 1}
# Two topics that share no word.
TOPICS = ("red green blue pink", "cat dog cow hen")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(1)
    shuffled = [rng.permutation(topic.split() * 200).reshape(200, 4) for topic in TOPICS]
    lines = [" ".join(words) for words in np.concatenate(shuffled)]
    path = tmp_path / "topics.txt"
    path.write_text("\n".join([*lines, "rare red"]))
    return prepare_corpus(str(path))


@pytest.fixture
def in_parts(monkeypatch):
    """Cuts the corpus, of 1,602 tokens, into parts of about 100."""
    monkeypatch.setattr(module, "_PART_TOKENS", 100)
    monkeypatch.setattr(module, "_FASTTEXT_TOKENS", 100)
    monkeypatch.setattr(module, "_SENTENCES", 7)


@pytest.mark.parametrize("model", ["skip-gram", "cbow", "fasttext"])
def test_words_of_a_topic_are_near_each_other(corpus, tmp_path, model, in_parts):
    changed = {"model": model, "epochs": 30, "alpha": 0.2, "sample": 0, "buckets": 1000}
    settings = VectorsConfig(**SMALL | changed)
    done = []
    trained = train_vectors(
        corpus, tmp_path / "out.bin", settings, on_progress=lambda *each: done.append(each)
    )
    read = read_vectors(trained.path)
    # By frequency: red has one more than the others, which are in the order of code points.
    assert read.words == ("red", "blue", "cat", "cow", "dog", "green", "hen", "pink")
    assert read.vectors.shape == (8, 8) and trained.facts["words"] == 8
    assert done[0] == (0, 30 * 1602) and done[-1] == (30 * 1602, 30 * 1602)
    assert len(done) == 1 + 30 * 16
    unit = read.vectors / np.linalg.norm(read.vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    colours = [row for row, word in enumerate(read.words) if word in TOPICS[0].split()]
    others = [row for row in range(8) if row not in colours]
    assert cosines[np.ix_(colours, colours)].min() > cosines[np.ix_(colours, others)].max()
    assert len(trained.nearest) == 4 and [len(each) for each in trained.nearest.values()] == [5] * 4


@pytest.mark.parametrize("name", ["out.bin", "out.txt", "out.txt.gz"])
def test_formats(corpus, tmp_path, name):
    first = train_vectors(corpus, tmp_path / "first.bin", VectorsConfig(**SMALL))
    other = train_vectors(corpus, tmp_path / name, VectorsConfig(**SMALL))
    assert np.array_equal(read_vectors(first.path).vectors, read_vectors(other.path).vectors)
    assert sorted(path.name for path in tmp_path.glob("out*")) == sorted(["out.json", name])


def test_facts(corpus, tmp_path):
    trained = train_vectors(corpus, tmp_path / "out.bin", VectorsConfig(**SMALL))
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts == trained.facts and facts["format"] == 1
    assert facts["corpus"] == {
        "name": "topics",
        "fingerprint": corpus.fingerprint,
        "sentences": 401,
        "tokens": 1602,
        "types": 9,
        "lowercase": True,
    }
    assert {key: facts["settings"][key] for key in SMALL} == SMALL
    assert facts["settings"]["negative"] == 5 and "buckets" not in facts["settings"]
    assert facts["versions"].keys() >= {"gensim", "numpy", "sst_keras"}
    assert describe(trained.path)["training"] == facts
    trained.path.write_bytes(trained.path.read_bytes()[:-1] + b"\0")
    assert "training" not in describe(trained.path)


@pytest.mark.slow
def test_equal_bytes_with_one_worker(corpus, tmp_path):
    """In processes of their own, with other hash seeds."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from sst_keras.pretraining.corpus import prepare_corpus\n"
        "from sst_keras.pretraining.vectors import train_vectors\n"
        "from sst_keras.settings import VectorsConfig\n"
        f"settings = VectorsConfig(**{SMALL!r})\n"
        f"corpus = prepare_corpus({str(tmp_path / 'topics.txt')!r})\n"
        "train_vectors(corpus, Path(sys.argv[1]), settings)\n"
    )
    paths = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for seed, path in enumerate(paths):
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        subprocess.run([sys.executable, "-c", code, path], check=True, env=environment)
    assert paths[0].read_bytes() == paths[1].read_bytes()


class Killed(BaseException):
    """Ends a training as a signal would."""


@pytest.mark.parametrize("model", ["skip-gram", "cbow", "fasttext"])
def test_a_stopped_training_goes_on(corpus, tmp_path, model, in_parts):
    settings = VectorsConfig(**SMALL, model=model, buckets=1000)
    whole = train_vectors(corpus, tmp_path / "whole.bin", settings).path.read_bytes()
    folder = locations.cache_dir() / "vectors-training"
    assert list(folder.iterdir()) == []

    def stop(done, size):
        if done > 1.5 * size / 3:
            raise Killed

    out = tmp_path / "out.bin"
    with pytest.raises(Killed):
        train_vectors(corpus, out, settings, on_progress=stop)
    assert not out.exists() and not (tmp_path / "out.json").exists()
    (state,) = folder.iterdir()  # and no sentences
    done = []
    train_vectors(corpus, out, settings, on_progress=lambda *each: done.append(each))
    assert done[0] == (1602, 3 * 1602)
    assert out.read_bytes() == whole and list(folder.iterdir()) == []


def test_a_damaged_state_is_not_used(corpus, tmp_path):
    def stop(done, size):
        if done == 2 * size / 3:
            raise Killed

    settings = VectorsConfig(**SMALL)
    whole = train_vectors(corpus, tmp_path / "whole.bin", settings).path.read_bytes()
    with pytest.raises(Killed):
        train_vectors(corpus, tmp_path / "out.bin", settings, on_progress=stop)
    (state,) = (locations.cache_dir() / "vectors-training").iterdir()
    damaged = bytearray(state.read_bytes())
    damaged[-400] ^= 255
    state.write_bytes(damaged[: len(damaged) // 2] + damaged[len(damaged) // 2 + 9 :])
    assert train_vectors(corpus, tmp_path / "out.bin", settings).path.read_bytes() == whole


def test_what_killed_trainings_left_is_removed(corpus, tmp_path):
    left = tmp_path / ".out.0123abcd.bin"
    left.write_bytes(b"cut sh")
    train_vectors(corpus, tmp_path / "out.bin", VectorsConfig(**SMALL))
    assert not left.exists()
    assert list((locations.cache_dir() / "vectors-training").iterdir()) == []


def test_the_same_training_is_not_done_twice(corpus, tmp_path):
    path, settings = tmp_path / "out.bin", VectorsConfig(**SMALL)
    first = train_vectors(corpus, path, settings)
    again = train_vectors(corpus, path, settings, on_progress=lambda *each: pytest.fail("again"))
    assert first.is_new and not again.is_new and again.facts == first.facts
    before = path.read_bytes()
    other = VectorsConfig(**SMALL | {"window": 2})
    with pytest.raises(UsageError, match="window: 5, now 2") as caught:
        train_vectors(corpus, path, other)
    assert caught.value.setting == "out" and path.read_bytes() == before
    assert train_vectors(corpus, path, other, overwrite=True).is_new
    assert path.read_bytes() != before and training_facts(path)["settings"]["window"] == 2


def test_threads_are_compared_by_whether_there_are_several(corpus, tmp_path):
    def trained(workers):
        return train_vectors(corpus, tmp_path / "out.bin", VectorsConfig(**SMALL | workers))

    assert trained({"workers": 2}).is_new
    assert not trained({"workers": 4}).is_new
    with pytest.raises(UsageError, match="workers: 2, now 1"):
        trained({"workers": 1})


def test_files_of_others_are_kept(corpus, tmp_path):
    settings = VectorsConfig(**SMALL)
    for name, message, overwrite in (
        ("out.bin", "exists already", False),
        ("out.json", "is in the way", False),
        ("out.json", "is in the way", True),
    ):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match=message):
            train_vectors(corpus, tmp_path / "out.bin", settings, overwrite=overwrite)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    # What is left if a process is killed between the two files.
    train_vectors(corpus, tmp_path / "out.bin", settings)
    (tmp_path / "out.bin").unlink()
    assert train_vectors(corpus, tmp_path / "out.bin", settings).is_new


def test_words_that_the_corpus_does_not_have(corpus, tmp_path):
    settings = VectorsConfig(**SMALL, model="fasttext", buckets=1000)
    words = ["reddish", "red", "reddish", "greenest"]
    path = train_vectors(corpus, tmp_path / "out.bin", settings, words).path
    read = read_vectors(path)
    assert read.words[-3:] == ("pink", "reddish", "greenest") and np.isfinite(read.vectors).all()
    assert len(set(map(bytes, read.vectors))) == len(read.words)
    with pytest.raises(UsageError, match="other added words"):
        train_vectors(corpus, path, settings, ["bluest"])
    with pytest.raises(UsageError, match="only fasttext") as caught:
        train_vectors(corpus, tmp_path / "other.bin", VectorsConfig(**SMALL), words)
    assert caught.value.setting == "add_words"


def test_many_workers(corpus, tmp_path):
    settings = VectorsConfig(**SMALL | {"workers": 8})
    assert train_vectors(corpus, tmp_path / "out.bin", settings).facts["words"] == 8


def test_auto_does_not_choose_them(corpus, tmp_path):
    (tmp_path / "cache" / "sst_keras" / "vectors").mkdir(parents=True)
    (locations.cache_dir() / "vectors" / "given.txt").write_text("red 1 2\n")
    counts = {"train": {word: 9 for word in corpus.words[:6]}}
    assert choose_vectors(counts) == "given"
    path = vectors_file(None, corpus.name, VectorsConfig(**SMALL))
    assert path == locations.cache_dir() / "vectors" / "topics-skip-gram-8.bin"
    train_vectors(corpus, path, VectorsConfig(**SMALL))
    assert choose_vectors(counts) == "given"
    (locations.cache_dir() / "vectors" / "given.txt").unlink()
    assert choose_vectors(counts) is None


def test_too_few_words(corpus, tmp_path):
    with pytest.raises(UsageError, match="Received 0, of 9") as caught:
        train_vectors(corpus, tmp_path / "out.bin", VectorsConfig(min_count=500))
    assert caught.value.setting == "min_count"


@pytest.mark.parametrize(
    "setting, value",
    [("model", "glove"), ("dim", 0), ("dim", 10_001), ("window", 0), ("min_count", 0),
     ("epochs", 0), ("workers", -1), ("seed", -1)],
)  # fmt: skip
def test_settings_out_of_range(setting, value):
    with pytest.raises(UsageError) as caught:
        VectorsConfig(**{setting: value})
    assert caught.value.setting == setting


def test_where_vectors_are_written(corpus, tmp_path):
    settings = VectorsConfig()
    folder = locations.cache_dir() / "vectors"
    assert vectors_file("mine", "topics", settings) == folder / "mine.bin"
    assert vectors_file(f"{tmp_path}/a.txt", "topics", settings) == tmp_path / "a.txt"
    folder.mkdir(parents=True)
    (folder / "other.txt").write_text("red 1 2\n")
    (tmp_path / "folder.bin").mkdir()
    for out in (
        "a/b",
        "mine.kv",
        "mine.vec",
        "other",
        "sample",
        "none",
        str(tmp_path / "folder.bin"),
    ):
        with pytest.raises(UsageError) as caught:
            vectors_file(out, "topics", settings)
        assert caught.value.setting == "out"
    below_a_file = folder / "other.txt" / "out.bin"
    with pytest.raises(UsageError, match="to write to"):
        train_vectors(corpus, below_a_file, VectorsConfig(**SMALL))
