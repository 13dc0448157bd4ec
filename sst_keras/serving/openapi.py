"""The description of the server's API, in OpenAPI 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sst_keras

if TYPE_CHECKING:
    from sst_keras.serving.registry import Models
    from sst_keras.serving.server import Limits

_VERSION = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
# Ending of a file that the server makes → its media type.
FILES = {".csv": "text/csv", ".tsv": "text/tab-separated-values", ".jsonl": "application/jsonl"}
_ERRORS = {
    400: "The request is malformed.",
    403: "Another site has made a browser send the request, or the host is not this server's.",
    404: "There is no such model or version.",
    413: "The body, the number of texts or a text is too large.",
    429: "Too many texts are waiting, or another file is being classified.",
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
                "properties": {"b64": {"type": "string", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}},
                "required": ["b64"],
                "additionalProperties": False,
            },
        ]
    }
    error = {
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sst_keras",
            "version": sst_keras.__version__,
            "description": "With too many connections, the answer is 503 in plain text.",
        },
        "paths": _own_paths(models, limits) | _model_paths(models, limits),
        "components": {"schemas": {"Text": text, "Error": error}},
    }


def _own_paths(models: Models, limits: Limits) -> dict[str, Any]:
    """Returns what the server answers beyond TensorFlow Serving's API."""
    listed = _operation("The versions of each model and their classes", {"type": "object"})
    return {
        "/healthz": {"get": _operation("Whether the server answers", {"type": "object"})},
        "/metrics": {"get": _operation("Metrics for Prometheus", None, ("text/plain",))},
        "/openapi.json": {"get": _operation("This description", {"type": "object"})},
        "/": {"get": _operation("A page to type reviews into", None, ("text/html",))},
        "/api/models": {"get": listed},
        "/api/explain": {"post": _explain(models, limits)},
        "/api/batch": {"post": _batch(models, limits)},
    }


def _model_paths(models: Models, limits: Limits) -> dict[str, Any]:
    """Returns TensorFlow Serving's API, for a model and for one of its versions."""
    asked = (400, 403, 404)
    refused = _operation("Refused: the signatures are of :predict", None, (), tuple(_ERRORS))
    del refused["responses"]["200"]
    operations = {
        "": ("get", _operation("The versions of a model", {"type": "object"}, errors=asked)),
        "/metadata": (
            "get", _operation("The signatures of a model", {"type": "object"}, errors=asked),
        ),
        ":predict": ("post", _predict(models, limits)),
        ":classify": ("post", refused),
        ":regress": ("post", refused),
    }  # fmt: skip
    name = {
        "name": "name", "in": "path", "required": True,
        "schema": {"type": "string", "enum": sorted(models)},
    }  # fmt: skip
    version = {"name": "version", "in": "path", "required": True, "schema": _VERSION}
    return {
        f"{place}{ending}": {method: {**operation, "parameters": parameters}}
        for place, parameters in (
            ("/v1/models/{name}", [name]),
            ("/v1/models/{name}/versions/{version}", [name, version]),
        )
        for ending, (method, operation) in operations.items()
    }


def _predict(models: Models, limits: Limits) -> dict[str, Any]:
    text = {"$ref": "#/components/schemas/Text"}
    texts = {"type": "array", "items": text, "maxItems": limits.texts}
    named = {
        "type": "object",
        "properties": {"text": text},
        "required": ["text"],
        "additionalProperties": False,
    }
    columns = {"type": "object", "properties": {"text": texts}, "required": ["text"]}
    instances = [
        {**texts, "minItems": 1},
        {"type": "array", "items": named, "minItems": 1, "maxItems": limits.texts},
    ]
    served = [model for versions in models.values() for model in versions.values()]
    signatures = sorted({name for model in served for name in model.signatures})
    signature = {"type": "string", "enum": [*signatures, ""]}
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
    operation = _operation("Classify texts", answer, errors=tuple(_ERRORS))
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": {"oneOf": [row, column]}}},
    }
    return operation


def _explain(models: Models, limits: Limits) -> dict[str, Any]:
    operation = _operation(
        "Probabilities, attention, and the effect of each token", {"type": "object"},
        errors=tuple(_ERRORS),
    )  # fmt: skip
    texts = {
        "type": "array", "minItems": 1, "maxItems": limits.texts,
        "items": {"type": "string", "minLength": 1, "maxLength": limits.characters},
    }  # fmt: skip
    properties = {
        "texts": texts,
        "model": {"type": "string", "enum": sorted(models)},
        "version": _VERSION,
        "effects": {"type": "boolean", "default": True},
    }
    required = ["texts", "model"] if len(models) > 1 else ["texts"]
    body = {"type": "object", "properties": properties, "required": required}
    schema = {**body, "additionalProperties": False}
    operation["description"] = (
        f"The effect of a token is how much it raises the probability of the class: that of the "
        f"text, less that of the text without it. Texts of more than {limits.occluded} tokens have "
        f"null as effects."
    )
    operation["requestBody"] = {
        "required": True, "content": {"application/json": {"schema": schema}},
    }  # fmt: skip
    return operation


def _batch(models: Models, limits: Limits) -> dict[str, Any]:
    about = (
        f"The body is a file of at most {limits.file} bytes: CSV, TSV, JSON, JSON Lines, or a text "
        f"on each line. The ending of its name says which. The answer has its columns and rows, "
        f"and the predictions: TSV for TSV, JSON Lines for JSON Lines, and CSV for the others."
    )
    operation = _operation("Classify a file", None, tuple(FILES.values()), tuple(_ERRORS))
    operation["description"] = about
    operation["parameters"] = [
        {"name": "name", "in": "query", "schema": {"type": "string", "default": "texts.csv"}},
        {"name": "text_column", "in": "query", "schema": {"type": "string", "default": "text"}},
        {
            "name": "model", "in": "query", "required": len(models) > 1,
            "schema": {"type": "string", "enum": sorted(models)},
        },
        {"name": "version", "in": "query", "schema": _VERSION},
    ]  # fmt: skip
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    operation["requestBody"] = {"required": True, "content": binary}
    return operation


def _operation(
    summary: str,
    schema: dict[str, Any] | None,
    media: tuple[str, ...] = ("application/json",),
    errors: tuple[int, ...] = (403,),
) -> dict[str, Any]:
    content = {each: {"schema": schema} if schema else {} for each in media}
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for status in errors:
        responses[str(status)] = {
            "description": _ERRORS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    return {"summary": summary, "responses": responses}
