import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.pretrained import LanguageModelRun
from sst_keras.pretraining import language_model
from sst_keras.pretraining.corpus import TextCorpus
from sst_keras.pretraining.language_model import (
    LanguageModel,
    SampledSoftmax,
    Sentences,
    Trainer,
    pretrain,
    sampling_probabilities,
)
from sst_keras.runtime import tf
from sst_keras.settings import LanguageModelConfig

COUNTS = np.array([6.0, 3.0, 1.0])
WORDS = "the film is good bad not very a plot of and was".split()


def corpus(sentences: int = 400, longest: int = 9) -> TextCorpus:
    random = np.random.default_rng(0)
    lengths = random.integers(1, longest, sentences)
    starts = np.append(0, np.cumsum(lengths))
    ids = (random.random(starts[-1]) ** 2 * len(WORDS)).astype(np.int32)
    counts = np.bincount(ids, minlength=len(WORDS))
    return TextCorpus("toy", "f00d", tuple(WORDS), counts, ids, starts, True, 0, ())


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(1)
    rows = [f"{word} {' '.join(map(str, random.normal(size=4)))}" for word in WORDS[:-1]]
    path = tmp_path / "toy.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(autouse=True)
def few_parts(monkeypatch):
    """An epoch has fewer parts, each of which costs time."""
    monkeypatch.setattr(language_model, "PARTS", 5)


@pytest.fixture
def config(vectors):
    return LanguageModelConfig(
        vectors=str(vectors), units=3, words=6, negatives=4, batch_size=8, max_length=5
    )


def test_sampling_probabilities_by_hand():
    # Two of three: 2 · 6/10 is above 1. What is left, 1, is shared 3 to 1.
    np.testing.assert_allclose(sampling_probabilities(COUNTS, 2), [1, 0.75, 0.25])
    np.testing.assert_allclose(sampling_probabilities(COUNTS, 1), [0.6, 0.3, 0.1])
    assert sampling_probabilities(COUNTS, 3).tolist() == [1, 1, 1]
    assert sampling_probabilities(COUNTS, 9).tolist() == [1, 1, 1]


def test_systematic_sampling_by_hand():
    softmax = SampledSoftmax(COUNTS, units=2, negatives=2, dtype="float32")
    # The probabilities' sums are 1, 1.75 and 2.
    assert softmax.sample(tf.constant(0.5)).numpy().tolist() == [0, 1]
    assert softmax.sample(tf.constant(0.8)).numpy().tolist() == [0, 2]


def test_the_sampled_partition_function_is_right_on_average():
    random = np.random.default_rng(0)
    counts = np.array([50.0, 9, 8, 7, 3, 2, 1])
    sampled = SampledSoftmax(counts, units=3, negatives=4, dtype="float32")
    states = tf.constant(random.normal(size=(2, 3)), tf.float32)
    labels = tf.constant([2, 6])
    exact = np.exp(sampled.full_losses(states, labels))
    starts = (np.arange(2000) + 0.5) / 2000
    losses = tf.function(sampled.losses)
    found = [np.exp(losses(states, labels, tf.constant(u, tf.float32))) for u in starts]
    assert np.std(found) > 0.01
    np.testing.assert_allclose(np.mean(found, axis=0), exact, rtol=2e-3)


def test_with_all_classes_sampled_the_loss_is_exact():
    softmax = SampledSoftmax(COUNTS, units=2, negatives=3, dtype="float32")
    states, labels = tf.constant([[0.3, -2.0], [1.0, 1.0]]), tf.constant([0, 2])
    np.testing.assert_allclose(
        softmax.losses(states, labels, tf.constant(0.3)),
        softmax.full_losses(states, labels),
        rtol=1e-5,
    )


def test_each_direction_predicts_the_word_that_it_has_not_read(config):
    model = LanguageModel(config, np.eye(5, dtype=np.float32), np.ones(9))
    batch = {
        "rows": tf.constant([[2, 3, 4], [3, 0, 0]]),
        "classes": tf.constant([[5, 6, 7], [8, 0, 0]]),
        "lengths": tf.constant([3, 1], tf.int64),
    }

    def run(batch):
        seen = []
        model.losses(batch, lambda *found: seen.append(found), training=True)
        return [(states.numpy(), labels.numpy().tolist()) for states, labels, _ in seen]

    (forward, next_words), (backward, words_before) = run(batch)
    # The first sentence's words, then the second's; 0 is the boundary.
    assert next_words == [6, 7, 0, 0]
    assert words_before == [6, 5, 0, 0]  # from the last word to the first
    # Another last word changes the state that has read it.
    changed = batch | {"rows": tf.constant([[2, 3, 2], [3, 0, 0]])}
    (forward_2, _), (backward_2, _) = run(changed)
    assert (forward != forward_2).any(axis=1).tolist() == [False, False, True, False]
    assert (backward != backward_2).any(axis=1).tolist() == [True, True, True, False]


def test_long_sentences_become_pieces_and_the_last_are_held_out(config):
    ids = np.arange(27, dtype=np.int32) % 3
    starts = np.append([0, 12, 13], 13 + np.arange(1, 15))
    counts = np.bincount(ids)
    toy = TextCorpus("toy", "", ("a", "b", "c"), counts, ids, starts, True, 0, ())
    sentences = Sentences(toy, config, np.array([2, 3, 1], np.int32))
    assert sentences.lengths.tolist() == [5, 5, 2] + [1] * 15
    assert sentences.held_out.tolist() == [17]  # a tenth of 16 sentences
    (batch,) = sentences.batches(np.array([1, 2]), 8)  # words 5 to 9, 10 and 11
    assert batch["lengths"].numpy().tolist() == [2, 5]
    assert batch["rows"].numpy().tolist() == [[3, 1, 0, 0, 0], [1, 2, 3, 1, 2]]
    assert batch["classes"].numpy().tolist() == [[3, 4, 0, 0, 0], [4, 2, 3, 4, 2]]
    # Only the two most frequent words are predicted; the third counts as rare.
    few = Sentences(toy, LanguageModelConfig(words=2), np.array([2, 3, 1], np.int32))
    (batch,) = few.batches(np.array([0]), 8)  # words 0 to 11
    assert batch["classes"].numpy().tolist() == [[2, 3, 1] * 4]
    assert few.class_counts(counts).tolist() == [16, 9, 9, 9]


def test_an_epoch_reads_each_piece_once(config):
    sentences = Sentences(corpus(), config, np.ones(len(WORDS), np.int32))
    epochs = [
        np.concatenate([sentences.part(epoch, number) for number in range(language_model.PARTS)])
        for epoch in range(2)
    ]
    assert (epochs[0] != epochs[1]).any()
    for pieces in epochs:
        assert sorted(pieces) == sentences.training.tolist()
    read = sum(
        int(batch["lengths"].numpy().sum())
        for number in range(language_model.PARTS)
        for batch in sentences.batches(sentences.part(0, number), 8, np.random.default_rng(0))
    )
    assert read == sentences.lengths[sentences.training].sum()


def test_training_lowers_the_perplexity(config):
    steps = []
    sentences = Sentences(corpus(), config, np.arange(2, 2 + len(WORDS), dtype=np.int32))
    matrix = np.random.default_rng(0).normal(size=(14, 4)).astype(np.float32)
    model = LanguageModel(config, matrix, sentences.class_counts(corpus().counts))
    trainer = Trainer(config, model, sentences)
    before = [weight.numpy() for weight in (*model.dense, *model.sparse)]
    first = trainer.perplexities()
    for number in range(language_model.PARTS):
        trainer.train_part(0, number, lambda *step: steps.append(step))
    after = trainer.perplexities()
    assert after["forward"] < first["forward"] and after["backward"] < first["backward"]
    assert steps[-1][0] == sentences.lengths[sentences.part(0, language_model.PARTS - 1)].sum()
    changed = [weight.numpy() for weight in (*model.dense, *model.sparse)]
    assert all((old != new).any() for old, new in zip(before, changed, strict=True))


class Killed(BaseException):
    pass


def test_a_stopped_run_goes_on_to_the_same_weights(config, tmp_path):
    whole, stopped = LanguageModelRun(tmp_path / "whole"), LanguageModelRun(tmp_path / "stopped")
    metrics = pretrain(corpus(), config, whole)

    def stop(progress):
        if progress.done > progress.total / 3:
            raise Killed

    with pytest.raises(Killed):
        pretrain(corpus(), config, stopped, on_progress=stop)
    (stopped.path / ".checkpoint.0123abcd.npz").write_bytes(b"killed as it was written")
    assert not stopped.is_finished and stopped.checkpoint_file.is_file()
    with pytest.raises(UsageError, match="not finished"):
        LanguageModelRun.find(stopped.path)
    before = stopped.history_file.read_text()
    done = []
    # The same vectors and corpus, by other names.
    moved = config.vectors.replace("toy.txt", "moved.txt")
    Path(config.vectors).rename(moved)
    config, renamed = replace(config, vectors=moved), replace(corpus(), name="renamed")
    again = pretrain(renamed, config, stopped, on_progress=lambda now: done.append(now.done))
    assert stopped.history_file.read_text().startswith(before)
    assert done[0] > 400
    assert again["perplexity"] == metrics["perplexity"]
    expected = whole.weights()
    for name, array in stopped.weights().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    assert not list(stopped.path.glob("*checkpoint*"))

    with whole.history_file.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == language_model.PARTS
    assert float(rows[-1]["epoch"]) == 1
    assert sum(int(row["tokens"]) for row in rows) == metrics["tokens"]
    # The words that are predicted, after padding and unknown.
    assert whole.vocabulary_file.read_text().split() == ["<pad>", "<unk>", *WORDS[:6]]
    assert expected["forward/kernel"].shape == (4, 12)
    assert expected["softmax/kernel"].shape == (8, 3)
    assert metrics["tokens_without_vector"] == pytest.approx(
        corpus().counts[-1] / corpus().counts.sum()
    )


def test_a_damaged_unfinished_run_is_refused(config, tmp_path):
    run = LanguageModelRun(tmp_path / "run")

    def stop(progress):
        if progress.perplexities:
            raise Killed

    with pytest.raises(Killed):
        pretrain(corpus(), config, run, on_progress=stop)
    history, checkpoint = run.history_file.read_text(), run.checkpoint_file.read_bytes()
    run.history_file.write_text(history.partition("\n")[0] + "\n")
    with pytest.raises(InputError, match="It has no rows"):
        pretrain(corpus(), config, run)
    run.history_file.write_text(history)
    for content in (b"", checkpoint[:500], checkpoint[:-500]):
        run.checkpoint_file.write_bytes(content)
        with pytest.raises(InputError, match="expected a checkpoint"):
            pretrain(corpus(), config, run)


def test_a_run_that_was_killed_in_its_first_file(config, tmp_path):
    run = LanguageModelRun(tmp_path / "run")
    run.path.mkdir()
    left = run.path / ".language_model.0123abcd.json"
    left.write_text("{")
    pretrain(corpus(), config, run)
    assert run.is_finished and not left.exists()
    for file, read in ((run.settings_file, run.about), (run.metrics_file, run.metrics)):
        read()
        text = file.read_text("utf-8")
        file.write_text(text.replace("1", "2", 1), "utf-8")
        with pytest.raises(InputError, match=rf"{file.name}: it has changed since it was written"):
            read()
        file.write_text(text, "utf-8")


def test_a_training_that_diverges_is_not_finished(config, tmp_path):
    run = LanguageModelRun(tmp_path / "run")
    with pytest.raises(InputError, match="diverged by epoch 0.20"):
        pretrain(corpus(), replace(config, learning_rate=1e30), run)
    assert not run.is_finished and not run.weights_file.exists()


def test_a_finished_run_is_left_and_others_are_refused(config, tmp_path, monkeypatch):
    run = LanguageModelRun(tmp_path / "run")
    metrics = pretrain(corpus(), config, run)
    monkeypatch.setattr(language_model, "LanguageModel", None)  # nothing is trained
    run.checkpoint_file.write_text("killed before it was removed")
    assert pretrain(corpus(), config, run) == metrics
    assert not run.checkpoint_file.exists()
    other = LanguageModelConfig(**{**vars(config), "units": 4})
    with pytest.raises(UsageError, match="settings.units is 3, not 4"):
        pretrain(corpus(), other, run)
    (tmp_path / "full").mkdir()
    files.write_text(tmp_path / "full" / "x.txt", "x")
    with pytest.raises(UsageError, match="holds files, but not a language model"):
        pretrain(corpus(), config, LanguageModelRun(tmp_path / "full"))
    with pytest.raises(UsageError, match="Received a file"):
        pretrain(corpus(), config, LanguageModelRun(tmp_path / "full" / "x.txt"))


def test_slow_bfloat16_is_named(config, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("sst_keras.environment.is_bfloat16_slow", lambda: True)
    pretrain(corpus(), config, LanguageModelRun(tmp_path / "fast"))
    assert "no bfloat16 instructions" not in caplog.text
    slow = replace(config, matmul_dtype="bfloat16")
    pretrain(corpus(), slow, LanguageModelRun(tmp_path / "slow"))
    assert "no bfloat16 instructions" in caplog.text


def test_vectors_of_other_words(config, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("qqq 1 2\nrrr 3 4\n")
    other = LanguageModelConfig(**{**vars(config), "vectors": str(path)})
    with pytest.raises(UsageError, match="none of the corpus's words"):
        pretrain(corpus(), other, LanguageModelRun(tmp_path / "run"))


def test_too_few_sentences(config, tmp_path):
    with pytest.raises(UsageError, match="at least 100 sentences"):
        pretrain(corpus(20), config, LanguageModelRun(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
