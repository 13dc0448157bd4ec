import gzip
import json
import os

import numpy as np
import pytest

from sst_keras import locations
from sst_keras.errors import InputError, UsageError
from sst_keras.pretraining.corpus import TextCorpus, prepare_corpus, split_sentences
from sst_keras.pretraining.sources import find_source
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_text("A good film. A good one!\n\nFilm: good.\na GOOD one !\n", "utf-8")
    return path


def rows(corpus):
    return [" ".join(corpus.row(index)) for index in range(len(corpus))]


@pytest.mark.parametrize(
    "text, sentences",
    [
        ("Good. Bad.", ["Good.", "Bad."]),
        ("Good. bad? No!", ["Good. bad?", "No!"]),
        ('He said "No." Then (why?) yes. (So!) 3 left.',
         ['He said "No."', "Then (why?) yes.", "(So!)", "3 left."]),
        ("Great... It is 3.5 of 5. Élan!", ["Great...", "It is 3.5 of 5.", "Élan!"]),
        ("Mr. Brown and J. R. Smith met Mrs. Jones. So did I. We left.",
         ["Mr. Brown and J. R. Smith met Mrs. Jones.", "So did I.", "We left."]),
        ("one<br /><br />two<BR>three\nfour\\nfive", ["one", "two", "three", "four", "five"]),
        ("a &amp; <i>b</i>", ["a & b"]),
        ("  \n \t", []),
        ("['one', 'two']", ["one two"]),
    ],
)  # fmt: skip
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


def test_markup_that_is_kept():
    assert split_sentences("a<br />b &amp;\nc", undo=False) == ["a<br />b &amp;", "c"]


def test_a_sentence_without_end_is_cut():
    sentences = split_sentences("word " * 50_000)
    assert [len(each) for each in sentences] == [100_000, 100_000, 50_000]
    assert "".join(sentences) == "word " * 50_000
    assert [len(each) for each in split_sentences("x" * 150_000)] == [100_000, 50_000]


def test_a_corpus(text):
    corpus = prepare_corpus(str(text))
    # good 4, a 3; film, one and `.` 2; `!` 2; `:` 1. Ties are by code point.
    assert corpus.words == ("good", "a", "!", ".", "film", "one", ":")
    assert corpus.counts.tolist() == [4, 3, 2, 2, 2, 2, 1] and corpus.counts.dtype == np.int64
    assert rows(corpus) == ["a good film .", "a good one !", "film : good .", "a good one !"]
    assert corpus.ids.tolist() == [1, 0, 4, 3, 1, 0, 5, 2, 4, 6, 0, 3, 1, 0, 5, 2]
    assert corpus.starts.tolist() == [0, 4, 8, 12, 16]
    assert isinstance(corpus.ids, np.memmap)
    assert corpus.ids.dtype == np.int32 and corpus.starts.dtype == np.int64
    assert (corpus.name, corpus.repeated, corpus.lowercase) == ("reviews", 1, True)


def test_upper_case_is_kept(text):
    corpus = prepare_corpus(str(text), lowercase=False)
    assert rows(corpus)[2:] == ["Film : good .", "a GOOD one !"]
    assert corpus.repeated == 1  # case does not count


def test_nothing_is_prepared_twice(text, tmp_path):
    seen = []
    first = prepare_corpus(str(text), on_progress=lambda done, size: seen.append((done, size)))
    size = text.stat().st_size
    assert seen[-1] == (size, size)
    copy = tmp_path / "elsewhere" / text.name
    copy.parent.mkdir()
    copy.write_bytes(text.read_bytes())
    again = prepare_corpus(str(copy), on_progress=lambda done, size: pytest.fail("prepared again"))
    assert again.fingerprint == first.fingerprint
    text.write_text("Other words.\n")
    assert prepare_corpus(str(text)).fingerprint != first.fingerprint
    folders = sorted((locations.cache_dir() / "corpora").iterdir())
    assert len(folders) == 2 and all(
        sorted(path.name for path in folder.iterdir())
        == ["corpus.json", "counts.npy", "ids.npy", "starts.npy", "words.txt"]
        for folder in folders
    )


@pytest.fixture
def texts(tmp_path):
    """A folder with one file of two lines."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "reviews.txt").write_text("A good film\nA bad one\n")
    return folder


def test_notes_are_those_of_the_names_given(texts):
    (texts / "other.pdf").write_bytes(b"%PDF")
    in_folder = prepare_corpus(str(texts))
    assert any("other.pdf" in note for note in in_folder.notes)
    assert prepare_corpus(str(texts / "reviews.txt")).notes == ()
    assert prepare_corpus(str(texts)).notes == in_folder.notes


def test_vectors_made_of_a_folder_are_no_texts_of_it(texts):
    (texts / "films.txt").write_text("film 1 2\n")
    facts = {"file": "films.txt", "corpus": {"name": "texts"}}
    (texts / "films.json").write_text(json.dumps(facts))
    assert len(prepare_corpus(str(texts))) == 2
    (texts / "films.json").unlink()  # an ordinary text
    assert len(prepare_corpus(str(texts))) == 3


def test_a_damaged_corpus_is_prepared_again(text):
    first = rows(prepare_corpus(str(text)))
    (folder,) = (locations.cache_dir() / "corpora").iterdir()
    np.save(folder / "ids.npy", np.zeros(3, np.int32))
    with pytest.raises(InputError, match="expected .* entries"):
        TextCorpus.open(folder, "reviews")
    assert rows(prepare_corpus(str(text))) == first


@pytest.mark.parametrize("name", ["words.txt", "counts.npy", "ids.npy", "starts.npy"])
def test_no_changed_byte_of_a_corpus_is_overlooked(text, name):
    corpus = prepare_corpus(str(text))
    expected = (rows(corpus), corpus.counts.tolist(), corpus.fingerprint)
    (folder,) = (locations.cache_dir() / "corpora").iterdir()
    file = folder / name
    whole = file.read_bytes()
    refused = 0
    for place in range(len(whole)):
        file.unlink()  # the memory map of the one before keeps its own content
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = TextCorpus.open(folder, "reviews")
        except InputError:
            refused += 1
        else:  # white space of a header
            assert (rows(found), found.counts.tolist(), found.fingerprint) == expected
    content = len(whole) if name == "words.txt" else np.load(file).nbytes
    assert refused >= content


def test_a_failure_leaves_nothing(text, tmp_path):
    def stop(done, size):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(str(text), on_progress=stop)
    assert list((locations.cache_dir() / "corpora").iterdir()) == []


def test_what_a_killed_process_left_is_removed(text):
    folder = locations.cache_dir() / "corpora"
    for name, age in (("01234567", 100_000), ("89abcdef", 0)):
        left = folder / f".temporary-{name}"
        left.mkdir(parents=True)
        (left / "ids.raw").write_bytes(b"0123")
        for path in (left / "ids.raw", left):
            os.utime(path, (path.stat().st_mtime - age,) * 2)
    prepare_corpus(str(text))
    assert [path.name for path in folder.glob(".*")] == [".temporary-89abcdef"]


def test_blank_sentences_are_left_out(tmp_path):
    path = tmp_path / "blank.txt"
    path.write_text("\u200b\nGood.\n \u200b \nBad.\n", "utf-8")
    corpus = prepare_corpus(str(path))
    assert rows(corpus) == ["good .", "bad ."] and "<unk>" not in corpus.words
    path.write_text("\u200b\n\n", "utf-8")
    with pytest.raises(InputError, match="no word"):
        prepare_corpus(str(path))


def test_many_blocks_are_as_one(tmp_path, monkeypatch):
    from sst_keras.pretraining import corpus as module
    from sst_keras.pretraining import sources

    lines = [f"w{number % 97} w{number % 31} \u200b" for number in range(500)] + ["\u200b"] * 3
    path = tmp_path / "many.txt"
    path.write_text("\n".join(lines), "utf-8")
    whole = prepare_corpus(str(path), lowercase=True)
    monkeypatch.setattr(module, "_SENTENCES", 7)
    monkeypatch.setattr(module, "_TEXTS", 5)
    monkeypatch.setattr(sources, "_BLOCK", 100)
    parts = prepare_corpus(str(path), lowercase=False)
    assert rows(whole) == rows(parts) and len(whole) == 500
    assert whole.fingerprint == parts.fingerprint and whole.repeated == parts.repeated == 0


def test_tables_and_folders(tmp_path):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.csv").write_text('id,text\n1,"Good, they say. Fine."\n2,<br/>Bad\n', "utf-8")
    with gzip.open(folder / "deep" / "c.txt.gz", "wt") as file:
        file.write("Deep, they say.\n")
    (folder / "a.jsonl").write_text(json.dumps({"text": "First\nsecond"}) + "\n")
    (folder / "d.txt").write_text("Café.", "cp1252")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    (folder / ".hidden.txt").write_text("Hidden.")
    corpus = prepare_corpus(str(folder))
    expected = [
        "first",
        "second",
        "good , they say .",
        "fine .",
        "bad",
        "café .",
        "deep , they say .",
    ]
    assert rows(corpus) == expected and corpus.name == "texts"
    assert any("d.txt (windows-1252)" in note for note in corpus.notes)
    assert any("notes.pdf" in note for note in corpus.notes)
    assert any("b.csv" in note and "text = text" in note for note in corpus.notes)
    both = prepare_corpus([str(folder / "b.csv"), str(folder / "*.csv"), str(folder / "a.jsonl")])
    assert rows(both) == [*expected[2:5], *expected[:2]] and both.name == "b-and-2-more"


def test_another_column(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,review\n1,Good one\n2,Bad one\n")
    assert rows(prepare_corpus(str(path), DataConfig(text_column="review"))) == [
        "good one",
        "bad one",
    ]
    with pytest.raises(UsageError, match="'body'") as caught:
        prepare_corpus(str(path), DataConfig(text_column="body"))
    assert caught.value.setting == "data.text_column"


def test_what_is_not_there(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "none.txt"), str(tmp_path / "*.txt"), str(tmp_path / "empty"), ""):
        with pytest.raises(UsageError) as caught:
            prepare_corpus(name)
        assert caught.value.setting == "corpus"
    with pytest.raises(UsageError, match=r"no data set .*did you mean 'imdb_reviews'"):
        prepare_corpus("imdb_review")


def test_a_dataset_without_network(monkeypatch):
    monkeypatch.setattr(locations, "is_reachable", lambda url: False)
    with pytest.raises(InputError, match="aclImdb.* does not answer"):
        prepare_corpus("imdb_reviews")


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """A data set of TFDS with two splits, prepared in the data folder."""
    import tensorflow_datasets as tfds

    root = tmp_path / "data"
    monkeypatch.setenv("SST_KERAS_DATA", str(root))
    make = {
        "train": [{"text": "Good. Bad.", "title": "One"}],
        "test": [{"text": "Fine<br />film", "title": "Two"}, {"text": "Good.", "title": "Three"}],
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny_films",
        version="1.0.0",
        data_dir=root / "tensorflow_datasets",
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices(
                {key: [row[key] for row in rows] for key in ("text", "title")}
            )
            for split, rows in make.items()
        },
        features=tfds.features.FeaturesDict(
            {"text": tfds.features.Text(), "title": tfds.features.Text()}
        ),
        disable_shuffling=True,
    )
    return "tiny_films"


def test_a_dataset(dataset):
    corpus = prepare_corpus(dataset)
    assert sorted(rows(corpus)) == ["bad .", "film", "fine", "good .", "good ."]
    assert (corpus.name, corpus.repeated) == ("tiny_films", 1)
    titles = prepare_corpus(dataset, DataConfig(text_column="title"))
    assert sorted(rows(titles)) == ["one", "three", "two"]
    with pytest.raises(UsageError, match="Received text, title") as caught:
        find_source(dataset, DataConfig(text_column="body"))
    assert caught.value.setting == "data.text_column"
    with pytest.raises(UsageError) as caught:
        find_source(dataset, DataConfig(encoding="cp1252"))
    assert caught.value.setting == "data.encoding"


@pytest.mark.parametrize("kind", ["flipped", "cut", "description", "empty", "features"])
def test_a_damaged_dataset(dataset, tmp_path, kind):
    folder = tmp_path / "data" / "tensorflow_datasets" / "tiny_films" / "1.0.0"
    name = {"flipped": "*test*tfrecord*", "cut": "*test*tfrecord*", "features": "features.json"}
    (file,) = folder.glob(name.get(kind, "dataset_info.json"))
    whole = file.read_bytes()
    place = whole.index(b"film") if kind == "flipped" else len(whole) // 2
    rest = bytes([whole[place] ^ 1]) + whole[place + 1 :] if kind == "flipped" else b""
    file.write_bytes(whole[: 0 if kind == "empty" else place] + rest)
    with pytest.raises(InputError, match="tiny_films.*: the prepared data set is damaged.*delete"):
        prepare_corpus(dataset)
