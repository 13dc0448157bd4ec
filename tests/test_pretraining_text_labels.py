from itertools import islice

import pytest

from sst_keras.errors import UsageError
from sst_keras.pretraining import sources
from sst_keras.pretraining.corpus import prepare_corpus
from sst_keras.pretraining.text_labels import read_text_labels
from sst_keras.settings import DataConfig
from sst_keras.texts import Texts


def texts_of(*texts):
    tokens = [text.split() for text in texts]
    return Texts.from_tokens(sum(tokens, []), [len(text) for text in tokens])


def test_each_sentence_has_the_labels_of_its_texts(tmp_path):
    (tmp_path / "a.csv").write_text(
        "text,stars\nGood film. I saw it.,5\nI saw it.<br>Awful.,1\nNothing known.,\n"
        "Good film.,5\n", "utf-8",
    )  # fmt: skip
    seen = []
    found = read_text_labels(
        str(tmp_path / "a.csv"), DataConfig(label_column="stars"),
        on_progress=lambda done, size: seen.append((done, size)),
    )  # fmt: skip
    assert found.names == ("5", "1")
    texts = texts_of("good film .", "i saw it .", "awful .", "nothing known .", "other")
    assert found.counts_of(texts).tolist() == [[2, 0], [1, 1], [0, 1], [0, 0], [0, 0]]
    assert found.knows(texts.keys()).tolist() == [True, True, True, False, False]
    assert seen[-1][0] == seen[-1][1]


def test_spellings_of_one_label_are_joined(tmp_path):
    (tmp_path / "a.csv").write_text(
        "text,label\nFine,Pos\nBad,neg\nNice,pos \nPoor,NEG\nLong,n/a\nGreat,POS\n", "utf-8"
    )
    found = read_text_labels(str(tmp_path / "a.csv"), DataConfig())
    assert [name.casefold() for name in found.names] == ["pos", "neg"]
    texts = texts_of("fine", "bad", "nice", "poor", "long", "great")
    assert found.counts_of(texts).argmax(axis=1).tolist() == [0, 1, 0, 1, 0, 0]
    assert found.knows(texts.keys()).tolist() == [True, True, True, True, False, True]
    (tmp_path / "b.csv").write_text("text,label\nA.,5\nB.,5.0\n", "utf-8")
    with pytest.raises(UsageError, match="2 to 1,000 different labels. Received: 5"):
        read_text_labels(str(tmp_path / "b.csv"), DataConfig())


def test_labels_as_fasttext_writes_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text(
        "\n__label__pos Great film. I loved it.\n__label__neg Bad.\n", "utf-8"
    )
    corpus = prepare_corpus(str(tmp_path / "a.txt"), DataConfig())
    assert [" ".join(corpus.row(number)) for number in range(3)] == [
        "great film .", "i loved it .", "bad .",
    ]  # fmt: skip
    (tmp_path / "b.txt").write_text(
        "__label__a __label__b A film.\nno label\n__label__5 , Good.\n__label__c, Bad.\n", "utf-8"
    )
    several = prepare_corpus(str(tmp_path / "b.txt"), DataConfig())
    assert [" ".join(several.row(number)) for number in range(4)] == [
        "a film .", "no label", "good .", "bad .",
    ]  # fmt: skip
    found = read_text_labels(str(tmp_path / "a.txt"), DataConfig())
    texts = texts_of("great film .", "i loved it .", "bad .")
    assert found.names == ("pos", "neg")
    assert found.counts_of(texts).tolist() == [[1, 0], [1, 0], [0, 1]]


def test_corpora_without_labels(tmp_path):
    (tmp_path / "a.txt").write_text("A film.\nAnother.\n", "utf-8")
    with pytest.raises(UsageError, match=r"a\.txt: expected a table with a column of labels"):
        read_text_labels(str(tmp_path / "a.txt"), DataConfig())
    (tmp_path / "a.csv").write_text("text,label\nA film.,5\nAnother.,5\n", "utf-8")
    with pytest.raises(UsageError, match="texts with 2 to 1,000 different labels. Received: 5"):
        read_text_labels(str(tmp_path / "a.csv"), DataConfig())


def test_labels_of_a_data_set(real_data, monkeypatch):
    def few(*given, read=sources.Dataset._batches):
        return islice(read(*given), 2)  # all reviews would take 20 seconds

    monkeypatch.setattr(sources.Dataset, "_batches", few)
    found = read_text_labels("imdb_reviews", DataConfig(), real_data)
    assert sorted(found.names) == ["neg", "pos"]
    assert found.counts.sum() > 5_000 and len(found.keys) < found.counts.sum()
    with pytest.raises(UsageError, match="'stars' is none"):
        read_text_labels("imdb_reviews", DataConfig(label_column="stars"), real_data)
