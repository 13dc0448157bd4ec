import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from sst_keras import files
from sst_keras.cli import main
from sst_keras.config import load_pipeline, with_override
from sst_keras.corpora import load_corpus
from sst_keras.errors import InputError, UsageError
from sst_keras.pseudo_labels import PseudoLabels, find_pseudo_labels
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras
from sst_keras.settings import DataConfig
from sst_keras.training import Inputs, train

CLASSES = ["very negative", "negative", "neutral", "positive", "very positive"]
TEXTS = [["a", "fine", "film"], ["dull"], ["not", "dull"], ["fine"]]
PROBABILITIES = np.array(
    [[0, 0, 0, 0.25, 0.75], [0.5, 0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]], np.float32
)


def write(path, texts=TEXTS, times=1, seen=None, **changes):
    """Writes the pseudo-labels of four texts, so many times."""
    path.mkdir(parents=True, exist_ok=True)
    words = sorted({word for text in texts for word in text})
    about = {
        "format": 1,
        "settings": {"sentences": 9},
        "corpus": {"name": "films", "fingerprint": "f00d"},
        "teachers": {"names": ["a", "b"], "fingerprints": ["1", "2"]},
        "class_names": CLASSES,
        "lowercase": True,
        "sentences": 4,
    }
    found = PseudoLabels(path)
    found.about_file.write_text(json.dumps(about | changes))
    np.savez(
        found.sentences_file,
        words=np.frombuffer("".join(f"{word}\n" for word in words).encode(), np.uint8),
        ids=np.array([words.index(word) for text in texts for word in text] * times, np.int32),
        starts=np.cumsum([0, *list(map(len, texts)) * times]),
        probabilities=np.tile(PROBABILITIES, (times, 1)),
        **({} if seen is None else {"seen": seen}),
    )
    return found


def run_pipeline(path, *overrides, callbacks=()):
    settings = ["data.dataset=sample", "model.units=4", "embedding.dropout=0", "model.dropout=0"]
    pipeline = load_pipeline("lstm-attention", [*settings, *overrides])
    run = RunDirectory(path)
    run.path.mkdir(exist_ok=True)
    return train(pipeline, run, callbacks=callbacks)


def test_reading(tmp_path):
    texts, probabilities = write(tmp_path / "labels").read()
    assert [texts.row(number) for number in range(4)] == TEXTS
    assert probabilities.tolist() == PROBABILITIES.tolist()


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = write(tmp_path / "saved_models" / "pseudo-labels" / "films")
    assert PseudoLabels.find("pseudo-labels/films").lasting_name == "pseudo-labels/films"
    assert [each.path.name for each in find_pseudo_labels()] == ["films"]
    assert found.summary() == {
        "run": "pseudo-labels/films",
        "path": str(found.path),
        "corpus": "films",
        "teachers": ["a", "b"],
        "sentences": 4,
        "finished": True,
    }
    assert found.to_dict()["fingerprint"] == found.fingerprint != ""


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda found: found.sentences_file.write_bytes(b"PK"), "expected a file of arrays"),
        (lambda found: np.savez(found.sentences_file, words=np.zeros(1)), "labelled sentences"),
        (lambda found: found.about_file.write_text('{"format": 2}'), "expected format 1"),
        (lambda found: found.about_file.write_text('{"format": 1}'), "an object in settings"),
        (lambda found: write(found.path, sentences=True), "a whole number .*in sentences"),
    ],
)
def test_damaged_folders(tmp_path, damage, message):
    found = write(tmp_path / "labels")
    damage(found)
    with pytest.raises(InputError, match=message):
        found.read()


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("probabilities", lambda array: array.astype(str), "Its probabilities are"),
        ("probabilities", lambda array: array * 0, "not probabilities"),
        ("probabilities", lambda array: array * 2, "not probabilities"),
        ("probabilities", lambda array: array * np.nan, "not probabilities"),
        ("probabilities", lambda array: array[:, :1], "probabilities of shape"),
        ("starts", lambda array: array.astype(float), "Its starts are float64"),
        ("ids", lambda array: array.astype(float), "Its ids are float64"),
        ("ids", lambda array: array + 1000, "numbers of words"),
        ("starts", lambda array: array[::-1], "do not fit"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, name, change, message):
    found = write(tmp_path / "labels")
    with np.load(found.sentences_file) as file:
        arrays = dict(file)
    np.savez(found.sentences_file, **arrays | {name: change(arrays[name])})
    with pytest.raises(
        InputError, match=f"expected labelled sentences.*{message}.*sst-keras label"
    ):
        found.read()


def nested(levels):
    """Pseudo-labels whose teachers learned from pseudo-labels, and so on."""
    source = {"dataset": "sst5"}
    for _ in range(levels):
        source = {"pseudo_labels": {"name": "a", "teachers": {"sources": [source]}}}
    return {"names": ["a"], "sources": [source]}


@pytest.mark.parametrize(
    "change, place",
    [
        ({"teachers": {"names": 5}}, "a list in teachers.names"),
        ({"teachers": {"names": [1]}}, "a text in teachers.names[0]"),
        ({"teachers": {}}, "a list in teachers.names"),
        ({"teachers": {"names": ["a"], "sources": 5}}, "a list in teachers.sources"),
        ({"teachers": {"names": ["a"], "sources": [5]}}, "an object in teachers.sources[0]"),
        ({"teachers": {"names": ["a"], "sources": [{"vectors": [{"name": 1, "dim": 2}]}]}}, "name"),
        ({"teachers": {"names": ["a"], "sources": [{"members": [{"name": "a"}]}]}}, "pipeline"),
        ({"corpus": {"name": ["films"]}}, "a text in corpus.name"),
        ({"class_names": [1, 2, 3, 4, 5]}, "a text in class_names[0]"),
        ({"settings": {"document_labels": "x"}}, "true or false in settings.document_labels"),
        ({"sentences": -1}, "in sentences"), ({"sentences": True}, "in sentences"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_fields_of_other_kinds(tmp_path, monkeypatch, change, place):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "saved_models" / "good", teachers=nested(3))
    bad = write(tmp_path / "saved_models" / "bad", **change)
    for read in (bad.about, bad.summary, bad.to_dict):
        with pytest.raises(InputError, match=rf"pseudo_labels.json: .*{re.escape(place)}"):
            read()
    result = CliRunner().invoke(main, ["runs", "--json"])
    assert [row["run"] for row in json.loads(result.stdout)["pseudo_labels"]] == ["good"]
    assert "Left out: saved_models/bad/pseudo_labels.json" in result.stderr
    pipeline = load_pipeline("mlp", ["data.dataset=sample", "data.pseudo_labels=bad"])
    with pytest.raises(InputError, match="pseudo_labels.json"):
        Inputs.read(pipeline, None)


def test_a_folder_that_was_changed(tmp_path):
    found = write(tmp_path / "labels")
    files.write_sealed_json(found.about_file, found.about())
    assert found.about()["sentences"] == 4 and "sha256" not in found.to_dict()
    text = found.about_file.read_text("utf-8")
    found.about_file.write_text(text.replace("films", "fills"), "utf-8")
    with pytest.raises(InputError, match="it has changed since it was written"):
        found.about()


def test_the_first_epoch_learns_from_them(tmp_path):
    done = []

    class Steps(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            done.append(int(self.model.optimizer.iterations))

    found = write(tmp_path / "labels")
    settings = [f"data.pseudo_labels={found.path}", "training.epochs=2"]
    result = run_pipeline(tmp_path / "run", *settings, callbacks=[Steps()])
    # A batch of pseudo-labels, then all batches of the examples.
    sentences = len(load_corpus(DataConfig(dataset="sample")).train)
    assert done == [1, 1 + -(-sentences // 64)] and sentences > 8 * 64
    first, second = result.history.rows
    # The speed counts the texts of an epoch.
    assert first["examples_per_second"] * first["seconds"] == pytest.approx(4)
    assert second["examples_per_second"] * second["seconds"] == pytest.approx(sentences)
    environment = result.run.environment()
    assert environment["pseudo_labels"]["teachers"]["names"] == ["a", "b"]
    plain = run_pipeline(tmp_path / "plain", "training.epochs=1")
    keys = {"run": result.run.training_texts(), "plain": plain.run.training_texts()}
    assert np.isin(found.read()[0].keys(), keys["run"]).all()
    assert not np.isin(found.read()[0].keys(), keys["plain"]).all()
    assert result.run.pipeline.data.pseudo_labels == str(found.path)


def test_texts_of_dev_and_test_in_them_are_named(tmp_path, caplog):
    corpus = load_corpus(DataConfig(dataset="sample"))
    texts = [corpus.dev.texts.row(0), corpus.test.texts.row(0), *TEXTS[2:]]
    found = write(tmp_path / "labels", texts, seen=corpus.test.texts.keys()[:7])
    pipeline = load_pipeline(
        "lstm-attention", ["data.dataset=sample", f"data.pseudo_labels={found.path}"]
    )
    inputs = Inputs.read(pipeline, None)
    size = len(corpus.test)
    for note in (
        f"{found.path} has 1 of the {len(corpus.dev)} texts of dev: the scores on dev may be",
        f"{found.path} has 1 of the {size} texts of test",
        f"The teachers of {found.path} were trained on 7 of the {size} texts of test",
    ):
        assert note in caplog.text and note in " ".join(inputs.corpus.notes)
    plain = write(tmp_path / "plain")
    Inputs.read(with_override(pipeline, f"data.pseudo_labels={plain.path}"), None)
    assert str(plain.path) + " has" not in caplog.text


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_history(tmp_path, monkeypatch):
    monkeypatch.setattr("sst_keras.checkpoints.SECONDS", 0.0)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                raise RuntimeError

    found = write(tmp_path / "labels", times=500)
    settings = [
        f"data.pseudo_labels={found.path}", "training.epochs=3", "training.average=0.9",
        "training.checks_per_epoch=2", "training.monitor=macro-f1", "data.class_weights=balanced",
        "model.dropout=0.2", "data.pseudo_epochs=2",
    ]  # fmt: skip
    whole = run_pipeline(tmp_path / "whole", *settings)
    assert len(whole.history.rows) == 6
    with pytest.raises(RuntimeError):
        run_pipeline(tmp_path / "stopped", *settings, callbacks=[Stop()])
    again = run_pipeline(tmp_path / "stopped", *settings)
    for before, after in zip(whole.history.rows, again.history.rows, strict=True):
        assert (before["loss"], before["dev_loss"]) == (after["loss"], after["dev_loss"])


def test_those_that_do_not_fit_are_refused(tmp_path):
    two = write(tmp_path / "two", class_names=["bad", "good"])
    with pytest.raises(UsageError, match="has the classes bad, good"):
        run_pipeline(tmp_path / "run", f"data.pseudo_labels={two.path}")
    lower = write(tmp_path / "lower")
    with pytest.raises(UsageError, match=r"Set data\.lowercase"):
        settings = [f"data.pseudo_labels={lower.path}", "data.lowercase=false"]
        run_pipeline(tmp_path / "run", *settings)
    with pytest.raises(UsageError, match="no pseudo-labels 'gone'"):
        run_pipeline(tmp_path / "run", "data.pseudo_labels=gone")
    lower.sentences_file.unlink()
    with pytest.raises(UsageError, match="are not finished"):
        run_pipeline(tmp_path / "run", f"data.pseudo_labels={lower.path}")


def test_one_epoch_never_sees_the_examples(tmp_path, caplog):
    found = write(tmp_path / "labels")
    run_pipeline(tmp_path / "run", f"data.pseudo_labels={found.path}", "training.epochs=1")
    assert "learns from pseudo-labels only" in caplog.text
