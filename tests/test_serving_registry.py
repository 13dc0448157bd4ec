import json

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.errors import UsageError
from sst_keras.serving.registry import find_models


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Empty exports: a run, one with versions, a folder of models, and one without a number."""
    monkeypatch.chdir(tmp_path)
    for folder in (
        "saved_models/lstm/run/saved_model/1", "films/1", "films/12", "films/notes", "all/a/2",
        "all/b/1", "export",
    ):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
        if folder != "films/notes":
            (tmp_path / folder / "saved_model.pb").touch()
    (tmp_path / "saved_models/lstm/run/pipeline.toml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["lstm/run"], {"lstm-run": [1]}),
        (["saved_models/lstm/run/saved_model/1"], {"run": [1]}),
        (["films"], {"films": [1, 12]}),
        (["films/12"], {"films": [12]}),
        (["export"], {"export": [1]}),
        (["all"], {"a": [2], "b": [1]}),
        (["x=films", "y=lstm/run"], {"x": [1, 12], "y": [1]}),
        (["all/a", "all/b"], {"a": [2], "b": [1]}),
    ],
)
def test_models_and_their_names(place, places, expected):
    found = find_models(places)
    assert {name: sorted(versions) for name, versions in found.items()} == expected
    for name, versions in found.items():
        for version, model in versions.items():
            assert (model.name, model.version) == (name, version)
            assert (model.folder / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (["nowhere"], "no exported model at 'nowhere'"),
        (["films/notes"], "no exported model"),
        (["x=all"], "several models, which cannot have one name"),
        (["films", "films/12"], "both films, version 12"),
    ],
)
def test_places_that_do_not_do(place, places, message):
    with pytest.raises(UsageError, match=message):
        find_models(places)


def test_the_command_refuses_what_it_cannot_serve(place, monkeypatch):
    result = CliRunner().invoke(main, ["serve", "nowhere"])
    assert result.exit_code == 2 and "no exported model" in result.stderr
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(main, ["serve", "films"])
    assert result.exit_code == 2 and "pip install 'sst-keras[serve]'" in result.stderr
    assert json.dumps(result.stdout) == '""'
