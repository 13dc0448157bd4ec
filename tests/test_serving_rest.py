"""The bodies of TensorFlow Serving's REST API, case by case."""

import json

import numpy as np
import pytest

from sst_keras.serving.rest import (
    RequestError,
    metadata_response,
    parse_predict,
    predict_response,
    status_response,
)

SIGNATURES = ("serving_default", "explain")


@pytest.mark.parametrize(
    ("body", "texts", "by_row"),
    [
        ({"instances": ["Good.", "Bad."]}, [b"Good.", b"Bad."], True),
        ({"instances": [{"text": "Good."}, {"text": "é"}]}, [b"Good.", "é".encode()], True),
        ({"instances": [{"b64": "R29vZC4="}]}, [b"Good."], True),
        ({"instances": [{"text": {"b64": "R29vZC4="}}]}, [b"Good."], True),
        ({"instances": [""]}, [b""], True),
        ({"inputs": ["Good.", "Bad."]}, [b"Good.", b"Bad."], False),
        ({"inputs": {"text": ["Good."]}}, [b"Good."], False),
        ({"inputs": {"text": [{"b64": "R29vZC4="}]}}, [b"Good."], False),
        ({"inputs": []}, [], False),
        ({"instances": ["Good."], "unknown": 1}, [b"Good."], True),
    ],
)
def test_requests(body, texts, by_row):
    for signature in ({}, {"signature_name": "serving_default"}, {"signature_name": ""}):
        request = parse_predict(json.dumps(body | signature).encode(), SIGNATURES)
        assert request.signature == "serving_default"
        assert (request.texts, request.by_row) == (texts, by_row)
    request = parse_predict(json.dumps(body | {"signature_name": "explain"}).encode(), SIGNATURES)
    assert request.signature == "explain"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: .* at offset: 1"),
        (b'{"instances": ["\xff"]}', "JSON Parse error: Invalid encoding in string. at offset: 16"),
        (b"[" * 100_000, "JSON Parse error"),
        (b"[]", r"JSON Value: \[\] Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": ["a"], "inputs": ["a"]}', "only one of 'inputs' or 'instances'"),
        (b'{"instances": "a"}', "Expecting 'instances' to be a list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [1]}', "element: 0 .* Type: Number is not of expected type: string"),
        (b'{"instances": ["a", null]}', "element: 1 .* Type: Null is not of expected type"),
        (b'{"instances": ["a", true]}', "Type: True is not of expected type: string"),
        (b'{"instances": [["a"]]}', "element: 0 of 'instances' list.* got a list"),
        (b'{"instances": ["a", {"text": "b"}]}', "value/list but got object at item 1"),
        (b'{"instances": [{"text": "b"}, "a"]}', "Expecting object but got list at item 1"),
        (b'{"instances": [{"tex": "a"}]}', "keys must be equal to: text"),
        (b'{"instances": [{"text": "a", "b": 1}]}', "keys must be equal to: text"),
        (b'{"instances": [{"b64": "?"}]}', "Unable to base64 decode"),
        (b'{"instances": [{"b64": "/w=="}]}', "Unable to base64 decode to UTF-8"),
        (b'{"instances": ["\\ud800"]}', "surrogate pair in string is invalid"),
        (b'{"inputs": "a"}', "Expecting a list of texts as input: text"),
        (b'{"inputs": {"tex": ["a"]}}', "Missing named input: text in 'inputs' object."),
        (b'{"inputs": {"text": [["a"]]}}', "got a list"),
        (b'{"inputs": {"text": [{}]}}', "Type: Object is not of expected type: string"),
        (b'{"signature_name": 1, "inputs": ["a"]}', "'signature_name' key must be a string value"),
        (b'{"signature_name": "x", "inputs": ["a"]}', '"x" not found in signature def'),
    ],
)
def test_wrong_requests(body, message):
    with pytest.raises(RequestError, match=message) as caught:
        parse_predict(body, SIGNATURES)
    assert caught.value.status == 400 and len(caught.value.message) < 400


OUTPUTS = {
    "probabilities": np.array([[0.1, 0.9], [0.7, 0.3]], np.float32),
    "label": np.array([1, 0], np.int64),
    "class_name": np.array([b"good", "übel".encode()], object),
}


def test_responses_by_row_and_by_column():
    assert predict_response(OUTPUTS, by_row=True) == {
        "predictions": [
            {"probabilities": [0.1, 0.9], "label": 1, "class_name": "good"},
            {"probabilities": [0.7, 0.3], "label": 0, "class_name": "übel"},
        ]
    }
    assert predict_response(OUTPUTS, by_row=False) == {
        "outputs": {
            "probabilities": [[0.1, 0.9], [0.7, 0.3]],
            "label": [1, 0],
            "class_name": ["good", "übel"],
        }
    }
    one = {"label": OUTPUTS["label"]}
    assert predict_response(one, by_row=True) == {"predictions": [1, 0]}
    assert predict_response(one, by_row=False) == {"outputs": [1, 0]}


def test_status_and_metadata():
    assert [each["version"] for each in status_response({1, 10, 2})["model_version_status"]] == [
        "10", "2", "1",
    ]  # fmt: skip
    found = metadata_response("films", 3, {"serving_default": {}})
    assert found["model_spec"] == {"name": "films", "signature_name": "", "version": "3"}
    assert found["metadata"]["signature_def"]["signature_def"] == {"serving_default": {}}
