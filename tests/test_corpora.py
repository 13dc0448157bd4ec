import gzip
import os
import subprocess
import sys

import numpy as np
import pytest

from sst_keras.corpora import load_corpus, read_phrases
from sst_keras.errors import InputError, UsageError
from sst_keras.settings import DataConfig


def load(dataset, data_dir=None, **settings):
    return load_corpus(DataConfig(dataset=str(dataset), **settings), data_dir)


def texts(split):
    return [b" ".join(row).decode() for row in split.tokens.to_list()]


# === Trees ===


def test_a_folder_of_trees(tree_folder):
    corpus = load(tree_folder)
    assert texts(corpus.train) == ["A great film", "A bad film", "A film"]
    assert corpus.train.labels.tolist() == [4, 0, 2]
    assert corpus.test.row(1) == (["great"], 4)
    assert corpus.class_names[0] == "very negative" and len(corpus.class_names) == 5
    assert corpus.spans is None and corpus.roots is None


def test_a_folder_of_packed_trees(tree_folder):
    plain = load_corpus(DataConfig(dataset=str(tree_folder)))
    for file in list(tree_folder.iterdir()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = load_corpus(DataConfig(dataset=str(tree_folder)))
    assert packed.fingerprint() == plain.fingerprint()
    assert read_phrases(DataConfig(dataset=str(tree_folder)), "test") is not None


def test_phrases_and_distinct_phrases(tree_folder):
    corpus = load(tree_folder, examples="phrases")
    assert len(corpus.training_split("phrases")) == 5 + 5 + 3
    assert corpus.training_split("sampled-phrases") is corpus.spans
    assert corpus.roots.tolist() == [0, 5, 10]
    assert texts(corpus.spans.take(corpus.roots)) == texts(corpus.train)
    distinct = corpus.training_split("unique-phrases")
    assert texts(distinct) == [
        "A great film", "A", "great film", "great", "film",
        "A bad film", "bad film", "bad", "A film",
    ]  # fmt: skip
    assert distinct.labels.tolist() == [4, 2, 4, 4, 2, 0, 0, 0, 2]
    # Dev and test are always complete sentences.
    assert len(corpus.dev) == 1 and len(corpus.test) == 2


def test_the_fingerprint_is_the_contents(tree_folder, tmp_path):
    before = load(tree_folder).fingerprint()
    moved = tree_folder.rename(tmp_path / "elsewhere")
    assert load(moved).fingerprint() == before
    (moved / "dev.txt").write_text("(3 great)\n")
    assert load(moved).fingerprint() != before


def test_wrong_folders(tree_folder, tmp_path):
    with pytest.raises(UsageError, match="no 'nowhere'|there is no"):
        load("nowhere")
    (tree_folder / "dev.txt").unlink()
    with pytest.raises(UsageError, match="has trees for dev"):
        load(tree_folder)
    with pytest.raises(UsageError, match="the word train in its name"):
        load(tmp_path)
    with pytest.raises(UsageError, match="Expected a folder"):
        load(tree_folder / "train.txt")


def test_wrong_trees(tree_folder):
    (tree_folder / "train.txt").write_text("(3 (2 A) (2 b))\n(7 c)\n")
    with pytest.raises(InputError, match=r"train\.txt, line 2: the label '7'"):
        load(tree_folder)
    (tree_folder / "train.txt").write_text("\n")
    with pytest.raises(InputError, match="empty file"):
        load(tree_folder)


def test_the_classes_of_trees_are_fixed(tree_folder):
    with pytest.raises(InputError, match="data.labels: expected labels from 0 to 1"):
        load(tree_folder, labels=("bad", "good"))


def test_the_sample():
    corpus = load("sample")
    assert [len(corpus.split(name)) for name in ("train", "dev", "test")] == [1100, 150, 250]


# === SST-5 ===


@pytest.mark.slow
def test_the_real_phrases(real_data):
    corpus = load(real_data / "sst", examples="phrases")
    assert len(corpus.training_split("phrases")) == 318582
    assert len(corpus.training_split("unique-phrases")) == 159274
    roots = corpus.spans.take(corpus.roots)
    assert (roots.texts.keys() == corpus.train.texts.keys()).all()
    assert (roots.labels == corpus.train.labels).all()
    assert len(corpus.training_split("sentences")) == 8544


@pytest.mark.slow
def test_sst5_through_its_builder(real_data):
    corpus = load("sst5", data_dir=real_data)
    counts = [len(corpus.split(name)) for name in ("train", "dev", "test")]
    assert counts == [8544, 1101, 2210]
    assert np.bincount(corpus.test.labels).tolist() == [279, 633, 389, 510, 399]
    assert int(corpus.train.tokens.row_lengths().numpy().sum()) == 163563
    # The same as its own trees, read without the builder.
    assert corpus.fingerprint() == load(real_data / "sst").fingerprint()


@pytest.mark.slow
def test_two_processes_may_prepare_sst5_at_once(real_data, tmp_path):
    # Both find nothing prepared, and both start; the one that ends last finds the other's.
    code = f"""
from sst_keras.settings import DataConfig
from sst_keras.corpora import load_corpus
print(len(load_corpus(DataConfig(), data_dir={str(real_data)!r}).test))
"""
    environment = os.environ | {"TFDS_DATA_DIR": str(tmp_path / "tfds")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    assert [process.communicate()[0].split() for process in processes] == [[b"2210"], [b"2210"]]
    leftovers = [path.name for path in (tmp_path / "tfds").rglob("*incomplete*")]
    assert leftovers == []


def test_auto_takes_the_sample_where_sst5_cannot_be_had(offline):
    assert load("auto").name == "sample"


def test_sst5_that_cannot_be_had(offline):
    with pytest.raises(InputError, match="SST-5 is not available.*data set sample"):
        load("sst5")


def test_a_data_folder_without_sst5(tmp_path, offline):
    with pytest.raises(UsageError, match="data_dir"):
        load("sst5", data_dir=tmp_path)
