"""The bodies of TensorFlow Serving's REST API: requests → texts, outputs → responses.

https://www.tensorflow.org/tfx/serving/api_rest describes the API. The signatures here have one
input, `text: string[batch]`. The messages of errors are those of TensorFlow Serving where it has
one for the case.
"""

import base64
import binascii
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

INPUT = "text"
DEFAULT = "serving_default"
_SHOWN = 200  # characters of a value in a message


class RequestError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: The HTTP status, such as 400.
        message: What the client is told.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class PredictRequest:
    """What a client asks for.

    Attributes:
        signature: The name of the signature.
        texts: The texts, in UTF-8.
        by_row: Whether the answer is a list of predictions, one for each text; else it has a list
            for each output.
    """

    signature: str
    texts: list[bytes]
    by_row: bool


def parse_predict(body: bytes, signatures: Collection[str]) -> PredictRequest:
    """Reads the body of a `:predict` request; what is wrong with it raises a `RequestError`."""
    request = parse_object(body)
    name = request.get("signature_name", DEFAULT)
    if not isinstance(name, str):
        raise _malformed(
            request, "not formatted correctly. 'signature_name' key must be a string value."
        )
    name = name or DEFAULT
    if name not in signatures:
        raise RequestError(400, f'Serving signature name: "{name}" not found in signature def')
    if "instances" in request and "inputs" in request:
        raise _malformed(
            request,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        )
    if "instances" in request:
        instances = request["instances"]
        if not isinstance(instances, list):
            raise _malformed(request, "Expecting 'instances' to be a list/array")
        if not instances:
            raise _malformed(request, "No values in 'instances' array")
        return PredictRequest(name, _from_rows(instances), by_row=True)
    if "inputs" in request:
        return PredictRequest(name, _from_columns(request["inputs"]), by_row=False)
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def parse_object(body: bytes) -> dict[str, Any]:
    """Reads the JSON object that a body holds; what is wrong with it raises a `RequestError`."""
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    try:
        found = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        raise RequestError(400, message) from None
    except json.JSONDecodeError as error:
        raise RequestError(400, f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except (RecursionError, ValueError):  # nested too deep; a number of too many digits
        raise RequestError(400, "JSON Parse error: The document cannot be read.") from None
    if not isinstance(found, dict):
        raise _malformed(found, "Is not object")
    return found


def _from_rows(instances: Sequence[Any]) -> list[bytes]:
    texts = []
    has_names = _has_names(instances[0])
    for number, instance in enumerate(instances):
        place = f"Failed to process element: {number} of 'instances' list."
        if _has_names(instance) != has_names:
            kinds = ("object", "list") if has_names else ("value/list", "object")
            raise RequestError(
                400, f"Expecting {kinds[0]} but got {kinds[1]} at item {number} of input list"
            )
        if has_names:
            if set(instance) != {INPUT}:
                shown = f"JSON object: {_shown(instance)} keys must be equal to: {INPUT}"
                raise RequestError(400, f"{place} {shown}")
            instance = instance[INPUT]
        try:
            texts.append(_text(instance))
        except RequestError as error:
            raise RequestError(400, f"{place} Error: {error.message}") from None
    return texts


def _from_columns(inputs: Any) -> list[bytes]:
    if _has_names(inputs):
        if INPUT not in inputs:
            raise RequestError(400, f"Missing named input: {INPUT} in 'inputs' object.")
        inputs = inputs[INPUT]
    if not isinstance(inputs, list):
        raise RequestError(400, f"Expecting a list of texts as input: {INPUT}, shape [-1]")
    return [_text(value) for value in inputs]


def _has_names(value: Any) -> bool:
    """Returns whether a value is an object of inputs by name, not one of base64."""
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _text(value: Any) -> bytes:
    """Returns a text in UTF-8."""
    if isinstance(value, list):
        raise RequestError(400, f"Expecting a text as input: {INPUT}, shape [-1], but got a list")
    if _is_base64(value):
        try:
            text = base64.b64decode(value["b64"], validate=True)
            text.decode("utf-8")
        except (binascii.Error, ValueError):
            raise RequestError(400, "Unable to base64 decode to UTF-8") from None
        return text
    if not isinstance(value, str):
        kinds = {type(None): "Null", bool: str(value), dict: "Object"}
        kind = kinds.get(type(value), "Number")
        raise RequestError(
            400, f"JSON Value: {_shown(value)} Type: {kind} is not of expected type: string"
        )
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        message = "JSON Parse error: The surrogate pair in string is invalid."
        raise RequestError(400, message) from None


def _malformed(value: Any, problem: str) -> RequestError:
    return RequestError(400, f"JSON Value: {_shown(value)} {problem}")


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=True)
    except RecursionError:
        return "..."
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def predict_response(outputs: Mapping[str, np.ndarray], by_row: bool) -> dict[str, Any]:
    """Returns the body of a response to `:predict`.

    `outputs` has arrays whose first axis is the texts. Numbers of 32 bits are written as short as
    they can be read back.
    """
    columns = {name: _plain(array) for name, array in outputs.items()}
    if not by_row:
        (only, *others) = columns.values()
        return {"outputs": columns if others else only}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _plain(array: np.ndarray) -> list[Any]:
    if array.dtype == np.float32:
        return array.astype("U").astype(np.float64).tolist()
    if array.dtype == object:
        return [_plain(row) if isinstance(row, np.ndarray) else row.decode() for row in array]
    return array.tolist()


def status_response(versions: Collection[int]) -> dict[str, Any]:
    """Returns the body of a model's status, its newest version first."""
    fine = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [
            {"version": str(version), "state": "AVAILABLE", "status": fine}
            for version in sorted(versions, reverse=True)
        ]
    }


def metadata_response(name: str, version: int, signatures: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body of a model's metadata; `signatures` are signature definitions as JSON."""
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": dict(signatures)}},
    }
