"""Settings: each one is read, and reported as unread exactly where it changes nothing."""

import dataclasses
import json
import re
import tomllib

import numpy as np
import pytest

from sst_keras.config import load_pipeline, with_settings
from sst_keras.runs import new_run
from sst_keras.settings import FORMAT, SECTIONS, SETTINGS, Pipeline, is_read, label, setting_docs

# What a setting is read for, as `observe` returns it.
VOCABULARY, CLASSES, BATCHES, MODEL, START, STEP, LOSS = (
    "vocabulary", "classes", "batches", "model", "initial weights", "weights after a step", "loss",
)  # fmt: skip
EPOCHS, PATIENCE, WEIGHTS, MONITOR, SCALE, AVERAGE, RATE = (
    "epochs", "patience", "weights", "monitor", "scale", "average", "rate after a step",
)  # fmt: skip
# Setting → another value, what must change, and the settings that the change needs.
CHANGES = {
    "data.dataset": ("{csv}", CLASSES, {}),
    "data.text_column": ("title", VOCABULARY, {"data.dataset": "{csv}"}),
    "data.label_column": ("stars", CLASSES, {"data.dataset": "{csv}"}),
    "data.group_column": ("product", BATCHES, {"data.dataset": "{csv}"}),
    "data.labels": (["good", "bad"], CLASSES, {"data.dataset": "{csv}"}),
    "data.delimiter": ("|", CLASSES, {"data.dataset": "{odd}"}),
    "data.quoting": ("none", VOCABULARY, {"data.dataset": "{odd}"}),
    "data.header": ("3", BATCHES, {"data.dataset": "{odd}"}),
    "data.encoding": ("latin-1", VOCABULARY, {"data.dataset": "{odd}"}),
    "data.markup": ("keep", VOCABULARY, {"data.dataset": "{odd}"}),
    "data.ordinal": ("no", SCALE, {}),
    "data.split_seed": (2, BATCHES, {"data.dataset": "{csv}"}),
    "data.examples": ("phrases", BATCHES, {}),
    "data.phrases_per_sentence": (1, BATCHES, {"data.examples": "sampled-phrases"}),
    "data.root_weight": (3.0, WEIGHTS, {"data.examples": "phrases"}),
    "data.pseudo_labels": ("{labels}", BATCHES, {}),
    "data.lowercase": (False, VOCABULARY, {}),
    "data.min_count": (1, VOCABULARY, {}),
    "data.vector_words": (0, VOCABULARY, {}),
    "data.max_length": (1, BATCHES, {}),
    "data.batch_size": (2, BATCHES, {}),
    "data.batch_tokens": (3, BATCHES, {}),
    "data.class_weights": ("balanced", WEIGHTS, {"data.examples": "phrases"}),
    "embedding.vectors": (["none"], START, {}),
    "embedding.key_pattern": ("{word}_{tag}", VOCABULARY, {}),
    "embedding.dim": (7, START, {"embedding.vectors": ["none"]}),
    "embedding.scale": (0.7, START, {}),
    "embedding.reduce": (2, START, {}),
    "embedding.trainable": (False, MODEL, {}),
    "embedding.optimizer": ("sgd", STEP, {}),
    "embedding.learning_rate": (0.5, STEP, {}),
    "embedding.dropout": (0.1, MODEL, {}),
    "embedding.word_dropout": (0.1, MODEL, {}),
    "model.name": ("mlp", MODEL, {}),
    "model.units": (5, MODEL, {}),
    "model.num_layers": (2, MODEL, {}),
    "model.shortcuts": (True, MODEL, {"model.num_layers": 2}),
    "model.bidirectional": (True, MODEL, {}),
    "model.pooling": ("mean", MODEL, {}),
    "model.padded_length": (9, MODEL, {"model.pooling": "last_padded"}),
    "model.init": ("{lm}", START, {}),
    "model.train_init": (False, STEP, {"model.init": "{lm}"}),
    "model.weight_dropout": (0.5, MODEL, {}),
    "model.matmul_dtype": ("bfloat16", MODEL, {}),
    "model.filters": (3, MODEL, {"model.name": "cnn"}),
    "model.kernel_sizes": ([2], MODEL, {"model.name": "cnn"}),
    "model.dropout": (0.1, MODEL, {}),
    "training.seed": (2, START, {}),
    "training.epochs": (3, EPOCHS, {}),
    "training.patience": (3, PATIENCE, {}),
    "training.checks_per_epoch": (2, EPOCHS, {"data.batch_size": 1}),
    "training.average": (0.9, AVERAGE, {}),
    "training.monitor": ("macro-f1", MONITOR, {}),
    "training.loss": ("euclidean", LOSS, {}),
    "training.label_smoothing": (0.1, LOSS, {}),
    "training.optimizer": ("sgd", STEP, {}),
    "training.learning_rate": (0.5, STEP, {}),
    # Adam's first step does not depend on the gradient's length.
    "training.schedule": ("linear", RATE, {}),
    "training.l2": (0.1, STEP, {"training.optimizer": "sgd"}),
    "training.weight_decay": (0.1, STEP, {}),
    "training.clip_norm": (0.1, STEP, {"training.optimizer": "sgd"}),
}
# What these change is seen only in or after training, in tests/test_training.py and
# tests/test_pseudo_labels.py.
AFTERWARDS = {"embedding.quantized": True, "data.pseudo_epochs": 2}
# Setting that only some models read → settings of a model that does not read it.
UNREAD = {
    "data.phrases_per_sentence": {"data.examples": "phrases"},
    "data.root_weight": {},
    "data.pseudo_epochs": {},
    "embedding.dim": {},
    "embedding.reduce": {"embedding.vectors": ["none"]},
    "model.units": {"model.name": "cnn"},
    "model.num_layers": {"model.name": "mlp"},
    "model.shortcuts": {},
    "model.bidirectional": {"model.name": "mlp"},
    "model.pooling": {"model.name": "mlp"},
    "model.padded_length": {},
    "model.train_init": {},
    "model.weight_dropout": {"model.name": "cnn"},
    "model.matmul_dtype": {"model.name": "cnn"},
    "model.filters": {},
    "model.kernel_sizes": {"model.name": "mlp"},
}


class Captured(Exception):
    """Raised in place of training."""


@pytest.fixture(scope="module")
def observe(tmp_path_factory):
    """Returns a function: settings → what `train` gives to Keras with them."""
    from sst_keras.corpora import load_corpus
    from sst_keras.pretrained import LanguageModelRun
    from sst_keras.pseudo_labels import PseudoLabels
    from sst_keras.runtime import keras
    from sst_keras.training import train
    from sst_keras.vectors.sets import fingerprint

    folder = tmp_path_factory.mktemp("data")
    good, bad = "(4 (2 A) (4 (4 Great) (2 film)))", "(0 (2 A) (0 (0 dull) (2 film)))"
    (folder / "trees").mkdir()
    (folder / "trees" / "train.txt").write_text(f"{good}\n{bad}\n(2 (2 a) (2 film))\n", "utf-8")
    for split in ("dev", "test"):
        (folder / "trees" / f"{split}.txt").write_text(f"{good}\n{bad}\n", "utf-8")
    very = ["very " * number for number in range(30)]
    rows = [
        f"{x}good film,{x}bad film,{('bad', 'good')[len(x) % 2]},{len(x) % 3},{len(x) // 10}"
        for x in very
    ]
    (folder / "own.csv").write_text("\n".join(["text,title,label,stars,product", *rows]), "utf-8")
    # With commas or bars, the header in line 1 or 3 and a third class between, quotation marks, an
    # accent and markup.
    names = "text,label,and|text|label"
    odd = [f'"{x}good caf\u00e9 &amp; film",{"ab"[len(x) % 2]},|{x}film|{len(x) % 2}' for x in very]
    (folder / "odd.csv").write_text("\n".join([names, '"good",c,|film|1', names, *odd]), "utf-8")
    words = ("a", "film", "great", "other", "words", "great_ADJ", "more_ADV")
    lines = [f"{word} {number}.0 0.5 -0.25" for number, word in enumerate(words)]
    (folder / "vectors.txt").write_text("\n".join(lines), "utf-8")
    language_model = LanguageModelRun(folder / "lm")
    language_model.path.mkdir()
    about = {
        "format": 1,
        "settings": {"units": 4, "epochs": 1},
        "corpus": {"name": "films"},
        "vectors": {"name": "vectors", "fingerprint": fingerprint(folder / "vectors.txt")},
    }
    language_model.settings_file.write_text(json.dumps(about), "utf-8")
    language_model.metrics_file.write_text("{}", "utf-8")
    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    weights = {
        f"{direction}/{name}": np.ones(shape)
        for direction in ("forward", "backward")
        for name, shape in shapes.items()
    }
    np.savez(language_model.weights_file, **weights)
    labels = PseudoLabels(folder / "labels")
    labels.path.mkdir()
    about = {
        "format": 1,
        "settings": {},
        "corpus": {"name": "films"},
        "teachers": {"names": ["RUN"]},
        "class_names": ["very negative", "negative", "neutral", "positive", "very positive"],
        "lowercase": True,
        "sentences": 1,
    }
    labels.about_file.write_text(json.dumps(about), "utf-8")
    np.savez(
        labels.sentences_file,
        words=np.frombuffer(b"film", np.uint8),
        ids=np.zeros(1, np.int32),
        starts=np.array([0, 1]),
        probabilities=np.full((1, 5), 0.2, np.float32),
    )
    base = {
        "data.dataset": str(folder / "trees"),
        "embedding.vectors": [str(folder / "vectors.txt")],
        "model.units": 4,
    }
    seen = {}

    def fit(model, batches, **arguments):
        seen.update(arguments, model=model, batches=batches)
        raise Captured

    def run(settings):
        settings = {
            name: value.format(
                csv=f"{folder}/own.csv",
                odd=f"{folder}/odd.csv",
                lm=f"{folder}/lm",
                labels=f"{folder}/labels",
            )
            if name in ("data.dataset", "data.pseudo_labels", "model.init")
            else value
            for name, value in (base | settings).items()
        }
        pipeline = with_settings(Pipeline(), settings)
        run = new_run(pipeline, tmp_path_factory.mktemp("run"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keras.Model, "fit", fit)
            with pytest.raises(Captured):
                train(pipeline, run)
        model, weights = seen["model"], seen["model"].get_weights()
        inputs, labels, *weighted = zip(*seen["batches"], strict=True)
        logits = np.linspace(-1, 1, model.output_shape[-1], dtype="float32")[None]
        loss = float(model.loss(np.array([0]), logits))
        gradients = [2 * keras.ops.ones_like(weight) for weight in model.trainable_variables]
        model.optimizer.apply(gradients, model.trainable_variables)
        optimizers = getattr(model.optimizer, "groups", [model.optimizer])
        (best,) = (c for c in seen["callbacks"] if hasattr(c, "patience"))
        return {
            VOCABULARY: run.vocabulary_file.read_text("utf-8"),
            CLASSES: run.pipeline.data.labels,
            BATCHES: [batch["token_ids"].numpy().tolist() for batch in inputs]
            + [label.numpy().tolist() for label in labels],
            # Keras numbers the operation that masks padding.
            MODEL: re.sub(r"not_equal_\d+", "not_equal", json.dumps(model.get_config())),
            START: [weight.tolist() for weight in weights],
            STEP: [weight.tolist() for weight in model.get_weights()],
            LOSS: loss,
            SCALE: load_corpus(run.pipeline.data).ordered,
            EPOCHS: seen["epochs"],
            PATIENCE: best.patience,
            MONITOR: best.monitor,
            AVERAGE: [c.momentum for c in seen["callbacks"] if hasattr(c, "momentum")],
            RATE: [float(group.learning_rate) for group in optimizers],
            WEIGHTS: [weight.numpy().tolist() for row in weighted for weight in row],
        }

    known = {}

    def observe(settings):
        key = json.dumps(settings, sort_keys=True)
        if key not in known:
            known[key] = run(settings)
        return known[key]

    return observe


def test_the_tables_cover_every_setting():
    assert CHANGES.keys() | AFTERWARDS.keys() == SETTINGS.keys()
    assert UNREAD.keys() == {name for name in SETTINGS if SETTINGS[name].metadata["needs"]}


@pytest.mark.parametrize("setting", CHANGES)
def test_each_setting_changes_what_it_is_for(observe, setting):
    value, part, needs = CHANGES[setting]
    before, after = observe(needs), observe({**needs, setting: value})
    assert after[part] != before[part]


@pytest.mark.parametrize("setting", UNREAD)
def test_a_setting_that_is_not_read_changes_nothing(observe, setting):
    needs = UNREAD[setting]
    value = AFTERWARDS[setting] if setting in AFTERWARDS else CHANGES[setting][0]
    pipeline = with_settings(Pipeline(), {**needs, setting: value})
    assert pipeline.unread() == [setting]
    assert observe({**needs, setting: value}) == observe(needs)


def test_reading_depends_on_other_settings():
    settings = Pipeline().settings()
    assert is_read("model.units", settings)
    assert not is_read("model.padded_length", settings)
    settings["model.pooling"] = "last_padded"
    assert is_read("model.padded_length", settings)
    settings["model.name"] = "mlp"  # which reads no pooling
    assert not is_read("model.padded_length", settings)


def test_only_changed_settings_are_reported_as_unread():
    pipeline = with_settings(Pipeline(), {"model.name": "cnn", "model.dropout": 0.1})
    assert pipeline.unread() == []
    assert pipeline.changes() == {"model.name": "cnn", "model.dropout": 0.1}


def test_labels():
    assert label("model.units") == "hidden size"
    assert label("training.learning_rate") == "learning rate"
    names = [label(setting) for setting in SETTINGS]
    assert len(set(names)) == len(names)


def test_documentation():
    docs = {doc["setting"]: doc for doc in setting_docs()}
    assert docs.keys() == SETTINGS.keys()
    assert docs["model.units"]["default"] == 128
    assert "attention, last" in docs["model.pooling"]["about"]


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Pipeline().model.units = 3


def test_toml_states_the_format_and_every_setting():
    tables = tomllib.loads(load_pipeline("mlp").to_toml())
    assert (tables["format"], tables["name"]) == (FORMAT, "mlp")
    assert {f"{section}.{key}" for section in SECTIONS for key in tables[section]} == set(SETTINGS)
