"""The description of the server's API, in OpenAPI 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sst_keras

if TYPE_CHECKING:
    from sst_keras.serving.registry import Models
    from sst_keras.serving.server import Limits

_ERRORS = {
    400: "The request is malformed.",
    404: "There is no such model or version.",
    413: "The body, the number of texts or a text is too large.",
    429: "Too many texts are waiting.",
    503: "The server is stopping.",
    504: "The answer took too long.",
}


def document(models: Models, limits: Limits) -> dict[str, Any]:
    """Returns the description as JSON."""
    text = {
        "oneOf": [
            {"type": "string", "maxLength": limits.characters},
            {
                "type": "object",
                "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
                "required": ["b64"],
                "additionalProperties": False,
            },
        ]
    }
    named = {
        "type": "object",
        "properties": {"text": {"$ref": "#/components/schemas/Text"}},
        "required": ["text"],
        "additionalProperties": False,
    }
    texts = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Text"},
        "maxItems": limits.texts,
    }
    columns = {"type": "object", "properties": {"text": texts}, "required": ["text"]}
    instances = [
        {**texts, "minItems": 1},
        {"type": "array", "items": named, "minItems": 1, "maxItems": limits.texts},
    ]
    signature = {"type": "string", "enum": ["serving_default", "explain", ""]}
    row = {
        "type": "object",
        "properties": {"signature_name": signature, "instances": {"oneOf": instances}},
        "required": ["instances"],
    }
    column = {
        "type": "object",
        "properties": {"signature_name": signature, "inputs": {"oneOf": [texts, columns]}},
        "required": ["inputs"],
    }
    answer = {
        "type": "object",
        "properties": {
            "predictions": {"type": "array", "items": {"type": "object"}},
            "outputs": {"type": "object"},
        },
    }
    error = {
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
    }
    name = {
        "name": "name", "in": "path", "required": True,
        "schema": {"type": "string", "enum": sorted(models)},
    }  # fmt: skip
    version = {
        "name": "version", "in": "path", "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }  # fmt: skip
    paths: dict[str, Any] = {
        "/healthz": {"get": _operation("Whether the server answers", {"type": "object"})},
        "/metrics": {"get": _operation("Metrics for Prometheus", None, "text/plain")},
        "/openapi.json": {"get": _operation("This description", {"type": "object"})},
    }
    for place, parameters in (
        ("/v1/models/{name}", [name]),
        ("/v1/models/{name}/versions/{version}", [name, version]),
    ):
        status = _operation("The versions of a model", {"type": "object"}, errors=(400, 404))
        metadata = _operation("The signatures of a model", {"type": "object"}, errors=(400, 404))
        predict = _operation("Classify texts", answer, errors=tuple(_ERRORS))
        predict["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [row, column]}}},
        }
        for ending, method, operation in (
            ("", "get", status), ("/metadata", "get", metadata), (":predict", "post", predict),
        ):  # fmt: skip
            paths[f"{place}{ending}"] = {method: {**operation, "parameters": parameters}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "sst_keras", "version": sst_keras.__version__},
        "paths": paths,
        "components": {"schemas": {"Text": text, "Error": error}},
    }


def _operation(
    summary: str,
    schema: dict[str, Any] | None,
    media: str = "application/json",
    errors: tuple[int, ...] = (),
) -> dict[str, Any]:
    content = {media: {"schema": schema} if schema else {}}
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for status in errors:
        responses[str(status)] = {
            "description": _ERRORS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    return {"summary": summary, "responses": responses}
