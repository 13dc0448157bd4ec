import time
from pathlib import Path
from unittest import mock

import pytest

from sst_keras import locations
from sst_keras.errors import UsageError


def test_the_cache_is_looked_in_last(tmp_path, monkeypatch):
    assert locations.data_dirs() == (locations.cache_dir(),)
    monkeypatch.setenv("SST_KERAS_DATA", str(tmp_path))
    assert locations.data_dirs() == (tmp_path, locations.cache_dir())
    (tmp_path / "other").mkdir()
    assert locations.data_dirs(tmp_path / "other")[0] == tmp_path / "other"


def test_a_folder_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="data_dir.*nowhere"):
        locations.data_dirs(tmp_path / "nowhere")
    monkeypatch.setenv("SST_KERAS_DATA", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="SST_KERAS_DATA.*gone"):
        locations.data_dirs()


def test_the_cache_without_an_environment(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert locations.cache_dir() == Path.home() / ".cache" / "sst_keras"


def test_what_ships_with_the_package():
    assert (locations.bundled("pipelines") / "lstm-attention.toml").is_file()
    assert (locations.bundled("sample") / "vectors.txt").is_file()


def test_an_address_that_never_answers_is_given_up(monkeypatch):
    def hang(*_, **__):
        time.sleep(2)
        raise OSError("timed out")

    monkeypatch.setattr(locations.urllib.request, "urlopen", hang)
    started = time.monotonic()
    assert not locations.is_reachable("https://example.org", seconds=0.2)
    assert time.monotonic() - started < 1.5
    assert locations._PROBE_SECONDS < 20


def test_an_address_that_answers(monkeypatch):
    response = mock.MagicMock()
    response.__enter__.return_value.status = 200
    monkeypatch.setattr(locations.urllib.request, "urlopen", lambda *_, **__: response)
    assert locations.is_reachable("https://example.org")
