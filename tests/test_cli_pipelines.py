import json

from click.testing import CliRunner

from sst_keras.cli import main


def test_each_pipeline_with_what_it_changes():
    rows = json.loads(CliRunner().invoke(main, ["pipelines", "--json"]).stdout)["pipelines"]
    changes = {row["name"]: row["changes"] for row in rows}
    assert changes["lstm-attention"] == {}
    assert changes["stacked-lstm"] == {"model.num_layers": 2}
    listing = CliRunner().invoke(main, ["pipelines"]).stdout
    assert all(name in listing for name in changes)
    assert "model.num_layers = 2" in listing


def test_sweeps_are_listed_below():
    sweeps = json.loads(CliRunner().invoke(main, ["pipelines", "--json"]).stdout)["sweeps"]
    pipelines = {sweep["name"]: sweep["pipelines"] for sweep in sweeps}
    assert "main/cnn" in pipelines["main"] and "paper/V2.3" in pipelines["paper"]
    assert "paper/V4.1/momentum" in pipelines["paper"]
    listing = CliRunner().invoke(main, ["pipelines"]).stdout
    assert "V4.7" in listing and "such as paper/V1.1/frozen: frozen, own_rate" in listing


def test_every_setting():
    listing = CliRunner().invoke(main, ["pipelines", "--settings"]).stdout
    assert "model.units = 128" in listing
    answer = json.loads(CliRunner().invoke(main, ["pipelines", "--settings", "--json"]).stdout)
    assert {"setting", "default", "about"} == set(answer["settings"][0])
