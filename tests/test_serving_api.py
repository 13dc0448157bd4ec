"""What the server answers beyond TensorFlow Serving's API."""

import asyncio
import base64
import csv
import gzip
import hashlib
import io
import json
import re
import threading
from dataclasses import replace
from urllib.parse import unquote

import hypothesis
import pytest
from hypothesis import strategies as st
from starlette.testclient import TestClient

from sst_keras.serving import scoring
from sst_keras.serving.explanation import explain
from sst_keras.serving.prediction import Predictor
from sst_keras.serving.registry import find_models
from sst_keras.serving.server import Limits, create_app

LIMITS = Limits(body=4000, file=3000, texts=5, characters=2000, batch=4, occluded=20, seconds=20)
REVIEWS = "id,text,stars\n1,A joy.,5\n2,,1\n3,Dull é,2\n"


@pytest.fixture(scope="module")
def client(served_folder):
    with TestClient(create_app(find_models([str(served_folder)]), LIMITS)) as client:
        yield client


@pytest.fixture(scope="module")
def two_models(served_folder):
    places = [f"films={served_folder}", f"books={served_folder}"]
    with TestClient(create_app(find_models(places), LIMITS)) as client:
        yield client


def test_explanations_are_those_of_the_command(client, served_folder):
    texts = ["Not bad.", "A dull, dull film", "é"]
    answer = client.post("/api/explain", json={"texts": texts}).json()
    assert (answer["model"], answer["version"]) == ("films", 3)
    expected = explain(Predictor.load(served_folder / "3"), texts)
    for found, one in zip(answer["explanations"], expected, strict=True):
        assert found["class_name"] == one.prediction.class_name
        assert found["tokens"] == list(one.tokens)
        assert found["probabilities"] == pytest.approx(one.prediction.probabilities, abs=1e-5)
        assert found["attention"] == pytest.approx(one.prediction.attention, abs=1e-5)
        assert found["effects"] == pytest.approx(one.effects, abs=1e-5)
        assert sum(found["attention"]) == pytest.approx(1, abs=1e-4)


def test_effects_can_be_left_out(client):
    body = {"texts": ["A dull film"], "effects": False, "model": "films", "version": 3}
    (found,) = client.post("/api/explain", json=body).json()["explanations"]
    assert set(found) == {
        "label", "class_name", "probabilities", "unknown_words", "tokens", "attention",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("{", 400, "JSON Parse error"),
        ("[]", 400, "Is not object"),
        ({}, 400, "with one at least"),
        ({"texts": []}, 400, "with one at least"),
        ({"texts": "a"}, 400, "Expected a list of texts as 'texts'"),
        ({"texts": [1]}, 400, "Text 0 is not a string"),
        ({"texts": ["a", " \n"]}, 400, "Text 1: the text is blank"),
        ('{"texts": ["\\ud800"]}', 400, "half a surrogate pair"),
        ({"texts": ["a"], "text": 1}, 400, "Unknown key: text. Expected: texts, model"),
        ({"texts": ["a"], "effects": 1}, 400, "Expected true or false as 'effects'"),
        ({"texts": ["a"], "version": True}, 400, "Expected a number as 'version'"),
        ({"texts": ["a"], "model": "other"}, 404, "Latest(other)"),
        ({"texts": ["a"], "version": 9}, 404, "Specific(films, 9)"),
        ({"texts": ["a"] * 6}, 413, "at most 5 texts"),
        ({"texts": ["a" * 2001]}, 413, "Text 0 has 2001"),
        ({"texts": ["a" * 5000]}, 413, "at most 4000 bytes"),
    ],
)
def test_what_cannot_be_explained_has_a_reason(client, body, status, message):
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/api/explain", content=content)
    assert answer.status_code == status and message in answer.json()["error"]


def test_a_long_text_has_an_answer_without_effects(client, monkeypatch):
    body = {"texts": ["b " * 200, "a b"]}
    first, second = client.post("/api/explain", json=body).json()["explanations"]
    assert len(first["tokens"]) == 200 and first["effects"] is None
    assert len(second["effects"]) == 2
    monkeypatch.setattr(client.app.state.server, "limits", replace(LIMITS, occluded=3))
    body = {"texts": ["a b c"] * 5}
    assert client.post("/api/explain", json=body).status_code == 200
    monkeypatch.setattr(client.app.state.server, "limits", replace(LIMITS, occluded=3, texts=9))
    answer = client.post("/api/explain", json={"texts": ["a b c"] * 9})
    assert answer.status_code == 413 and "at most 24 tokens in all" in answer.json()["error"]


def test_one_of_several_models_has_to_be_named(two_models):
    models = two_models.get("/api/models").json()
    assert [(each["model"], each["version"]) for each in models["models"]] == [
        ("books", 3), ("films", 3),
    ]  # fmt: skip
    assert models["models"][0]["class_names"][0] == "very negative"
    assert models["limits"]["texts"] == 5
    answer = two_models.post("/api/explain", json={"texts": ["a"]})
    assert answer.status_code == 400 and "one of books, films" in answer.json()["error"]
    body = {"texts": ["a"], "model": "books"}
    assert two_models.post("/api/explain", json=body).json()["model"] == "books"
    url = "/api/batch?name=a.txt&version=3"
    assert two_models.post(url, content=b"a\n").status_code == 400
    assert two_models.post(f"{url}&model=films", content=b"a\n").status_code == 200


def test_a_file_comes_back_with_its_columns_and_predictions(client, served_folder):
    answer = client.post("/api/batch?name=My%20reviews.CSV", content=REVIEWS.encode())
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="classified.csv"' in answer.headers["content-disposition"]
    assert (answer.headers["x-rows"], answer.headers["x-rows-not-classified"]) == ("3", "1")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    first, second = Predictor.load(served_folder / "3").predict(["A joy.", "Dull é"])
    assert [row["predicted_class"] for row in rows] == [first.class_name, "", second.class_name]
    assert rows[1]["prediction_problem"] == "the text is blank"


def test_the_ending_says_what_a_file_is(client):
    lines = client.post("/api/batch?name=a.txt", content=b"A joy\nDull\n")
    assert [row["text"] for row in csv.DictReader(io.StringIO(lines.text))] == ["A joy", "Dull"]
    objects = b'{"review": "A joy", "n": 1}\n{"review": "Dull", "n": 2}\n'
    found = client.post("/api/batch?name=a.jsonl&text_column=review", content=objects)
    rows = [json.loads(line) for line in found.text.splitlines()]
    assert [row["n"] for row in rows] == [1, 2] and rows[0]["predicted_class"]
    tabs = client.post("/api/batch?name=a.tsv", content=b"text\tn\nA joy\t1\n")
    assert tabs.text.splitlines()[0].startswith("text\tn\tpredicted_class")


@pytest.mark.parametrize(
    ("query", "body", "status", "message"),
    [
        ("name=a.csv", b"id,stars\n1,2\n2,3\n", 400, "&text_column=NAME"),
        ("name=a.csv&text_column=x", REVIEWS.encode(), 400, "x"),
        ("name=a.csv", b"", 400, "a.csv"),
        ("name=a.exe", b"a", 400, "Expected a name ending in"),
        ("name=a.csv.gz", b"a", 400, "Expected a name ending in"),
        ("name=../../a", b"a", 400, "Expected a name ending in"),
        ("name=a.csv&version=x", b"a", 400, "Expected a number as version"),
        ("name=a.csv&version=4", b"a", 404, "Specific(films, 4)"),
        ("name=a.csv&model=b", b"a", 404, "Latest(b)"),
        ("nam=a.csv", b"a", 400, "Unknown query parameter: nam"),
        ("name=a.csv", b"a" * 3001, 413, "at most 3000 bytes"),
        ("name=a.csv", gzip.compress(b"text\na\n", mtime=0), 400, "not compressed"),
        ("name=a.csv", b"," * 1000 + b"text\n", 413, "at most 1,000 columns. Received: 1,001"),
    ],
)
def test_a_file_that_cannot_be_classified_has_a_reason(client, query, body, status, message):
    answer = client.post(f"/api/batch?{query}", content=body)
    assert answer.status_code == status and message in answer.json()["error"]
    assert "/tmp" not in answer.text and "--" not in answer.json()["error"]


def test_a_file_is_bounded_in_every_direction(client, monkeypatch):
    long = "text\nshort\n" + "a " * 1200 + "\n"
    answer = client.post("/api/batch?name=a.csv", content=long)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["predicted_class"] and "more than 2,000 bytes" in rows[1]["prediction_problem"]
    many = "text\n" + "A joy to watch, again and again.\n" * 80
    answer = client.post("/api/batch?name=a.csv", content=many)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-rows"] == "80"
    monkeypatch.setattr("sst_keras.serving.api._GROWTH", 2)
    answer = client.post("/api/batch?name=a.csv", content=many)
    assert answer.status_code == 413 and "Send the file in parts" in answer.json()["error"]


def test_what_was_unusual_in_a_file_is_said(client, monkeypatch):
    monkeypatch.setattr("sst_keras.serving.api._GROWTH", 50)
    objects = [{"text": "a"}] * 101 + [{"text": "b", "late": "\ud800", "tags": ["\ud800"]}]
    body = "\n".join(map(json.dumps, objects)).encode()
    answer = client.post("/api/batch?name=a.jsonl", content=body)
    notes = unquote(answer.headers["x-notes"])
    assert "1 row had names that the first 100 lack" in notes
    half = json.dumps({"text": "b", "\ud800": 1, "tags": ["\ud800"]}).encode()
    assert client.post("/api/batch?name=a.jsonl", content=half).status_code == 200
    assert client.post("/api/batch?name=a.csv", content=b"text\nfilm\n").headers["x-notes"] == ""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_cannot_make_a_browser_ask(client, headers, status):
    answer = client.post("/api/explain", json={"texts": ["a"]}, headers=headers)
    assert answer.status_code == status
    assert client.get("/", headers=headers).status_code == 200  # a link to the page may be followed


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8501", 200), ("127.0.0.1", 200), ("[::1]:8501", 200), ("LOCALHOST", 200),
        ("evil.example", 403), ("localhost.evil.example:80", 403), ("[", 403), ("", 403),
    ],
)  # fmt: skip
def test_only_under_its_own_names(served_folder, client, host, status):
    app = create_app(client.app.state.server.models, LIMITS, {"localhost", "127.0.0.1", "::1"})
    for path in ("/", "/healthz"):
        found = TestClient(app).get(path, headers={"Host": host})
        assert found.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://films.example", 200), ("https://FILMS.example:8443", 200),
        ("https://evil.example", 403), ("http://localhost:3000", 403), ("null", 403),
    ],
)  # fmt: skip
def test_a_page_behind_a_proxy_may_ask(client, origin, status):
    models = client.app.state.server.models
    with TestClient(create_app(models, LIMITS, {"localhost"}, [" Films.Example"])) as proxied:
        for host in ("localhost:8501", "films.EXAMPLE"):
            headers = {"Host": host, "Origin": origin}
            answer = proxied.post("/api/explain", json={"texts": ["a"]}, headers=headers)
            assert answer.status_code == status


def test_a_slow_upload_keeps_no_other_file_waiting(client):
    app = create_app(client.app.state.server.models, LIMITS)

    async def ask(receive):
        scope = {
            "type": "http", "method": "POST", "path": "/api/batch", "headers": [],
            "query_string": b"name=a.txt",
        }  # fmt: skip
        sent = []

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]["status"]

    async def both():
        begun, whole = asyncio.Event(), [{"type": "http.request", "body": b"Good.\n"}]

        async def slow():
            begun.set()
            await asyncio.Event().wait()

        async def fast():
            return whole.pop() if whole else await asyncio.Event().wait()

        first = asyncio.create_task(ask(slow))
        await begun.wait()
        status = await ask(fast)
        first.cancel()
        return status

    assert asyncio.run(both()) == 200


@pytest.mark.parametrize("letter", ["e", "é"])
def test_the_length_of_a_text_is_that_of_its_bytes(client, letter):
    most = LIMITS.characters // len(letter.encode())
    for number, status in ((most, 200), (most + 1, 413)):
        text = letter * number
        asked = client.post("/api/explain", json={"texts": [text], "effects": False})
        answer = client.post("/api/batch?name=a.txt", content=f"{text}\n".encode())
        assert asked.status_code == status and answer.status_code == 200
        assert answer.headers["x-rows-not-classified"] == str(int(status == 413))


def test_one_file_at_a_time_and_none_for_ever(client, monkeypatch):
    go_on, has_started = threading.Event(), threading.Event()
    score, api = scoring.score_table, client.app.state.server.api

    def slow(predictor, table, out, progress, longest):
        has_started.set()
        assert go_on.wait(20)
        part = out.with_name(f"{out.name}.part")
        part.touch()
        progress(1, 1)
        part.unlink()
        return score(predictor, table, out, progress=progress)

    monkeypatch.setattr("sst_keras.serving.api.score_table", slow)
    monkeypatch.setattr(api.server, "limits", replace(LIMITS, seconds=0.02))
    monkeypatch.setattr("sst_keras.serving.api._PATIENCE", 0.1)
    answers = []
    url = "/api/batch?name=a.txt"
    first = threading.Thread(target=lambda: answers.append(client.post(url, content=b"a\n")))
    first.start()
    assert has_started.wait(20)
    assert client.post(url, content=b"b\n").status_code == 429
    with monkeypatch.context() as few:
        few.setattr("sst_keras.serving.api._MOST_FILES", 1)  # before its body is read
        few.setattr("sst_keras.serving.server.Server.body", None)
        assert client.post(url, content=b"b\n").status_code == 429
    first.join(20)
    assert answers[0].status_code == 504
    monkeypatch.setattr(api.server, "limits", LIMITS)
    monkeypatch.setattr("sst_keras.serving.api._PATIENCE", 20)
    second = threading.Thread(target=lambda: answers.append(client.post(url, content=b"b\n")))
    second.start()  # and waits for the first, which nobody waits for
    go_on.set()
    second.join(20)
    assert answers[1].status_code == 200


def test_no_file_is_classified_once_the_server_is_stopping(client):
    with TestClient(create_app(client.app.state.server.models, LIMITS)) as stopping:
        stopping.app.state.server.api.stop()
        answer = stopping.post("/api/batch?name=a.txt", content=b"a\n")
    assert answer.status_code == 503 and "is stopping" in answer.json()["error"]


def test_only_the_page_itself_may_run(client):
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    (script,) = re.findall("<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert "://" not in answer.text and " style=" not in answer.text


DIGITS = "9" * 5000  # more than Python reads as a number
PIECES = [
    "&#", "&#x", "&", DIGITS, ";", "b'", "['", "']", '"', "'", "\\", "\\n", "<br>", "</b>", ",",
    "\t", "\n", "text", "{", "}", ": ", "Good.", "é", "\x00", "=", "__label__",
]  # fmt: skip
MADE = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@pytest.fixture(scope="module")
def large(client):
    """A server that takes larger texts and files."""
    limits = replace(LIMITS, body=1 << 20, file=1 << 20, characters=20_000, padded=1 << 22)
    with TestClient(create_app(client.app.state.server.models, limits)) as client:
        yield client


@pytest.mark.parametrize("entity", [f"&#{DIGITS};", f"&#x{DIGITS};"])
def test_a_number_of_thousands_of_digits_has_an_answer(large, entity):
    answer = large.post("/api/batch?name=a.csv", content=f"text\nGood. {entity}\n")
    assert answer.status_code == 200 and answer.headers["x-rows-not-classified"] == "0"
    url = f"/api/batch?name=a.csv&text_column={DIGITS}"
    assert large.post(url, content=REVIEWS.encode()).status_code == 400


@hypothesis.settings(
    max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    text=MADE,
    head=st.sampled_from(["", "text\n", "id,text\n", '{"text": "', "[", "__label__1 a\n"]),
    column=st.sampled_from(["", "1", "text", DIGITS]),
    ending=st.sampled_from(["csv", "tsv", "jsonl", "json", "txt"]),
)
def test_whatever_a_text_is_has_an_answer(large, text, head, column, ending):
    body = {"texts": [text], "effects": False}
    status = large.post("/api/explain", json=body).status_code
    assert status in (200, 400, 413)
    url = f"/api/batch?name=a.{ending}" + (f"&text_column={column}" if column else "")
    status = large.post(url, content=(head + text).encode()).status_code
    assert status in (200, 400, 413)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text())


@hypothesis.settings(
    max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    asked=st.dictionaries(st.sampled_from(["texts", "model", "version", "effects", "x"]), VALUES),
    body=st.binary(max_size=60),
    ending=st.sampled_from(["csv", "tsv", "jsonl", "json", "txt"]),
)
def test_whatever_is_asked_has_an_answer(client, asked, body, ending):
    for answer in (
        client.post("/api/explain", json=asked),
        client.post(f"/api/batch?name=a.{ending}", content=body),
        client.post(f"/api/batch?name=a.{ending}&text_column=1", content=body),
    ):
        assert answer.status_code in (200, 400, 404, 413), answer.text
