import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from sst_keras import config
from sst_keras.config import load_pipeline, pipeline_names, with_setting
from sst_keras.errors import UsageError
from sst_keras.settings import Pipeline


def test_the_main_pipeline_has_the_defaults():
    assert load_pipeline("lstm-attention").changes() == {}


@pytest.mark.parametrize("name", pipeline_names())
def test_each_pipeline_reads_and_says_what_it_is(name):
    pipeline = load_pipeline(name)
    assert pipeline.name == name and pipeline.description


@pytest.mark.parametrize("name", pipeline_names())
def test_what_is_written_reads_back_the_same(name, tmp_path):
    pipeline = load_pipeline(name, ["data.labels=['a \"b\"', 'é']", "training.l2=0.0001"])
    (tmp_path / "x.toml").write_text(pipeline.to_toml(), "utf-8")
    assert load_pipeline(tmp_path / "x.toml") == pipeline


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("model.units=256", "model", "units", 256),
        ("training.learning_rate=1", "training", "learning_rate", 1.0),
        ("training.learning_rate=5e-3", "training", "learning_rate", 0.005),
        ("model.bidirectional=true", "model", "bidirectional", True),
        ("model.pooling=last", "model", "pooling", "last"),
        ("embedding.vectors=none", "embedding", "vectors", ("none",)),
        ("embedding.vectors=['a', 'b']", "embedding", "vectors", ("a", "b")),
        ("model.kernel_sizes=[5, 9]", "model", "kernel_sizes", (5, 9)),
        ("data.labels=[1, 2]", "data", "labels", ("1", "2")),
        ("data.dataset=a=b.csv", "data", "dataset", "a=b.csv"),
    ],
)
def test_overrides(override, section, key, value):
    changed = load_pipeline("lstm-attention", [override])
    assert getattr(getattr(changed, section), key) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.unit=3", "did you mean 'model.units'"),
        ("modle.units=3", "did you mean 'model'"),
        ("model.units=x", "expected a whole number"),
        ("model.units=2.5", "expected a whole number"),
        ("model.units=true", "expected a whole number"),
        ("model.units=0", "expected at least 1"),
        ("model.bidirectional=1", "expected true or false"),
        ("model.dropout=1.5", "expected from 0.0 to 0.95"),
        ("training.learning_rate=nan", "expected at least 0.0"),
        ("model.pooling=atention", "did you mean 'attention'"),
        ("model.kernel_sizes=[0]", "at least 1"),
        ("model.kernel_sizes=[9, 3]", "each above the one before"),
        ("model.kernel_sizes=[3, 3]", "each above the one before"),
        ("model.kernel_sizes=[]", "expected at least 1 of them"),
        ("data.labels=['a', 'a']", "each entry once"),
        ("model.kernel_sizes=['a']", "list of a whole number"),
        ("units=3", "section.key=value"),
        ("model.units", "section.key=value"),
    ],
)
def test_wrong_overrides(override, message):
    with pytest.raises(UsageError, match="--set") as error:
        load_pipeline("lstm-attention", [override])
    assert message in str(error.value)


def test_unknown_pipelines_are_errors_with_a_suggestion(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'lstm-attention'"):
        load_pipeline("lstm-atention")
    with pytest.raises(UsageError, match="no pipeline file"):
        load_pipeline(tmp_path / "gone.toml")


@pytest.mark.parametrize("text", ["[model\n", "units = 3\n", "model = 3\n", "[modell]\n"])
def test_wrong_pipeline_files(tmp_path, text):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError, match=r"x\.toml"):
        load_pipeline(tmp_path / "x.toml")


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Pipeline().model.units = 3
    assert with_setting(Pipeline(), "model", "units", 3).model.units == 3


def test_every_setting_is_read_somewhere():
    package = Path(config.__file__).parent
    code = "".join(
        path.read_text("utf-8") for path in package.rglob("*.py") if path.name != "config.py"
    )
    unread = [
        f"{section}.{item.name}"
        for section, kind in config.SECTIONS.items()
        for item in dataclasses.fields(kind)
        if not re.search(rf"\b(?:data|embedding|model|training|config)\.{item.name}\b", code)
    ]
    assert unread == []


def test_pipeline_files_state_no_more_than_they_change():
    for name in pipeline_names():
        path = config.locations.bundled("pipelines") / f"{name}.toml"
        stated = tomllib.loads(path.read_text("utf-8"))
        settings = {
            f"{section}.{key}"
            for section, table in stated.items()
            if isinstance(table, dict)
            for key in table
        }
        assert settings == set(load_pipeline(name).changes())


def test_documentation_of_the_settings():
    docs = {doc["setting"]: doc for doc in settings.setting_docs()}
    assert docs["model.units"]["default"] == 128
    assert "attention, last" in docs["model.pooling"]["about"]


def test_a_sweep_is_no_pipeline():
    assert "paper" not in pipeline_names()
    with pytest.raises(UsageError, match="sst-keras train paper/ROW"):
        load_pipeline("paper")
    with pytest.raises(UsageError, match="sst-keras reproduce"):
        load_pipeline(config.locations.bundled("pipelines") / "paper.toml")
