"""`sst-keras serve` as a process of its own."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from unittest import mock

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.serving.export import export
from sst_keras.serving.server import Limits


def ask(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=30) as answer:
        return json.load(answer)


def started(command, log):
    """Starts a server, and returns it with its port once it answers."""
    with log.open("w") as file:
        server = subprocess.Popen(command, stderr=file)
    text = ""
    for _ in range(600):
        time.sleep(0.1)
        text = log.read_text("utf-8")
        if "Ready." in text or server.poll() is not None:
            break
    return server, int(re.search(r"http://127\.0\.0\.1:(\d+)/v1/models", text)[1])


def test_the_help_says_how_long_a_batch_waits():
    help_text = CliRunner().invoke(main, ["serve", "--help"]).output
    assert f"waits {1000 * Limits().wait:g} ms for others" in " ".join(help_text.split())


class Made(Exception):
    """The server would start now."""


@pytest.mark.parametrize(
    ("host", "names", "protected"),
    [
        ("127.0.0.1", (), {"127.0.0.1"}),
        ("LOCALHOST", (), {"LOCALHOST", "127.0.0.1"}),
        ("127.0.0.2", (), {"127.0.0.2"}),
        ("127.2", (), {"127.0.0.2"}),
        ("0:0:0:0:0:0:0:1", (), {"::1"}),
        ("0.0.0.0", (), set()),
        ("0.0.0.0", ("films.example",), {"0.0.0.0"}),
    ],
)
def test_a_server_of_this_machine_only_has_its_own_names(monkeypatch, host, names, protected):
    def create_app(models, limits, hosts, names):
        assert set(hosts) >= protected and bool(hosts) == bool(protected)
        raise Made

    monkeypatch.setattr("sst_keras.serving.server.create_app", create_app)
    options = [text for name in names for text in ("--allow-host", name)]
    result = CliRunner().invoke(main, ["serve", "--host", host, *options])
    assert isinstance(result.exception, Made), result.output


def test_the_time_of_a_request_is_that_of_its_headers(monkeypatch):
    def config(app, **settings):
        assert settings["http"].keywords == {"seconds": 7.5}
        raise Made

    monkeypatch.setattr("sst_keras.serving.server.create_app", mock.MagicMock())
    monkeypatch.setattr("uvicorn.Config", config)
    result = CliRunner().invoke(main, ["serve", "--port", "0", "--seconds", "7.5"])
    assert isinstance(result.exception, Made), result.output


@pytest.mark.parametrize("host", ["", "é" * 70, "no.such.host.invalid"])
def test_a_host_that_is_none(host):
    result = CliRunner().invoke(main, ["serve", "--host", host, "--port", "0"])
    assert result.exit_code == 2 and result.stderr.startswith("Error: --host: expected an address")
    assert repr(host) in result.stderr


@pytest.mark.slow
def test_a_signal_ends_the_file_in_progress(served_folder, tmp_path):
    command = [sys.executable, "-m", "sst_keras", "serve", str(served_folder), "--port", "0"]
    server, port = started([*command, "--seconds", "100"], tmp_path / "log")
    try:
        url = f"http://127.0.0.1:{port}/api/batch?name=a.txt"
        content, answers = b"A long and dull film, again and again.\n" * 400_000, []

        def ask():
            try:
                urllib.request.urlopen(url, content, timeout=100)
            except urllib.error.HTTPError as error:
                answers.append((error.code, json.load(error)["error"]))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(3)  # it has arrived, and is being classified
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        asking.join(10)
        assert answers == [(503, "The server is stopping.")]
    finally:
        server.kill()


@pytest.mark.slow
def test_it_answers_and_ends_after_what_it_has_accepted(trained_run, tmp_path):
    folder = export(trained_run, tmp_path / "films" / "1")
    command = [sys.executable, "-m", "sst_keras", "serve", str(folder.parent), "--port", "0"]
    server, port = started(command, tmp_path / "log")
    try:
        assert "films, version 1: http://" in (tmp_path / "log").read_text("utf-8")
        assert ask(port, "/healthz")["status"] == "ok"
        url = "/v1/models/films:predict"
        assert len(ask(port, url, {"instances": ["Not bad."]})["predictions"]) == 1

        many, answers = {"inputs": ["A long and dull film. " * 30] * 1000}, []
        asking = threading.Thread(target=lambda: answers.append(ask(port, url, many)))
        asking.start()
        for _ in range(600):  # until the request is being answered
            time.sleep(0.05)
            if b"sst_keras_batch_texts_count 2" in urllib.request.urlopen(
                f"http://127.0.0.1:{port}/metrics"
            ).read().replace(b".0", b""):
                break
        server.send_signal(signal.SIGTERM)
        asking.join(60)
        assert len(answers[0]["outputs"]["label"]) == 1000
        server.wait(60)
    finally:
        server.kill()
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    assert [entry["texts"] for entry in entries if "predict" in entry["path"]] == [1, 1000]
    assert "dull" not in str(lines)
