"""The model that ships with the package."""

import re

import pytest

import sst_keras
from sst_keras import locations
from sst_keras.corpora import load_corpus
from sst_keras.settings import DataConfig

FOLDER = locations.bundled("small") / "1"
CARD = (FOLDER / "assets.extra" / "model_card.md").read_text("utf-8")
NOT_NEGATIVE = (
    "Not bad.", "It's not a bad film at all.", "Far from boring.", "I can't say I hated it.",
)  # fmt: skip
NOT_POSITIVE = ("Not good.", "It's not a great film.", "Hardly a masterpiece.")
MISTAKEN = {"I can't say I hated it."}  # README names it


@pytest.fixture(scope="module")
def small():
    return sst_keras.load()


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 8e6


def test_its_card_names_what_it_learned_from():
    for source in ("sst5", "imdb_reviews-skip-gram-300", "glove-wiki-gigaword-50", "Pseudo-labels"):
        assert source in CARD
    assert "## Behaviour" in CARD and "## Limits" in CARD


def test_simple_sentences(small):
    labels = [found.label for found in small.predict([*NOT_NEGATIVE, *NOT_POSITIVE])]
    wrong = [text for text, label in zip(NOT_NEGATIVE, labels, strict=False) if label < 2]
    last = labels[len(NOT_NEGATIVE) :]
    wrong += [text for text, label in zip(NOT_POSITIVE, last, strict=True) if label > 2]
    assert set(wrong) == MISTAKEN


def test_its_figures_are_those_of_its_card(small, real_data, monkeypatch):
    monkeypatch.setenv("SST_KERAS_DATA", str(real_data))
    corpus = load_corpus(DataConfig(dataset="sst5"))
    for name in ("dev", "test"):
        split = corpus.split(name)
        texts = [" ".join(split.texts.row(row)) for row in range(len(split))]
        labels = [found.label for found in small.predict(texts)]
        right = sum(label == true for label, true in zip(labels, split.labels, strict=True))
        (written,) = re.findall(rf"^\| {name} \| {len(split):,} \| (\S+)% ", CARD, re.MULTILINE)
        assert f"{100 * right / len(split):.1f}" == written
