import dataclasses
import logging
import tomllib

import pytest

from sst_keras import config, locations
from sst_keras.config import (
    complete,
    load_pipeline,
    load_saved,
    pipeline_names,
    with_settings,
    with_tables,
)
from sst_keras.errors import UsageError
from sst_keras.settings import FORMAT, SECTIONS, SETTINGS, Pipeline, is_read

PIPELINES = locations.bundled("pipelines")
# What `lstm-attention.toml` leaves to the defaults: which data and how files are read, what is
# 0 and so off, and what may change the time of a run but not what it learns.
UNSTATED = {
    "data.dataset", "data.text_column", "data.label_column", "data.labels", "data.split_seed",
    "data.group_column", "data.delimiter", "data.quoting", "data.header", "data.encoding",
    "data.markup", "data.ordinal", "data.max_length", "data.batch_size", "data.batch_tokens",
    "data.class_weights", "data.pseudo_labels", "data.pseudo_epochs",
    "embedding.key_pattern", "embedding.scale",
    "embedding.reduce", "embedding.quantized",
    "embedding.word_dropout", "model.init", "model.weight_dropout", "model.matmul_dtype",
    "training.seed", "training.monitor", "training.checks_per_epoch", "training.average",
    "training.schedule", "training.label_smoothing", "training.l2", "training.weight_decay",
    "training.clip_norm",
}  # fmt: skip


@pytest.fixture
def logged(caplog, monkeypatch):
    """Captures the log, also after a command has set it up for itself."""
    monkeypatch.setattr(logging.getLogger("sst_keras"), "propagate", True)
    return caplog


def stated(name: str) -> dict:
    """Returns the tables of a pipeline that ships with the package."""
    return tomllib.loads((PIPELINES / f"{name}.toml").read_text("utf-8"))


def test_the_main_pipeline_has_the_defaults():
    assert load_pipeline("lstm-attention").changes() == {}


def test_the_main_pipeline_states_what_it_relies_on():
    tables = stated("lstm-attention")
    assert "extends" not in tables
    settings = {f"{section}.{key}" for section in SECTIONS for key in tables[section]}
    read = {name for name in SETTINGS if is_read(name, Pipeline().settings())}
    assert settings == read - UNSTATED


@pytest.mark.parametrize("name", sorted(set(pipeline_names()) - {"lstm-attention"}))
def test_every_other_pipeline_extends_one_and_states_what_its_model_reads(name):
    tables = stated(name)
    assert tables["extends"] in pipeline_names()
    settings = load_pipeline(name).settings()
    for section in SECTIONS.keys() & tables:
        assert all(is_read(f"{section}.{key}", settings) for key in tables[section])


@pytest.mark.parametrize("name", pipeline_names())
def test_each_pipeline_has_its_name_and_a_description(name):
    pipeline = load_pipeline(name)
    assert pipeline.name == name and pipeline.description
    assert pipeline.description == stated(name)["description"]  # not that of the one it extends


def test_a_sweep_is_not_a_pipeline():
    assert "paper" not in pipeline_names()
    with pytest.raises(UsageError, match="no pipeline 'paper'"):
        load_pipeline("paper")
    with pytest.raises(UsageError, match="expected tables of settings"):
        load_pipeline(PIPELINES / "sweeps" / "paper.toml")


# === Extending ===


def test_a_file_extends_a_bundled_pipeline_or_a_file_beside_it(tmp_path):
    (tmp_path / "a.toml").write_text('extends = "mlp"\ndescription = "x"\n[model]\nunits = 5\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n[training]\nl2 = 0.5\n')
    pipeline = load_pipeline(tmp_path / "b.toml")
    assert pipeline.changes() == {"model.name": "mlp", "model.units": 5, "training.l2": 0.5}
    assert (pipeline.name, pipeline.description) == ("b", "")


def test_extending_in_a_circle_is_an_error(tmp_path):
    for name, other in ("ab", "bc", "ca"):
        (tmp_path / f"{name}.toml").write_text(f'extends = "{other}.toml"\n')
    with pytest.raises(UsageError, match="circle"):
        load_pipeline(tmp_path / "a.toml")


def test_extending_an_unknown_pipeline_is_an_error(tmp_path):
    (tmp_path / "a.toml").write_text('extends = "mpl"\n')
    with pytest.raises(UsageError, match="did you mean 'mlp'"):
        load_pipeline(tmp_path / "a.toml")


# === Overrides ===


@pytest.mark.parametrize(
    ("override", "setting", "value"),
    [
        ("model.units=256", "model.units", 256),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("training.learning_rate=5e-3", "training.learning_rate", 0.005),
        ("model.bidirectional=true", "model.bidirectional", True),
        ("model.pooling=last", "model.pooling", "last"),
        ("embedding.vectors=none", "embedding.vectors", ("none",)),
        ("embedding.vectors=['a', 'b']", "embedding.vectors", ("a", "b")),
        ("model.kernel_sizes=[5, 9]", "model.kernel_sizes", (5, 9)),
        ("data.labels=[1, 2]", "data.labels", ("1", "2")),
        ("data.dataset=a=b.csv", "data.dataset", "a=b.csv"),
        ("data.dataset= 1_000", "data.dataset", "1_000"),
        ("data.text_column=true", "data.text_column", "true"),
        ("data.text_column=5 # the text", "data.text_column", "5"),
        ("data.labels=[false, true]", "data.labels", ("False", "True")),
    ],
)
def test_overrides(override, setting, value):
    assert load_pipeline("lstm-attention", [override]).changes() == {setting: value}


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
        ("training.learning_rate=inf", "expected a finite number"),
        (f"training.learning_rate={10**400}", "expected a finite number"),
        (f"data.batch_size={10**23}", f"expected at most {2**63 - 1}"),
        (f"model.kernel_sizes=[{10**23}]", f"expected numbers at most {2**63 - 1}"),
        ("data.text_column=[1,\n2]", "expected text"),
        ("data.dataset=['a.csv']", "expected text"),
        ("data.labels=[1e400, 2]", "list of text"),
        ("model.kernel_sizes=[0]", "at least 1"),
        ("model.kernel_sizes=[3, 3]", "each entry once"),
        ("model.kernel_sizes=[]", "expected at least 1 of them"),
        ("data.labels=['a', 'a']", "each entry once"),
        ("model.kernel_sizes=['a']", "list of a whole number"),
        ("units=3", "section.key=value"),
        ("model.units", "section.key=value"),
        ("model.units=5\nmodel.dropout=0.1", "several lines"),
    ],
)
def test_wrong_overrides(override, message):
    with pytest.raises(UsageError, match="settings: ") as error:
        load_pipeline("lstm-attention", [override])
    assert message in str(error.value)


def test_settings_and_tables_name_their_source():
    assert with_settings(Pipeline(), {"model.units": 3}).model.units == 3
    with pytest.raises(UsageError, match=r"x\.toml: model\.units"):
        with_settings(Pipeline(), {"model.units": 0}, source="x.toml")
    changed = with_tables(Pipeline(), {"name": "x", "model": {"units": 3}}, "x.toml")
    assert (changed.name, changed.model.units) == ("x", 3)


def test_unknown_pipelines_are_errors_with_a_suggestion(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'lstm-attention'"):
        load_pipeline("lstm-atention")
    with pytest.raises(UsageError, match=r"gone\.toml: expected a TOML file"):
        load_pipeline(tmp_path / "gone.toml")


@pytest.mark.parametrize("text", ["[model\n", "units = 3\n", "model = 3\n", "[modell]\n", b"\xe9"])
def test_wrong_pipeline_files(tmp_path, text):
    (tmp_path / "x.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=r"x\.toml"):
        load_pipeline(tmp_path / "x.toml")


# === Saved pipelines ===


@pytest.mark.parametrize("name", pipeline_names())
def test_what_is_saved_reads_back_the_same(name, tmp_path, logged):
    pipeline = load_pipeline(name, ["data.labels=['a \"b\"', 'é']", "training.l2=0.0001"])
    (tmp_path / "x.toml").write_text(pipeline.to_toml(), "utf-8")
    assert load_pipeline(tmp_path / "x.toml") == load_saved(tmp_path / "x.toml") == pipeline
    assert logged.messages == []


def test_unknown_and_missing_settings_are_one_warning(tmp_path, logged):
    text = dataclasses.replace(Pipeline(), name="x").to_toml()
    text = text.replace("units = 128", "width = 64").replace("[model]", "[model]\ndepth = 3")
    (tmp_path / "x.toml").write_text(text, "utf-8")
    assert load_saved(tmp_path / "x.toml").changes() == {}
    (message,) = logged.messages
    for part in ("x.toml", "model.width", "model.depth", "model.units = 128"):
        assert part in message


def test_a_renamed_setting_is_read_by_its_present_name(tmp_path, logged, monkeypatch):
    monkeypatch.setitem(config.RENAMED, "model.width", "model.units")
    text = Pipeline().to_toml().replace("units = 128", "width = 64")
    (tmp_path / "x.toml").write_text(text, "utf-8")
    assert load_saved(tmp_path / "x.toml").changes() == {"model.units": 64}
    assert logged.messages == []


def test_a_missing_setting_has_the_value_that_it_had_in_the_files_format(monkeypatch):
    monkeypatch.setitem(config.UNSTATED, 1, {"model.units": 50, "data.split_seed": "training.seed"})
    settings, notes = complete({"training.seed": 3}, 1, "x.toml")
    assert (settings["model.units"], settings["data.split_seed"]) == (50, 3)
    assert settings["model.dropout"] == 0.5
    assert len(notes) == 1
    assert complete({"model.units": 9}, 1, "x.toml")[0]["model.units"] == 9


@pytest.mark.parametrize("format", [FORMAT + 1, 0, '"x"'])
def test_an_unknown_format_is_refused(tmp_path, format):
    text = Pipeline().to_toml().replace(f"format = {FORMAT}", f"format = {format}")
    (tmp_path / "x.toml").write_text(text, "utf-8")
    for read in (load_saved, load_pipeline):
        with pytest.raises(UsageError, match="update the package"):
            read(tmp_path / "x.toml")


@pytest.mark.parametrize(
    "name", ["../../escaped", "/etc/x", "a/../b", ".", "a\\\\b", "a\\u0000b", "", "a/", "x" * 101]
)
def test_a_name_that_is_no_folder_below_the_runs_is_refused(tmp_path, name):
    file = tmp_path / "own.toml"
    file.write_text(f'name = "{name}"\n', "utf-8")
    with pytest.raises(UsageError, match="name: expected what a folder can be called"):
        load_pipeline(file)
    (tmp_path / "x\udcff.toml").write_text("")
    with pytest.raises(UsageError, match=r"can be called: UTF-8.* Received: 'x\\udcff'"):
        load_pipeline(tmp_path / "x\udcff.toml")
    file.write_text('name = "paper/V1.1 naïve"\n', "utf-8")
    assert load_pipeline(file).name == "paper/V1.1 naïve"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"model.units={'9' * 5000}", "model.units: expected a whole number"),
        ("data.text_column=caf\udce9", r"expected text in UTF-8 .* Received: 'caf\\udce9'"),
        ("embedding.vectors=caf\udce9", "embedding.vectors: expected text in UTF-8"),
    ],
)
def test_an_argument_that_no_file_could_hold_is_refused(override, message):
    with pytest.raises(UsageError, match=message) as error:
        config.with_override(Pipeline(), override)
    assert len(str(error.value)) < 500
