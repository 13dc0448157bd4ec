import json
import shutil

import numpy as np
import pytest

from sst_keras.classifier import Classifier
from sst_keras.errors import UsageError
from sst_keras.pretraining import labelling
from sst_keras.pretraining.corpus import TextCorpus
from sst_keras.pretraining.labelling import corrected, draw, label
from sst_keras.pretraining.text_labels import TextLabels
from sst_keras.pseudo_labels import PseudoLabels
from sst_keras.runs import RunDirectory
from sst_keras.settings import LabellingConfig
from sst_keras.texts import Texts

SENTENCES = ["a great film .", "dull", "a dull and weak plot .", "a great film .", "not bad"]


def corpus(sentences=SENTENCES, lowercase=True):
    rows = [sentence.split() for sentence in sentences]
    words = sorted({word for row in rows for word in row})
    ids = np.array([words.index(word) for row in rows for word in row], np.int32)
    starts = np.cumsum([0, *map(len, rows)])
    counts = np.bincount(ids)
    return TextCorpus("films", "f00d", tuple(words), counts, ids, starts, lowercase, 1, ())


def config(**changes):
    return LabellingConfig(**{"sentences": 10, "shortest": 1} | changes)


def shown(texts):
    return [" ".join(texts.row(number)) for number in range(len(texts))]


@pytest.fixture
def teachers(trained_run, tmp_path):
    """Two runs with the same classes, of which the second is sure of the class 0."""
    other = RunDirectory(tmp_path / "other")
    shutil.copytree(trained_run.path, other.path)
    model = Classifier.load(other).model
    kernel, bias = model.get_layer("logits").get_weights()
    bias = np.where(np.arange(len(bias)) == 0, 50, bias)
    model.get_layer("logits").set_weights([kernel, bias])
    model.save(other.model_file)
    other.seal()
    return [trained_run, other]


def test_different_sentences_are_drawn_in_order():
    assert shown(draw(corpus(), config())) == [*SENTENCES[:3], SENTENCES[4]]
    assert shown(draw(corpus(), config(shortest=2, longest=4))) == [SENTENCES[0], SENTENCES[4]]
    two = shown(draw(corpus(), config(sentences=2)))
    assert len(two) == 2 and two == sorted(two, key=SENTENCES.index)
    draws = {tuple(shown(draw(corpus(), config(sentences=2, seed=seed)))) for seed in range(9)}
    assert len(draws) > 1
    assert len(draw(corpus(), config(sentences=1)).words) <= 6  # those of the sentence
    with pytest.raises(UsageError, match="sentences of 9 to 45 tokens"):
        draw(corpus(), config(shortest=9))


def test_the_mean_of_the_teachers(teachers, tmp_path):
    moves = []
    folder = PseudoLabels(tmp_path / "labels")
    found = label(corpus(), teachers, config(), folder, lambda *move: moves.append(move))
    texts, probabilities = folder.read()
    predictor = Classifier.load(teachers[0]).predictor()
    alone = np.array([[*predictor(text).probabilities.values()] for text in shown(texts)])
    sure = np.eye(alone.shape[1])[0]
    np.testing.assert_allclose(probabilities, (alone + sure) / 2, atol=1e-5)
    np.testing.assert_array_equal(found, probabilities)
    assert moves[0] == (0, 8) and moves[-1] == (8, 8)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "pseudo_labels.json", "sentences.npz",
    ]  # fmt: skip
    assert folder.about()["class_names"] == list(teachers[0].pipeline.data.labels)
    (source, _) = folder.about()["teachers"]["sources"]
    assert source == {"dataset": "sample", **teachers[0].sources()} and source["vectors"]
    np.testing.assert_array_equal(folder.seen_by_teachers(), teachers[0].training_texts())


def test_a_killed_one_goes_on_after_the_last_teacher(teachers, tmp_path, monkeypatch):
    whole = label(corpus(), teachers, config(), PseudoLabels(tmp_path / "whole"))
    folder, asked = PseudoLabels(tmp_path / "labels"), []

    def kill(done, size):
        if folder.teacher_file(1).is_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(corpus(), teachers, config(), folder, kill)
    assert not folder.is_finished
    load = Classifier.load
    monkeypatch.setattr(Classifier, "load", lambda run: asked.append(run.name) or load(run))
    np.testing.assert_array_equal(label(corpus(), teachers, config(), folder), whole)
    assert asked == [teachers[1].name]
    np.testing.assert_array_equal(label(corpus(), teachers, config(), folder), whole)  # finished
    assert len(asked) == 1
    with pytest.raises(UsageError, match=r"settings\.seed is 1, not 2"):
        label(corpus(), teachers, config(seed=2), folder)
    with pytest.raises(UsageError, match=r"teachers\.fingerprints"):
        label(corpus(), teachers[:1], config(), folder)


def test_what_kills_leave_behind(teachers, tmp_path):
    done = PseudoLabels(tmp_path / "whole")
    whole = label(corpus(), teachers, config(), done)
    folder = PseudoLabels(tmp_path / "labels")
    folder.path.mkdir()
    shutil.copy(done.about_file, folder.about_file)
    for name in ("pseudo_labels.0f0f0f0f.json", "teacher-1.0f0f0f0f.npz"):
        (folder.path / f".{name}").write_text("killed while it was written")
    folder.teacher_file(1).write_bytes(b"")  # by a power failure
    np.savez(folder.teacher_file(2), probabilities=np.ones_like(whole, np.float32))
    header = folder.teacher_file(2).read_bytes().replace(b"}", b" ", 1)
    folder.teacher_file(2).write_bytes(header)
    (folder.path / "teacher-1.npy").write_bytes(b"")  # as an earlier version called it
    np.testing.assert_array_equal(label(corpus(), teachers, config(), folder), whole)
    folder.teacher_file(2).write_text("killed before it was removed")
    label(corpus(), teachers, config(), folder)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "pseudo_labels.json", "sentences.npz",
    ]  # fmt: skip
    new = PseudoLabels(tmp_path / "new")
    new.path.mkdir()
    (new.path / ".pseudo_labels.0f0f0f0f.json").write_text("killed while it was written")
    np.testing.assert_array_equal(label(corpus(), teachers, config(), new), whole)


def test_probabilities_with_a_flipped_bit_are_made_again(teachers, tmp_path, caplog):
    whole = label(corpus(), teachers, config(), PseudoLabels(tmp_path / "whole"))
    folder, size = PseudoLabels(tmp_path / "labels"), whole.nbytes

    def kill(done, size):
        if folder.teacher_file(1).is_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(corpus(), teachers, config(), folder, kill)
    file = folder.teacher_file(1)
    content = file.read_bytes()
    with np.load(file) as arrays:
        start = content.index(arrays["probabilities"].tobytes())
        made_from = str(arrays["made_from"])
    assert labelling._saved(file, whole.shape, made_from) is not None
    assert labelling._saved(file, whole.shape, f"another {made_from}") is None
    with np.load(file) as arrays:
        np.savez(folder.path / "earlier.npz", probabilities=arrays["probabilities"])
    assert labelling._saved(folder.path / "earlier.npz", whole.shape, made_from) is not None
    (folder.path / "earlier.npz").unlink()
    for place in range(start, start + size, 7):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert labelling._saved(file, whole.shape, made_from) is None
        assert "made again" in caplog.text
        caplog.clear()
    np.testing.assert_array_equal(label(corpus(), teachers, config(), folder), whole)
    assert "teacher-1.npz: it is damaged or of another teacher, and made again" in caplog.text
    assert json.loads(folder.about_file.read_text("utf-8"))["sha256"]


def test_teachers_that_do_not_fit(trained_run, run_copy, tmp_path):
    folder = PseudoLabels(tmp_path / "labels")
    text = run_copy.pipeline_file.read_text("utf-8")
    run_copy.pipeline_file.write_text(text.replace('"neutral"', '"mixed"'), "utf-8")
    with pytest.raises(UsageError, match="mixed"):
        label(corpus(), [trained_run, run_copy], config(), folder)
    with pytest.raises(UsageError, match="a corpus with lowercase=True"):
        label(corpus(lowercase=False), [trained_run], config(), folder)
    folder.path.mkdir()
    (folder.path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds files, but not pseudo-labels"):
        label(corpus(), [trained_run], config(), folder)


def test_what_the_labels_of_texts_tell():
    # Two classes and two labels: 3 of 4 sentences of class 0 are in texts with the label 0.
    probabilities = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0.5, 0.5]])
    counts = np.array([[1, 0], [2, 0], [1, 0], [0, 1], [0, 3], [0, 1], [1, 0]]) * 1000
    found = corrected(np.repeat(probabilities, 1000, axis=0), np.repeat(counts, 1000, axis=0))[
        ::1000
    ]
    np.testing.assert_allclose(found[:6], probabilities[:6])
    # P(label 0 | class 0) = 3.5 / 4.5, P(label 0 | class 1) = 0.5 / 2.5; about, for the +1.
    expected = 3.5 / 4.5 / (3.5 / 4.5 + 0.5 / 2.5)
    np.testing.assert_allclose(found[6], [expected, 1 - expected], atol=1e-3)


def test_a_sentence_of_texts_that_differ():
    probabilities = np.array([[0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    counts = np.array([[5, 5], [0, 0], [1, 0], [0, 1]])
    found = corrected(probabilities, counts)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[1], probabilities[1])  # without a label, nothing changes


def text_labels(**counts):
    texts = [sentence.replace("_", " ").split() for sentence in counts]
    flat = [token for text in texts for token in text]
    keys = Texts.from_tokens(flat, [len(text) for text in texts]).keys()
    order = np.argsort(keys)
    return TextLabels(("bad", "good"), keys[order], np.array([*counts.values()], np.int32)[order])


def test_sentences_of_texts_with_a_label_are_drawn(teachers, tmp_path):
    labels = text_labels(dull=[1, 0], not_bad=[0, 2])
    chosen = config(document_labels=True)
    assert shown(draw(corpus(), chosen, labels)) == ["dull", "not bad"]
    plain = label(corpus(), teachers, config(), PseudoLabels(tmp_path / "plain"))
    found = label(corpus(), teachers, chosen, PseudoLabels(tmp_path / "out"), text_labels=labels)
    np.testing.assert_allclose(
        found, corrected(plain[[1, 3]], np.array([[1, 0], [0, 2]])), rtol=1e-5
    )
    with pytest.raises(UsageError, match="of texts with a label"):
        draw(corpus(), chosen, text_labels(other=[1, 0]))
