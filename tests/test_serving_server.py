"""The server, asked over HTTP."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from starlette.testclient import TestClient

from sst_keras.classifier import Classifier
from sst_keras.corpora import load_corpus
from sst_keras.serving.registry import find_models
from sst_keras.serving.server import Limits, create_app

KEYS = st.sampled_from(["instances", "inputs", "signature_name", "text", "b64"])
LIMITS = Limits(body=4000, texts=5, characters=50, seconds=20)


@pytest.fixture(scope="module")
def client(served_folder):
    with TestClient(create_app(find_models([str(served_folder)]), LIMITS)) as client:
        yield client


def test_every_way_to_ask_gives_the_same_answer(client, trained_run):
    expected = Classifier.load(trained_run).predictor().predict(["Not bad.", "Dull é."])
    for place in ("films", "films/versions/3"):
        url = f"/v1/models/{place}:predict"
        rows = client.post(url, json={"instances": ["Not bad.", {"b64": "RHVsbCDDqS4="}]}).json()
        names = client.post(url, json={"instances": [{"text": "Not bad."}, {"text": "Dull é."}]})
        columns = client.post(url, json={"inputs": {"text": ["Not bad.", "Dull é."]}}).json()
        assert names.json() == rows
        for place, (row, one) in enumerate(zip(rows["predictions"], expected, strict=True)):
            assert row["class_name"] == one.class_name and row["label"] == one.label
            shares = list(one.probabilities.values())
            np.testing.assert_allclose(row["probabilities"], shares, atol=1e-6)
            assert {name: found[place] for name, found in columns["outputs"].items()} == row


def test_attention_is_padded_to_the_longest_text_of_the_request(client):
    body = {"signature_name": "explain", "instances": ["Not bad.", "A dull and long film."]}
    first, second = client.post("/v1/models/films:predict", json=body).json()["predictions"]
    assert first["tokens"] == ["Not", "bad", ".", "", "", ""]
    assert first["attention"][3:] == [0, 0, 0] and sum(first["attention"]) == pytest.approx(1)
    assert len(second["tokens"]) == 6


def test_an_answer_does_not_depend_on_the_requests_beside_it(client, monkeypatch):
    url, batcher = "/v1/models/films:predict", client.app.state.server.batchers["films", 3]
    answer, sizes = batcher._answer, []

    def counted(texts, signature):
        sizes.append(len(texts))
        return answer(texts, signature)

    monkeypatch.setattr(batcher, "_answer", counted)
    monkeypatch.setattr(batcher, "wait", 1.0)
    bodies = [
        {"signature_name": "explain", "instances": [text]} for text in ("Not bad.", "very " * 9)
    ]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda body: client.post(url, json=body).json(), bodies))
    assert sizes == [2]
    (short,), (long,) = (each["predictions"] for each in answers)
    assert short["tokens"] == ["Not", "bad", "."] and long["tokens"] == ["very"] * 9
    assert len(short["attention"]) == 3 and sum(short["attention"]) == pytest.approx(1)


def test_all_test_sentences_as_evaluate_labels_them(client, trained_run, served_folder):
    split = load_corpus(trained_run.pipeline.data).test
    expected = Classifier.load(trained_run).probabilities(split).argmax(axis=1)
    texts = [" ".join(split.texts.row(row)) for row in range(len(split))]
    with TestClient(create_app(find_models([f"x={served_folder}"]))) as all_texts:
        found = all_texts.post("/v1/models/x:predict", json={"inputs": texts}).json()
    np.testing.assert_array_equal(found["outputs"]["label"], expected)


def test_status_and_metadata(client):
    status = client.get("/v1/models/films").json()
    assert [each["version"] for each in status["model_version_status"]] == ["3"]
    assert client.get("/v1/models/films/versions/3").json() == status
    for place in ("films", "films/versions/3"):
        found = client.get(f"/v1/models/{place}/metadata").json()
        assert found["model_spec"]["version"] == "3"
        signatures = found["metadata"]["signature_def"]["signature_def"]
        assert set(signatures) == {"serving_default", "explain"}
        text = signatures["explain"]["inputs"]["text"]
        assert (text["dtype"], text["tensor_shape"]["dim"][0]["size"]) == ("DT_STRING", "-1")
        assert signatures["explain"]["method_name"] == "tensorflow/serving/predict"


def test_heads_are_those_of_gets(client):
    for url in ("/v1/models/films", "/v1/models/films/metadata", "/healthz"):
        assert client.head(url).status_code == 200
        assert client.head(url, headers={"Origin": "https://a.example"}).status_code == 200
    assert client.head("/v1/models/other").status_code == 404


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", '{"instances": ["a"]}', 404, "Latest(other)"),
        ("POST", "/v1/models/films/versions/4:predict", "{}", 404, "Specific(films, 4)"),
        ("GET", "/v1/models/other", "", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/films/versions/9", "", 404, "Could not find version 9 of model films"),
        ("GET", "/v1/models/other/metadata", "", 404, "Latest(other)"),
        ("POST", "/v1/models/films:classify", '{"examples": []}', 400, "serving/classify. Was: te"),
        ("POST", "/v1/models/films:regress", "{}", 400, "Expected regression signature"),
        ("POST", "/v1/models/films:explode", "{}", 400, "Malformed request: POST /v1/models/films"),
        ("GET", "/v1/models/films:predict", "", 400, "Malformed request: GET"),
        ("DELETE", "/v1/models/films", "", 400, "Malformed request: DELETE"),
        ("GET", "/v1/models", "", 400, "Malformed request"),
        ("GET", "/nothing", "", 404, "Not Found: GET /nothing"),
        ("POST", "/healthz", "", 405, "Method Not Allowed"),
        ("POST", "/v1/models/films:predict", "{", 400, "JSON Parse error"),
        ("POST", "/v1/models/films:predict", '{"instances": [1]}', 400, "expected type: string"),
        ("POST", "/v1/models/films:predict", "x" * 5000, 413, "a body of at most 4000 bytes"),
        ("POST", "/v1/models/films:predict", json.dumps({"inputs": ["a"] * 6}), 413, "at most 5"),
        ("POST", "/v1/models/films:predict", json.dumps({"inputs": ["a" * 51]}), 413, "Text 0 has"),
    ],
)
def test_errors_are_json_with_a_reason(client, method, url, body, status, message):
    answer = client.request(method, url, content=body)
    assert answer.status_code == status
    assert message in answer.json()["error"] and len(answer.json()) == 1


def test_json_of_any_depth_has_an_answer(client):
    for depth in range(900, 1000, 6):
        for inside in ("", '"a"'):
            body = "[" * depth + inside + "]" * depth
            for content in (body, f'{{"instances": {body}}}', f'{{"signature_name": {body}}}'):
                answer = client.post("/v1/models/films:predict", content=content)
                assert answer.status_code == 400 and answer.json()["error"]


def test_tokens_are_not_padded_without_bound(client):
    body = {"signature_name": "explain", "inputs": ["a b"] * 5}
    assert client.post("/v1/models/films:predict", json=body).status_code == 200
    server = client.app.state.server
    limits, server.limits = server.limits, replace(server.limits, padded=14)
    answer = client.post("/v1/models/films:predict", json=body)
    server.limits = limits
    assert answer.status_code == 413 and "similar length" in answer.json()["error"]


def test_no_texts_and_blank_texts(client):
    found = client.post("/v1/models/films:predict", json={"inputs": []})
    assert found.status_code == 200 and found.json()["outputs"]["label"] == []
    assert client.post("/v1/models/films:predict", json={"inputs": ["", " "]}).status_code == 200


def test_health_metrics_and_description(client, caplog):
    caplog.set_level(logging.INFO, "sst_keras.access")
    logging.getLogger("sst_keras").propagate = True
    body = {"instances": ["A secret text."]}
    assert client.post("/v1/models/films:predict", json=body).status_code == 200
    health = client.get("/healthz").json()
    assert (health["status"], health["models"]) == ("ok", {"films": [3]})
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'sst_keras_requests_total{route="v1",status="200"}' in metrics.text
    assert "sst_keras_texts_total" in metrics.text
    assert "sst_keras_waiting_texts 0.0" in metrics.text
    found = client.get("/openapi.json").json()
    assert found["openapi"].startswith("3.1") and "/v1/models/{name}:predict" in found["paths"]
    entry = json.loads(caplog.records[0].message)
    assert (entry["status"], entry["texts"]) == (200, 1) and entry["path"].endswith(":predict")
    for method, path, status in (("GET", "/nothing", 404), ("POST", "/metrics", 405)):
        assert client.request(method, path).status_code == status
        entry = json.loads(caplog.records[-1].message)
        assert (entry["path"], entry["status"]) == (path, status)
    assert "secret" not in caplog.text


def test_a_model_that_fails_is_a_500_and_the_server_goes_on(client, monkeypatch):
    server = client.app.state.server
    batcher = server.batchers["films", 3]
    with monkeypatch.context() as patch:
        patch.setattr(batcher, "_answer", lambda texts, signature: 1 / 0)
        answer = client.post("/v1/models/films:predict", json={"instances": ["a"]})
    assert answer.status_code == 500 and answer.json() == {"error": "The model could not answer."}
    assert client.post("/v1/models/films:predict", json={"instances": ["a"]}).status_code == 200


def test_many_clients_get_their_own_answers(client):
    texts = [f"film {'very ' * (number % 7)}good {number}" for number in range(60)]
    url = "/v1/models/films:predict"
    alone = [client.post(url, json={"instances": [text]}).json() for text in texts]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda t: client.post(url, json={"instances": [t]}).json(), texts))
    for one, other in zip(alone, together, strict=True):
        one, other = one["predictions"][0], other["predictions"][0]
        assert one["class_name"] == other["class_name"]
        np.testing.assert_allclose(one["probabilities"], other["probabilities"], atol=1e-5)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@hypothesis.settings(
    max_examples=100, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
    body=st.dictionaries(KEYS, VALUES) | VALUES,
    cut=st.integers(0, 40),
    place=st.sampled_from(
        ["films", "films/versions/3", "films/versions/" + "9" * 30, "x:y", "%ff"]
    ),
)
def test_whatever_is_asked_has_an_answer(client, body, cut, place):
    content = json.dumps(body).encode()
    for sent in (content, content[cut:], content[: len(content) - cut], b"\xff" + content):
        answer = client.post(f"/v1/models/{place}:predict", content=sent)
        assert answer.status_code in (200, 400, 404, 413)
        assert ("error" in answer.json()) == (answer.status_code != 200)
