"""`sst-keras serve` as a process of its own."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from sst_keras.serving.export import export


def ask(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_it_answers_and_ends_after_what_it_has_accepted(trained_run, tmp_path):
    folder = export(trained_run, tmp_path / "films" / "1")
    command = [sys.executable, "-m", "sst_keras", "serve", str(folder.parent), "--port", "0"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stderr=log)
    try:
        for _ in range(600):
            time.sleep(0.1)
            text = (tmp_path / "log").read_text("utf-8")
            if "Ready." in text or server.poll() is not None:
                break
        port = int(re.search(r"films, version 1: http://127\.0\.0\.1:(\d+)/v1/models", text)[1])
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
