import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline, with_settings
from sst_keras.errors import InputError, UsageError
from sst_keras.finetuning import EarlierRun
from sst_keras.models import word_vectors
from sst_keras.runs import is_run, new_run
from sst_keras.runtime import keras
from sst_keras.training import train
from sst_keras.vocabulary import Vocabulary

RECIPE = load_pipeline("fine-tune")


class Stop(keras.callbacks.Callback):
    """Stops before the first step, so that the first weights are kept."""

    def on_train_begin(self, logs=None):
        raise KeyboardInterrupt


@pytest.fixture
def reviews(tmp_path) -> Path:
    """A file of two classes, with words that the sample lacks: zappy and zippy, often."""
    write(tmp_path / "reviews.csv", {"good": "zappy film", "bad": "zippy plot"})
    return tmp_path / "reviews.csv"


def write(path, texts):
    """Writes a file with 20 different texts of each class, which end in a word of their own."""
    rows = [f"{text} x{label}{n},{label}" for n in range(20) for label, text in texts.items()]
    path.write_text("\n".join(["text,label", *rows]), "utf-8")


def begun(earlier, dataset, folder, **settings):
    """Returns the run of a training that was stopped before its first step."""
    pipeline = EarlierRun.find(earlier.path).pipeline(RECIPE)
    settings = {name.replace("__", "."): value for name, value in settings.items()}
    pipeline = with_settings(pipeline, {"data.dataset": str(dataset)} | settings)
    run = new_run(pipeline, folder)
    with pytest.raises(KeyboardInterrupt):
        train(pipeline, run, callbacks=[Stop()])
    return run


def test_other_classes_get_a_new_last_layer(trained_run, reviews, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run = begun(trained_run, reviews, tmp_path / "new")
    assert "with a new last layer, because the classes differ" in caplog.text
    new, old = Classifier.load(run).model, Classifier.load(trained_run).model
    for name in ("lstm_1", "attention"):
        for mine, given in zip(*(m.get_layer(name).get_weights() for m in (new, old)), strict=True):
            np.testing.assert_array_equal(mine, given)
    assert new.output.shape[-1] == 2
    about = run.environment()["earlier_run"]
    assert about["fingerprint"] == EarlierRun(trained_run).fingerprint
    assert about["dataset"] == "sample" and about["pipeline"] == "lstm-attention"
    assert run.pipeline.model.init == str(trained_run.path)  # found from any folder
    assert run.pipeline.name == "fine-tune" and run.pipeline.training == RECIPE.training


def test_the_same_classes_keep_the_last_layer(trained_run, tmp_path):
    run = begun(trained_run, "sample", tmp_path / "new")
    texts = ["Not bad at all.", "A dull film."]
    new, old = (Classifier.load(each).predictor().predict(texts) for each in (run, trained_run))
    for mine, given in zip(new, old, strict=True):
        assert mine.probabilities == given.probabilities


def test_new_words_follow_the_known_ones(trained_run, reviews, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run = begun(trained_run, reviews, tmp_path / "new")
    known, words = (Vocabulary.load(each.vocabulary_file) for each in (trained_run, run))
    assert words.tokens == (*known.tokens, "zappy", "zippy")
    assert "2 new ones, 0 of them with a vector" in caplog.text
    new, old = (
        Classifier.load(each).model.get_layer("embedding").get_weights()[0]
        for each in (run, trained_run)
    )
    np.testing.assert_array_equal(new[: len(old)], old)
    np.testing.assert_array_equal(new[-2:], old[[1, 1]])  # as the unknown word


def test_a_new_word_has_its_vector_if_the_same_file_is_here(tmp_path, reviews):
    lines = ["film 1 2 3", "plot 3 1 2", "good 1 1 1", "zappy 4 5 6", "a 0 0 1"]
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("\n".join(lines), "utf-8")
    write(tmp_path / "first.csv", {"good": "good film", "bad": "a plot"})
    settings = [f"data.dataset='{tmp_path / 'first.csv'}'", f"embedding.vectors='{vectors}'"]
    settings += ["model.units=4", "training.epochs=1", "data.vector_words=0"]
    settings += ["embedding.scale=0.5"]
    pipeline = load_pipeline("lstm-attention", settings)
    earlier = train(pipeline, new_run(pipeline, tmp_path / "earlier")).run
    assert "zappy" not in Vocabulary.load(earlier.vocabulary_file).tokens

    run = begun(earlier, reviews, tmp_path / "new")
    words = Vocabulary.load(run.vocabulary_file).tokens
    row = Classifier.load(run).model.get_layer("embedding").get_weights()[0][words.index("zappy")]
    about = earlier.environment()["vectors"][0]
    np.testing.assert_allclose(row, np.array([4, 5, 6]) * about["factor"], rtol=1e-6)
    # Of a fine-tuned run, the sets are known, too.
    again = run.environment()["vectors"][0]
    assert [again[name] for name in ("fingerprint", "factor")] == [
        about[name] for name in ("fingerprint", "factor")
    ]

    vectors.write_text("\n".join([*lines, "other 1 1 1"]), "utf-8")
    run = begun(earlier, reviews, tmp_path / "changed")
    row = Classifier.load(run).model.get_layer("embedding").get_weights()[0][words.index("zappy")]
    old = Classifier.load(earlier).model.get_layer("embedding").get_weights()[0]
    np.testing.assert_array_equal(row, old[1])
    assert "are not those of the earlier run" in " ".join(run.environment()["notes"])
    assert run.pipeline.embedding.vectors == earlier.pipeline.embedding.vectors
    # A run that starts from that one knows which vectors its words had.
    assert EarlierRun(run).words().sets == earlier.environment()["vectors"]


@pytest.mark.parametrize("train_all", [True, False])
def test_what_trains(trained_run, tmp_path, train_all):
    pipeline = EarlierRun(trained_run).pipeline(RECIPE)
    changes = {"data.dataset": "sample", "training.epochs": 1, "model.train_init": train_all}
    pipeline = with_settings(pipeline, changes)
    run = train(pipeline, new_run(pipeline, tmp_path / "new")).run
    new, old = Classifier.load(run).model, Classifier.load(trained_run).model
    changed = {
        layer.name
        for layer in new.layers
        for mine, given in zip(
            layer.get_weights(), old.get_layer(layer.name).get_weights(), strict=True
        )
        if not np.array_equal(mine, given)
    }
    assert changed == ({"embedding", "lstm_1", "attention", "logits"} if train_all else {"logits"})


def test_what_was_frozen_stays_frozen(run_copy, reviews, tmp_path):
    model = keras.models.load_model(run_copy.model_file)
    model.get_layer("lstm_1").trainable = False
    model.save(run_copy.model_file)
    run = begun(run_copy, reviews, tmp_path / "new")
    layers = {layer.name: layer.trainable for layer in Classifier.load(run).model.layers}
    assert not layers["lstm_1"] and layers["attention"] and layers["logits"]


def test_other_architectures_can_be_fine_tuned(reviews, tmp_path):
    write(tmp_path / "first.csv", {"low": "a dull film", "high": "a great film"})
    small = [f"data.dataset='{tmp_path / 'first.csv'}'", "model.units=4", "model.filters=3"]
    small += ["training.epochs=1", "embedding.vectors=none", "embedding.dim=6"]
    for name in ("cnn-multichannel", "stacked-lstm"):
        pipeline = load_pipeline(name, [*small, "model.bidirectional=true"])
        earlier = train(pipeline, new_run(pipeline, tmp_path / name)).run
        new = Classifier.load(begun(earlier, reviews, tmp_path / f"{name}-new")).model
        old = Classifier.load(earlier).model
        for layer in new.layers:
            weights, given = layer.get_weights(), old.get_layer(layer.name).get_weights()
            for mine, before in zip(weights, given, strict=True):
                if layer.name != "logits":
                    np.testing.assert_array_equal(mine[: len(before)], before)
                if "embedding" in layer.name:  # new words are unknown in each channel
                    assert len(mine) > len(before) and (mine[len(before) :] == before[1]).all()


def test_a_run_with_small_vectors(reviews, tmp_path):
    settings = ["data.dataset=sample", "model.units=4", "training.epochs=1"]
    settings += ["embedding.reduce=7", "embedding.quantized=true"]
    pipeline = load_pipeline("lstm-attention", settings)
    earlier = train(pipeline, new_run(pipeline, tmp_path / "small")).run
    run = begun(earlier, reviews, tmp_path / "new")
    new, old = (
        word_vectors(Classifier.load(each).model.get_layer("embedding")) for each in (run, earlier)
    )
    assert new.shape[1] == 7 and len(new) == len(old) + 2
    np.testing.assert_allclose(new[: len(old)], old, atol=1e-2)
    np.testing.assert_allclose(new[-1], old[1], atol=1e-2)  # it has no vector
    # It goes on with its own settings.
    assert run.pipeline.embedding == earlier.pipeline.embedding
    EarlierRun(earlier).check(load_pipeline(run.pipeline_file))


def test_a_new_word_gets_the_vector_that_reducing_would_have_given_it(tmp_path):
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(40)] + ["zappy"]
    table = dict(zip(words, random.normal(size=(41, 6)) @ random.normal(size=(6, 6)), strict=True))
    vectors = tmp_path / "vectors.txt"
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in table.items()]
    vectors.write_text("\n".join(lines), "utf-8")
    texts = [" ".join(random.choice(words[:40], 6)) for _ in range(60)]
    rows = [f"{text},{'ab'[number % 2]}" for number, text in enumerate(texts)]
    (tmp_path / "first.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    rows = [f"{row.split(',')[0]} zappy,{row[-1]}" for row in rows]
    (tmp_path / "second.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    settings = [f"data.dataset='{tmp_path / 'first.csv'}'", f"embedding.vectors='{vectors}'"]
    settings += ["model.units=4", "training.epochs=1", "data.vector_words=0", "embedding.reduce=3"]
    pipeline = load_pipeline("lstm-attention", [*settings, "embedding.trainable=false"])
    earlier = train(pipeline, new_run(pipeline, tmp_path / "earlier")).run
    run = begun(earlier, tmp_path / "second.csv", tmp_path / "new")
    known = Vocabulary.load(run.vocabulary_file).tokens
    matrix = Classifier.load(run).model.get_layer("embedding").get_weights()[0]
    given = np.array([table[word] for word in known[2:]])
    # All rows, old and new, are the same projection of the vectors.
    projection = np.linalg.lstsq(given[:-1], matrix[2:-1], rcond=None)[0]
    assert known[-1] == "zappy"
    np.testing.assert_allclose(matrix[-1], given[-1] @ projection, atol=1e-4)


def test_a_pipeline_of_other_layers_is_refused(trained_run, tmp_path):
    pipeline = load_pipeline("lstm", [f"model.init={trained_run.path}", "data.dataset=sample"])
    with pytest.raises(UsageError, match="other words or layers: .*units is 16, not 128; mod"):
        train(pipeline, new_run(pipeline, tmp_path / "new"))


def test_the_settings_that_are_not_used_are_named(trained_run, caplog):
    recipe = load_pipeline("mlp", ["data.lowercase=false", "training.epochs=7"])
    pipeline = EarlierRun(trained_run).pipeline(recipe)
    assert pipeline.model.name == "lstm" and pipeline.data.lowercase
    assert pipeline.training.epochs == 7
    assert "These settings of mlp are not used: data.lowercase, model.name" in caplog.text


def test_what_only_the_last_layer_left_alone_trains_later(trained_run, reviews, tmp_path):
    first = begun(trained_run, reviews, tmp_path / "first", model__train_init=False)
    first.metrics_file.write_text("{}", "utf-8")  # finished
    assert [len(layer.trainable_weights) for layer in Classifier.load(first).model.layers[:3]] == [
        0, 0, 0,
    ]  # fmt: skip
    second = begun(first, reviews, tmp_path / "second")
    layers = {layer.name: layer.trainable for layer in Classifier.load(second).model.layers}
    assert layers["lstm_1"] and layers["attention"] and layers["embedding"]


def test_texts_that_the_earlier_run_has_seen(trained_run, reviews, tmp_path, caplog):
    run = begun(trained_run, "sample", tmp_path / "same")
    assert "was trained on" not in caplog.text  # the sample's splits do not overlap
    first = begun(trained_run, reviews, tmp_path / "first")
    first.metrics_file.write_text("{}", "utf-8")
    run = begun(first, reviews, tmp_path / "second", data__split_seed=2)
    assert "of the 4 texts of test: the scores on test may be too good" in caplog.text
    assert "too good" in " ".join(run.environment()["notes"])
    keys = run.training_texts()
    for earlier in (first, trained_run):
        assert np.isin(earlier.training_texts(), keys).all()


def test_a_run_is_not_replaced_by_what_starts_from_it(run_copy):
    pipeline = EarlierRun(run_copy).pipeline(RECIPE)
    with pytest.raises(UsageError, match="what the new run is made from"):
        new_run(pipeline, run_copy.path, overwrite=True)
    with pytest.raises(UsageError, match="what the new run is made from"):
        new_run(RECIPE, run_copy.path, overwrite=True, sources=[run_copy.path])
    assert run_copy.model_file.is_file()


def test_a_folder_of_the_same_name_is_not_taken_for_a_run(run_copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews").mkdir()
    shutil.copytree(run_copy.path, tmp_path / "saved_models" / "reviews")
    assert EarlierRun.find("reviews").run.path == Path("saved_models/reviews")


def test_texts_that_the_vectors_do_not_cover(trained_run, tmp_path):
    write(tmp_path / "other.csv", {"ja": "zuper zuperb", "nein": "zlecht zrecklich"})
    run = begun(trained_run, tmp_path / "other.csv", tmp_path / "new")
    assert "cannot be used" in " ".join(run.environment()["notes"])


def test_runs_that_cannot_be_started_from(run_copy, tmp_path):
    with pytest.raises(UsageError, match="There is no run 'nowhere'") as caught:
        EarlierRun.find("nowhere")
    assert caught.value.setting == "model.init"
    assert is_run(run_copy.path) and not is_run(tmp_path / "nowhere")
    members = [{"name": name, "pipeline": "lstm", "seed": 1} for name in "ab"]
    about = run_copy.environment() | {"members": members}
    run_copy.environment_file.write_text(json.dumps(about), "utf-8")
    with pytest.raises(UsageError, match="an ensemble. Start from one of its members: a, b"):
        EarlierRun.find(run_copy.path)
    run_copy.metrics_file.unlink()
    with pytest.raises(UsageError, match="is not finished"):
        EarlierRun.find(run_copy.path)


def test_a_model_that_is_not_that_of_its_settings(run_copy, reviews, tmp_path):
    text = run_copy.pipeline_file.read_text("utf-8").replace("num_layers = 1", "num_layers = 2")
    run_copy.pipeline_file.write_text(text, "utf-8")
    pipeline = EarlierRun(run_copy).pipeline(RECIPE)
    pipeline = with_settings(pipeline, {"data.dataset": str(reviews)})
    with pytest.raises(InputError, match="Received others at lstm_2"):
        train(pipeline, new_run(pipeline, tmp_path / "new"))


def test_a_killed_run_goes_on_only_from_the_same_run(trained_run, reviews, tmp_path):
    from sst_keras.training import Inputs

    pipeline = EarlierRun(trained_run).pipeline(RECIPE)
    pipeline = with_settings(pipeline, {"data.dataset": str(reviews)})
    task = Inputs.read(pipeline, None).task(pipeline)
    assert task.earlier_run == EarlierRun(trained_run).fingerprint
    saved = json.loads(json.dumps(vars(task)))
    assert task.differences(saved) == []
    assert task.differences(saved | {"earlier_run": "x"}) == [
        "the run that it starts from is another"
    ]
