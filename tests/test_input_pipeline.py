import numpy as np
import pytest
import tensorflow as tf

from sst_keras.corpora import Split, load_corpus
from sst_keras.encoder import TokenEncoder
from sst_keras.input_pipeline import evaluation_batches, training_batches
from sst_keras.settings import DataConfig
from sst_keras.texts import Texts
from sst_keras.vocabulary import PADDING, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary((PADDING, UNKNOWN, "a", "b", "é"))


def split_of(*texts, labels=None):
    words = [text.split() for text in texts]
    tokens = [word for text in words for word in text], [len(text) for text in words]
    return Split(Texts.from_tokens(*tokens), np.asarray(labels or range(len(texts)), np.int32))


def of_lengths(lengths):
    """Texts of some lengths; each label is the index of its text."""
    return split_of(*(" ".join(["a"] * length) for length in lengths))


def rows(dataset):
    """Every text's label and ids, without padding, in the order of the batches."""
    return [
        (int(label), [int(token) for token in ids if token])
        for inputs, labels in dataset
        for ids, label in zip(inputs["token_ids"].numpy(), labels.numpy(), strict=True)
    ]


def test_evaluation_goes_from_short_to_long_and_returns_the_order():
    split = split_of("a b a", "b", "a a", "é")
    batches, order = evaluation_batches(split, TokenEncoder(VOCABULARY, True), batch_size=2)
    assert order.tolist() == [1, 3, 2, 0]
    assert [label for label, _ in rows(batches)] == [1, 3, 2, 0]
    first, last = (inputs["token_ids"].numpy().tolist() for inputs, _ in batches)
    assert first == [[3], [4]]
    assert last == [[2, 2, 0], [2, 3, 2]]  # padding on the right
    spec, label_spec = batches.element_spec
    assert spec["token_ids"].dtype == tf.int32 and label_spec.dtype == tf.int32


def epochs(seed, count=2, **settings):
    split = of_lengths([1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 3)
    data = DataConfig(batch_size=4, **settings)
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), data, seed)
    return split, dataset, [rows(dataset) for _ in range(count)]


def test_every_text_once_per_epoch_in_a_new_order():
    split, _, (first, second) = epochs(seed=1)
    lengths = split.tokens.row_lengths().numpy().tolist()
    assert sorted(first) == [(place, [2] * length) for place, length in enumerate(lengths)]
    assert sorted(second) == sorted(first)
    assert second != first


def test_the_seed_decides_the_order():
    assert epochs(seed=1)[2] == epochs(seed=1)[2]
    assert epochs(seed=1)[2] != epochs(seed=2)[2]


def test_batches_hold_texts_of_like_length_in_any_order():
    split, dataset, _ = epochs(seed=1)
    bounds = []
    for inputs, _ in dataset:
        lengths = (inputs["token_ids"].numpy() > 0).sum(axis=1)
        assert inputs["token_ids"].shape[1] == lengths.max()
        bounds.append((lengths.min(), lengths.max()))
    assert int(dataset.cardinality()) == len(bounds) == 8  # 30 texts by fours
    assert max(high - low for low, high in bounds) <= 4  # of 9 in all texts
    assert bounds != sorted(bounds)


def test_few_texts_of_many_lengths_meet_others_in_each_epoch():
    split = of_lengths(range(1, 65))
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), DataConfig(batch_size=8), 1)
    first, second = ({frozenset(labels.numpy().tolist()) for _, labels in dataset} for _ in "ab")
    assert not first & second


def test_texts_of_one_length_meet_others_in_each_epoch():
    split = of_lengths([3] * 64)
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), DataConfig(batch_size=8), 1)
    first, second = ({frozenset(labels.numpy().tolist()) for _, labels in dataset} for _ in "ab")
    assert not first & second


@pytest.mark.slow
@pytest.mark.parametrize("examples", ["sentences", "unique-phrases"])
def test_padding_is_a_small_part_of_an_epoch(real_data, examples):
    data = DataConfig(examples=examples)
    split = load_corpus(data, real_data).training_split(examples)
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), data, 1)
    steps = sum(inputs["token_ids"].numpy().size for inputs, _ in dataset)
    assert len(split.tokens.flat_values) > 0.92 * steps


def test_a_bound_on_the_length():
    _, _, (first, _) = epochs(seed=1, max_length=5)
    assert max(len(ids) for _, ids in first) == 5
    assert len(first) == 30


@pytest.mark.parametrize("lengths", [[1], [3, 3, 3], [40]])
def test_few_texts(lengths):
    dataset = training_batches(of_lengths(lengths), TokenEncoder(VOCABULARY, True), DataConfig(), 1)
    assert len(rows(dataset)) == len(lengths)
