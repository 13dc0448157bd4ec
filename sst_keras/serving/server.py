"""The HTTP server: TensorFlow Serving's REST API for exported models, health, metrics, OpenAPI.

It runs no code from a model's folder but the SavedModel's graph, and logs no text. Files that it
classifies are in a temporary folder meanwhile.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import sst_keras
from sst_keras.serving import openapi
from sst_keras.serving.api import Api
from sst_keras.serving.batching import Batcher
from sst_keras.serving.registry import Models, ServedModel
from sst_keras.serving.rest import (
    RequestError,
    metadata_response,
    parse_predict,
    predict_response,
    status_response,
)

access = logging.getLogger("sst_keras.access")
log = logging.getLogger(__name__)

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d{1,18}))?"
_METHOD = re.compile(rf"{_MODEL}:(?P<method>predict|classify|regress)", re.IGNORECASE)
_METADATA = re.compile(rf"{_MODEL}/metadata", re.IGNORECASE)
_STATUS = re.compile(_MODEL, re.IGNORECASE)
_READING = ("GET", "HEAD")  # methods
_SHOWN = 200  # characters of a name in a message


@dataclass(frozen=True)
class Limits:
    """What a server accepts.

    Attributes:
        body: Bytes of a request; more are answered with 413.
        texts: Texts of a request (413).
        characters: Bytes of a text in UTF-8 (413).
        queue: Texts that may wait (429).
        padded: The number of texts times the bytes of the longest, if tokens are asked for (413).
        occluded: The most tokens of a text for which effects are computed; a request may have
            eight times as many in all (413).
        file: Bytes of a file (413).
        connections: Clients at the same time (503).
        seconds: How long the headers of a request may take to arrive (then the connection is
            closed), how long its body, and how long its answer (504). A file may take ten times as
            long.
        batch: The most texts that are computed together.
        wait: Seconds that an idle server waits for others to join a batch.
    """

    body: int = 4 << 20
    texts: int = 1024
    characters: int = 20_000
    queue: int = 4096
    padded: int = 1 << 18
    occluded: int = 256
    file: int = 16 << 20
    connections: int = 1024
    seconds: float = 30.0
    batch: int = 64
    wait: float = 0.001


class _Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sst_keras_requests", "Requests by route and HTTP status.", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "sst_keras_request_seconds", "Seconds until the answer, by route.", ["route"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
            registry=registry,
        )  # fmt: skip
        self.texts = Counter("sst_keras_texts", "Texts that were classified.", registry=registry)
        self.batches = Histogram(
            "sst_keras_batch_texts", "Texts that were computed together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024), registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "sst_keras_waiting_texts", "Texts that wait to be computed.", registry=registry
        )


class Server:
    """The handlers of requests, and what they share."""

    def __init__(
        self,
        models: Models,
        limits: Limits,
        hosts: frozenset[str] = frozenset(),
        proxies: frozenset[str] = frozenset(),
    ) -> None:
        self.models, self.limits, self.metrics = models, limits, _Metrics()
        self.hosts, self.proxies = hosts, proxies
        # TensorFlow itself uses all cores for a batch.
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.batchers: dict[tuple[str, int], Batcher] = {}
        self.api = Api(self)
        self.metrics.waiting.set_function(
            lambda: sum(batcher.waiting for batcher in self.batchers.values())
        )

    def load(self) -> None:
        """Loads each model and calls each of its signatures, so that no request has to wait."""
        for versions in self.models.values():
            for model in versions.values():
                for signature in model.signatures:
                    model.predictor.answers(["Not bad."], signature)
                self.batchers[model.name, model.version] = Batcher(
                    model.predictor.answers, self.executor, self.limits.batch, self.limits.wait,
                    self.limits.queue, self.metrics.batches.observe,
                )  # fmt: skip

    async def close(self) -> None:
        """Answers what was accepted, but for a file, and refuses the rest."""
        self.api.close()
        for batcher in self.batchers.values():
            await batcher.close()
        self.executor.shutdown()

    # === Routes ===

    async def v1(self, request: Request) -> Response:
        """Answers what TensorFlow Serving's REST API answers."""
        path = request.url.path
        if request.method == "POST" and (found := _METHOD.fullmatch(path)):
            return await self._predict(request, **found.groupdict())
        is_get = request.method in _READING
        if is_get and (found := _METADATA.fullmatch(path)):
            name, version = found.group("name", "version")
            model = self.model(name, int(version) if version else None)
            return JSONResponse(metadata_response(model.name, model.version, model.signatures))
        if is_get and (found := _STATUS.fullmatch(path)):
            return self._status(**found.groupdict())
        raise RequestError(400, f"Malformed request: {request.method} {path[:200]}")

    def _status(self, name: str, version: str | None) -> Response:
        versions = self.models.get(name, {})
        if version is not None:
            versions = [each for each in versions if each == int(version)]
        if not versions:
            which = f"version {version}" if version else "any versions"
            raise RequestError(404, f"Could not find {which} of model {name}")
        return JSONResponse(status_response(list(versions)))

    def model(self, name: str, version: int | None = None) -> ServedModel:
        """Returns a model, by default its newest version; if there is none: `RequestError`."""
        versions = self.models.get(name, {})
        number = max(versions, default=0) if version is None else version
        if number not in versions:
            shown = name[:_SHOWN]
            wanted = f"Latest({shown})" if version is None else f"Specific({shown}, {version})"
            raise RequestError(404, f"Servable not found for request: {wanted}")
        return versions[number]

    async def submit(
        self, model: ServedModel, texts: Sequence[str | bytes], signature: str
    ) -> list[dict[str, Any]]:
        """Returns a model's answers for texts; see `Batcher.submit` for what it raises."""
        if not texts:
            return []
        batcher = self.batchers[model.name, model.version]
        answers = await batcher.submit(texts, signature, self.limits.seconds)
        self.metrics.texts.inc(len(texts))
        return answers

    async def _predict(
        self, request: Request, name: str, version: str | None, method: str
    ) -> Response:
        method = method.lower()
        body = await self.body(request, self.limits.body)
        model = self.model(name, int(version) if version else None)
        if method != "predict":
            wanted = {"classify": "classification", "regress": "regression"}[method]
            raise RequestError(
                400,
                f"Expected {wanted} signature method_name to be tensorflow/serving/{method}. Was: "
                f"tensorflow/serving/predict",
            )
        asked = parse_predict(body, model.signatures)
        self.check(asked.texts)
        self.check_padding(model, asked.signature, asked.texts)
        answers = await self.submit(model, asked.texts, asked.signature)
        request.state.texts = len(asked.texts)
        names = sorted(model.signatures[asked.signature]["outputs"])
        outputs = {name: _column([answer[name] for answer in answers]) for name in names}
        return JSONResponse(predict_response(outputs, asked.by_row))

    def check_padding(self, model: ServedModel, signature: str, texts: Sequence[bytes]) -> None:
        """Bounds the answer to texts whose tokens are padded to the longest of them."""
        longest = max(map(len, texts), default=0)
        has_tokens = "tokens" in model.signatures[signature]["outputs"]
        if has_tokens and len(texts) * longest > self.limits.padded:
            raise RequestError(
                413, "Expected texts of similar length, or fewer of them: tokens are padded."
            )

    def check(self, texts: Sequence[bytes]) -> None:
        """Checks the number and the lengths of texts; too many or too long: `RequestError`."""
        limits = self.limits
        if len(texts) > limits.texts:
            raise RequestError(
                413, f"Expected at most {limits.texts} texts in a request. Received: {len(texts)}."
            )
        for number, text in enumerate(texts):
            if len(text) > limits.characters:
                raise RequestError(
                    413,
                    f"Expected texts of at most {limits.characters} bytes. Text {number} has "
                    f"{len(text)}.",
                )

    async def body(self, request: Request, most: int, seconds: float = 0.0) -> bytes:
        """Returns the body of a request, of `most` bytes; a larger or slow one: `RequestError`.

        It may take `seconds`, by default the limit's.
        """
        chunks, size = [], 0
        try:
            async with asyncio.timeout(seconds or self.limits.seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise RequestError(413, f"Expected a body of at most {most} bytes.")
                    chunks.append(chunk)
        except TimeoutError:
            raise RequestError(504, "The request did not arrive in time.") from None
        return b"".join(chunks)

    async def healthz(self, request: Request) -> Response:
        """Says that the server answers."""
        models = {name: sorted(versions) for name, versions in self.models.items()}
        return JSONResponse({"status": "ok", "models": models, "version": sst_keras.__version__})

    async def prometheus(self, request: Request) -> Response:
        """Returns the metrics in Prometheus's text format."""
        return PlainTextResponse(
            generate_latest(self.metrics.registry), media_type="text/plain; version=0.0.4"
        )

    async def openapi(self, request: Request) -> Response:
        """Returns the description of the API."""
        return JSONResponse(openapi.document(self.models, self.limits))


def _column(rows: Sequence[Any]) -> np.ndarray:
    """Returns the rows of an output as one array, padded to the longest text of the request."""
    if not rows:
        return np.zeros(0)
    first = rows[0]
    if isinstance(first, bytes):
        return np.array(rows, object)
    if first.ndim == 0:
        return np.stack(rows)
    width = max(len(row) for row in rows)
    fill = b"" if first.dtype == object else 0
    padded = np.full((len(rows), width), fill, first.dtype)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded


def create_app(
    models: Models,
    limits: Limits | None = None,
    hosts: Collection[str] = (),
    proxies: Collection[str] = (),
) -> Starlette:
    """Returns the application; the models are loaded when it starts.

    It refuses what other sites make a browser send: requests that change nothing but take time. If
    there are `hosts`, it answers under these names and those of `proxies` only, so that no other
    site can take the name of this machine. A page of a proxy may ask, even if the proxy does not
    pass its own name on as the host.
    """
    hosts, proxies = (frozenset(name.strip().lower() for name in each) for each in (hosts, proxies))
    server = Server(models, limits or Limits(), hosts | proxies if hosts else hosts, proxies)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if not server.batchers:
            server.load()
        log.info("Ready.")
        yield
        await server.close()

    api = server.api
    routes = [
        Route("/", _watched("page", server, api.page)),
        Route("/api/models", _watched("api", server, api.models)),
        Route("/api/explain", _watched("api", server, api.explain), methods=["POST"]),
        Route("/api/batch", _watched("api", server, api.batch), methods=["POST"]),
        Route("/healthz", _watched("healthz", server, server.healthz)),
        Route("/metrics", _watched("metrics", server, server.prometheus)),
        Route("/openapi.json", _watched("openapi", server, server.openapi)),
        Route(
            "/v1/{rest:path}", _watched("v1", server, server.v1),
            methods=["GET", "POST", "PUT", "DELETE", "PATCH"],
        ),
    ]  # fmt: skip

    async def refuse(request: Request, error: Exception) -> Response:
        """Answers an unknown path or method as every other error."""
        _note(server, "none", request, error.status_code, time.perf_counter())
        message = f"{error.detail}: {request.method} {request.url.path[:_SHOWN]}"
        return JSONResponse({"error": message}, error.status_code, error.headers)

    handlers = {HTTPException: refuse}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.server = server
    return app


def _watched(
    route: str, server: Server, handle: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """Returns a handler that turns errors into answers, and counts and logs what it answered."""

    async def watched(request: Request) -> Response:
        started = time.perf_counter()
        try:
            _check_origin(request, server)
            response = await handle(request)
        except RequestError as error:
            # Bytes of a file that are not UTF-8 are halves of surrogate pairs.
            message = error.message.encode("utf-8", "backslashreplace").decode("utf-8")
            response = JSONResponse({"error": message}, error.status)
            if error.status == 429:
                response.headers["Retry-After"] = "1"
        except ClientDisconnect:
            response = JSONResponse({"error": "The client has gone."}, 400)
        except Exception:
            log.exception("A request failed.")
            response = JSONResponse({"error": "The model could not answer."}, 500)
        _note(server, route, request, response.status_code, started)
        return response

    return watched


def _check_origin(request: Request, server: Server) -> None:
    """Refuses requests of other sites, which a browser of this machine may send."""
    host = request.headers.get("host", "")
    if server.hosts and _name(host) not in server.hosts:
        raise RequestError(403, f"Expected one of the hosts {', '.join(sorted(server.hosts))}.")
    if request.method in _READING:
        return
    site = request.headers.get("origin", "").partition("://")[2]
    is_own = "origin" not in request.headers or site == host or _name(site) in server.proxies
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") or not is_own:
        raise RequestError(403, "Expected a request of this server's own page, or of no page.")


def _name(host: str) -> str:
    """Returns the name in a Host header, without port and brackets; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _note(server: Server, route: str, request: Request, status: int, started: float) -> None:
    """Counts and logs an answer."""
    seconds = time.perf_counter() - started
    server.metrics.requests.labels(route, status).inc()
    server.metrics.seconds.labels(route).observe(seconds)
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "method": request.method,
        "path": request.url.path[:_SHOWN],
        "status": status,
        "milliseconds": round(1000 * seconds, 2),
        "texts": getattr(request.state, "texts", 0),
    }
    access.info(json.dumps(entry))
