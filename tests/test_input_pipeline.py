import numpy as np
import pytest
import tensorflow as tf

from sst_keras.corpora import Split, load_corpus
from sst_keras.encoder import TokenEncoder
from sst_keras.input_pipeline import (
    TrainingParts,
    batch_sizes,
    epoch_shares,
    evaluation_batches,
    training_batches,
)
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


def parts_of(per_pass, count=30, pseudo_epochs=1, **others):
    """Texts of the lengths 1 to 10, in batches of 4."""
    split = of_lengths([place % 10 + 1 for place in range(count)])
    data = DataConfig(batch_size=4, phrases_per_sentence=2, pseudo_epochs=pseudo_epochs)
    return TrainingParts(split, TokenEncoder(VOCABULARY, True), data, 1, per_pass, **others)


def batches_of(dataset):
    return [
        (inputs["token_ids"].numpy().tolist(), labels.numpy().tolist())
        for inputs, labels in dataset
    ]


def test_the_parts_of_a_pass_are_the_pass():
    whole, thirds = parts_of(1), parts_of(3)
    # Thirds of 8 batches, the last of which has 2 of the 30 texts.
    assert [thirds.steps(part) for part in range(6)] == [2, 3, 3, 2, 3, 3]
    assert thirds.later(1, 6) == 11 and thirds.later(5, 6) == 0
    assert [thirds.epoch(part) for part in range(4)] == [0.333, 0.667, 1, 1.333]
    assert str(thirds.epoch(2)) == "1" and whole.steps(1) == 8
    passes = []
    for _ in range(3):
        batches, examples = [], 0
        for _ in range(3):
            batches += batches_of(thirds.dataset)
            examples += thirds.examples
        assert batches == batches_of(whole.dataset)
        assert examples == whole.examples == 30
        passes.append(batches)
        assert sorted(label for _, labels in batches for label in labels) == list(range(30))
    assert passes[0] != passes[1] != passes[2]


def test_a_part_is_found_again():
    thirds, again = parts_of(3), parts_of(3)
    parts = [batches_of(thirds.dataset) for _ in range(6)]
    again.skip(4)
    assert [batches_of(again.dataset) for _ in range(2)] == parts[4:]


def test_the_passes_are_those_that_keras_makes_of_the_batches():
    """Earlier results were made with `fit`, which makes a second iterator at an epoch's end."""
    parts = parts_of(1)
    split = of_lengths([place % 10 + 1 for place in range(30)])
    data = DataConfig(batch_size=4)
    plain = training_batches(split, TokenEncoder(VOCABULARY, True), data, 1)
    for _ in range(3):
        assert batches_of(parts.dataset) == batches_of(plain)
        iter(plain)


def test_a_pass_of_fewer_batches_than_parts():
    parts = parts_of(5, count=8)
    assert (parts.batches(1), parts.per_pass) == (2, 2)
    assert [len(batches_of(parts.dataset)) for _ in range(4)] == [1, 1, 1, 1]


def test_the_end_of_an_iteration_does_not_wait_for_the_autotuner():
    split, encoder = of_lengths([1, 2, 3]), TokenEncoder(VOCABULARY, lowercase=True)
    parts = TrainingParts(split, encoder, DataConfig(), seed=1).dataset
    for batches in (parts, evaluation_batches(split, encoder, 2)[0]):
        assert batches.options().autotune.enabled is False


def test_weights_go_with_their_texts():
    parts = parts_of(1, weights=np.arange(30, dtype=np.float32))
    for _, labels, weights in parts.dataset:
        assert labels.numpy().tolist() == weights.numpy().tolist()


def test_the_first_pass_reads_other_texts():
    # Nine texts of the lengths 10 to 2, in batches of 4, with targets that say which it is.
    first = of_lengths(range(10, 1, -1)).texts, np.eye(30, dtype=np.float32)[10:19]
    parts, plain = parts_of(2, weights=np.arange(30, dtype=np.float32), first=first), parts_of(2)
    assert [parts.batches(passes) for passes in range(4)] == [0, 3, 11, 19]
    assert [parts.steps(part) for part in range(5)] == [1, 2, 4, 4, 4]
    read, passes = [], []
    for _ in range(2):
        for inputs, targets, weights in parts.dataset:
            lengths = (inputs["token_ids"].numpy() != 0).sum(axis=1)
            read += zip(lengths.tolist(), targets.numpy().argmax(axis=1).tolist(), strict=True)
            assert weights.numpy().tolist() == [1] * len(lengths)
    assert sorted(read, reverse=True) == [(length, 20 - length) for length in range(10, 1, -1)]
    for _ in range(4):
        passes += [
            (inputs["token_ids"].numpy().tolist(), targets.numpy().argmax(axis=1).tolist())
            for inputs, targets, _ in parts.dataset
        ]
    assert passes == [batch for _ in range(4) for batch in batches_of(plain.dataset)]
    again = parts_of(2, weights=np.arange(30, dtype=np.float32), first=first)
    again.skip(3)
    assert [len(targets) for _, targets, _ in again.dataset] == [
        len(labels) for _, labels in passes[4:8]
    ]


def test_other_texts_are_shuffled_anew_in_each_of_their_passes():
    texts, plain = of_lengths(range(40, 0, -1)).texts, parts_of(1)
    parts = parts_of(1, pseudo_epochs=3, first=(texts, np.eye(40, dtype=np.float32)[:, :30]))
    assert [parts.batches(passes) for passes in range(5)] == [0, 10, 20, 30, 38]
    passes = [batches_of(parts.dataset) for _ in range(5)]
    read = [[tuple(row) for ids, _ in batches for row in ids] for batches in passes[:3]]
    assert len({str(rows) for rows in read}) == 3 and all(len(rows) == 40 for rows in read)
    ids = [[row for row, _ in batches] for batches in passes[3:]]
    assert ids == [[row for row, _ in batches_of(plain.dataset)] for _ in range(2)]


def test_sampled_phrases():
    # Texts with 5, 0, 1 and 23 phrases, of which 2, 0, 1 and 2 are drawn.
    roots, owners = np.array([0, 6, 7, 9]), [0] * 6 + [1] + [2] * 2 + [3] * 21
    parts = parts_of(1, roots=roots)
    passes = [[label for label, _ in rows(parts.dataset)] for _ in range(40)]
    assert parts.batches(1) == 3 and parts.examples == 9
    for labels in passes:
        assert len(set(labels)) == 9 and set(roots) <= set(labels)
        assert np.bincount([owners[label] for label in labels]).tolist() == [3, 1, 2, 3]
    drawn = np.bincount(np.concatenate(passes), minlength=30)
    # Each of 5 phrases is drawn 16 times in 40 passes on average; the deviation is 3.1.
    assert (abs(drawn[1:6] - 16) < 11).all() and drawn[8] == 40
    assert (drawn[10:] > 0).sum() > 15
    again = parts_of(1, roots=roots)
    again.skip(39)
    assert [label for label, _ in rows(again.dataset)] == passes[39]


def test_how_often_an_epoch_has_an_example():
    shares = epoch_shares(np.array([0, 6, 7]), 9, per_root=2)
    assert shares.tolist() == [1, 0.4, 0.4, 0.4, 0.4, 0.4, 1, 1, 1]


@pytest.mark.slow
def test_padding_is_a_small_part_of_an_epoch(real_data):
    data = DataConfig()
    split = load_corpus(data, real_data).train
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


def shapes(dataset):
    """(texts, longest) of each batch, sorted."""
    return sorted(tuple(inputs["token_ids"].shape) for inputs, _ in dataset)


def test_long_texts_have_smaller_batches():
    split = of_lengths([3] * 20 + [16] * 5 + [30] * 3 + [100])
    # 8 texts of up to 8 tokens, 4 of up to 16, 2 of up to 32, or 1.
    data = DataConfig(batch_size=8, batch_tokens=64)
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), data, 1)
    expected = [(1, 16), (1, 30), (1, 100), (2, 30), (4, 3), (4, 16), (8, 3), (8, 3)]
    assert shapes(dataset) == expected and int(dataset.cardinality()) == len(expected)
    first, second = (rows(dataset) for _ in "ab")
    assert sorted(first) == sorted(second) == [(i, [2] * n) for i, n in enumerate(lengths(split))]
    assert first != second
    # The groups' batches are mixed: the long texts are not all at the end.
    places = [place for place, (_, ids) in enumerate(first) if len(ids) > 3]
    assert places != list(range(20, 29))


def lengths(split):
    return split.tokens.row_lengths().numpy().tolist()


def test_long_texts_meet_others_in_each_epoch():
    split = of_lengths([3] * 4 + [30] * 16)
    data = DataConfig(batch_size=4, batch_tokens=64)
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), data, 1)
    first, second = (
        {frozenset(labels.numpy().tolist()) for _, labels in dataset if len(labels) == 2}
        for _ in "ab"
    )
    assert len(first) == len(second) == 8 and first != second


@pytest.mark.parametrize(("batch_tokens", "largest"), [(0, 16), (3, 3), (1, 1)])
def test_a_bound_that_is_off_or_below_the_batch_size(batch_tokens, largest):
    data = DataConfig(batch_size=16, batch_tokens=batch_tokens)
    split = of_lengths([1] * 32)
    dataset = training_batches(split, TokenEncoder(VOCABULARY, True), data, 1)
    sizes = {texts for texts, _ in shapes(dataset)}
    # Sizes are 16, 8, 4, 2, 1, so that of three tokens is two.
    assert sizes == {min(largest, 2) if batch_tokens else 16}


def test_a_bound_that_no_text_reaches_changes_nothing():
    split = of_lengths([1, 2, 3, 4, 5] * 6)

    def batches(batch_tokens):
        data = DataConfig(batch_size=4, batch_tokens=batch_tokens)
        dataset = training_batches(split, TokenEncoder(VOCABULARY, True), data, 1)
        return [
            (batch["token_ids"].numpy().tolist(), labels.numpy().tolist())
            for _ in range(2)
            for batch, labels in dataset
        ]

    assert batches(20) == batches(0) != batches(19)


def test_sizes_of_batches():
    # 3 · 2 tokens fit, a third text of 4 would make 12; 4 + 5 → 10 fit; 40 is alone.
    assert batch_sizes(np.array([1, 2, 4, 5, 6, 40]), 2, 10) == [2, 2, 1, 1]
    assert batch_sizes(np.array([1, 2, 3, 3, 3]), 8, 9) == [3, 2]
    assert batch_sizes(np.array([40, 41]), 8, 10) == [1, 1]
    assert batch_sizes(np.array([1, 9, 9]), 2) == [2, 1]
    assert batch_sizes(np.array([], int), 2, 10) == []


def test_evaluation_in_batches_of_few_tokens():
    split = split_of("a b a", "b", "a a", "é")
    batches, order = evaluation_batches(split, TokenEncoder(VOCABULARY, True), 3, batch_tokens=3)
    assert order.tolist() == [label for label, _ in rows(batches)] == [1, 3, 2, 0]
    assert shapes(batches) == [(1, 2), (1, 3), (2, 1)]
    assert int(batches.cardinality()) == 3
