"""What the server answers beyond TensorFlow Serving's API: explanations, files, and the page."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sst_keras.errors import InputError, UsageError
from sst_keras.locks import scratch_folder
from sst_keras.serving.explanation import Explanation, Occlusion
from sst_keras.serving.openapi import FILES
from sst_keras.serving.registry import ServedModel
from sst_keras.serving.rest import DEFAULT, RequestError, parse_object
from sst_keras.serving.scoring import BLANK, NOT_CLASSIFIED, score_table
from sst_keras.settings import DataConfig
from sst_keras.tables.reading import TABLES, open_texts

if TYPE_CHECKING:
    from sst_keras.serving.server import Limits, Server

_PAGE = Path(__file__).with_name("page.html")
_KEYS = {"texts": list, "model": str, "version": int, "effects": bool}
_KINDS = {list: "a list of texts", str: "a string", int: "a number", bool: "true or false"}
_DIGITS = 6
_GZIP = b"\x1f\x8b"
_MOST_COLUMNS = 1000
_GROWTH = 8  # how much larger than the limit of files an answer may be
_POLL = 0.5  # seconds
_PIECE = 1 << 18  # bytes of an answer
_BLOCK = 512  # rows of a file, after which it can be stopped
_MOST_FILES = 4  # in memory at a time
_PATIENCE = 5.0  # seconds that a file waits for the one before, which may be stopping
FILE_TIMES = 10  # how much longer than others a request with a file may take


class Api:
    """The handlers of `/api/` and of the page."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # One file at a time, beside the batches of other requests.
        self.files = ThreadPoolExecutor(1, thread_name_prefix="file")
        self._slot = asyncio.Lock()  # of the file in progress
        # Its own. A signal sets it, so it must have no lock, as those of `threading` have.
        self._stop = asyncio.Event()
        self._is_stopping = False
        self._in_memory = 0  # files
        self._page = _PAGE.read_text("utf-8")
        self._policy = _policy(self._page)

    def stop(self) -> None:
        """Stops the file in progress, if there is one, and those that wait for it."""
        self._is_stopping = True
        self._stop.set()

    def close(self) -> None:
        """Stops the file in progress, and waits until it has."""
        self.stop()
        self.files.shutdown()

    async def page(self, request: Request) -> Response:
        """Returns the page, which asks this server only."""
        headers = {
            "Content-Security-Policy": self._policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }
        return HTMLResponse(self._page, headers=headers)

    async def models(self, request: Request) -> Response:
        """Lists the versions of each model, with their classes, and the limits of requests."""
        models = [
            {
                "model": name,
                "version": version,
                "class_names": model.predictor.class_names,
                "has_attention": model.predictor.has_attention,
            }
            for name, versions in sorted(self.server.models.items())
            for version, model in sorted(versions.items(), reverse=True)
        ]
        limits = self.server.limits
        shown = ("texts", "characters", "occluded", "file")
        return JSONResponse(
            {"models": models, "limits": {name: getattr(limits, name) for name in shown}}
        )

    async def explain(self, request: Request) -> Response:
        """Answers texts with probabilities, attention and the effects of their tokens.

        The body is `{"texts": [...]}`, with `model` and `version` if there are several, and
        `"effects": false` to leave out what takes longest. The effects of a text with more tokens
        than `Limits.occluded` are null.
        """
        limits = self.server.limits
        asked = _asked(await self.server.body(request, limits.body))
        model = self._model(asked.get("model"), asked.get("version"))
        texts = asked["texts"]
        self.server.check([text.encode() for text in texts])
        request.state.texts = len(texts)
        try:
            async with asyncio.timeout(limits.seconds):
                effects = asked.get("effects", True)
                found = await self._explanations(request, model, texts, effects)
        except TimeoutError:
            raise RequestError(
                504, f"There was no answer within {limits.seconds:g} seconds."
            ) from None
        about = {"model": model.name, "version": model.version}
        return JSONResponse(about | {"explanations": found})

    async def _explanations(
        self, request: Request, model: ServedModel, texts: list[str], with_effects: bool
    ) -> list[dict[str, Any]]:
        submit, predictor = self.server.submit, model.predictor
        signature = "explain" if predictor.has_attention else DEFAULT
        answers = await submit(model, texts, signature)
        found = [predictor.prediction(*pair) for pair in zip(texts, answers, strict=True)]
        if not with_effects:
            return [_rounded(each.to_dict()) for each in found]
        loop = asyncio.get_running_loop()
        occlusion = await loop.run_in_executor(self.server.executor, Occlusion.of, found)
        short = self._short(occlusion)
        asked, most = [found[place] for place in short], self.server.limits.batch
        occlusion = Occlusion(tuple(occlusion.tokens[place] for place in short))
        shorter, probabilities = occlusion.texts(), []
        for start in range(0, len(shorter), most):  # other requests come in between
            if await request.is_disconnected():
                raise ClientDisconnect
            batch = shorter[start : start + most]
            rows = await submit(model, batch, DEFAULT)
            probabilities += [predictor.probabilities(row) for row in rows]
        explained = dict(zip(short, occlusion.explanations(asked, probabilities), strict=True))
        return [
            _rounded(_without_texts(explained[place]))
            if place in explained
            else _rounded(each.to_dict()) | {"effects": None}
            for place, each in enumerate(found)
        ]

    def _short(self, occlusion: Occlusion) -> list[int]:
        """Returns the places of the texts that are short enough for effects."""
        most = self.server.limits.occluded
        lengths = [len(row) for row in occlusion.tokens]
        short = [place for place, length in enumerate(lengths) if length <= most]
        if (total := sum(lengths[place] for place in short)) > 8 * most:
            raise RequestError(
                413,
                f"Expected at most {8 * most} tokens in all for effects. Received: {total}. Send "
                f"fewer texts at a time.",
            )
        return short

    async def batch(self, request: Request) -> Response:
        """Answers a file of texts with the same file and a prediction in each row.

        The body is the file. The query has its `name`, whose ending says what it is, and may have
        `text_column`, `model` and `version`.
        """
        query = request.query_params
        unknown = set(query) - {"name", "text_column", "model", "version"}
        if unknown:
            raise RequestError(400, f"Unknown query parameter: {min(unknown)[:100]}")
        version = query.get("version", "")
        if version and not re.fullmatch(r"[0-9]{1,18}", version):
            raise RequestError(400, f"Expected a number as version. Received: {version[:100]}")
        model = self._model(query.get("model"), int(version) if version else None)
        name = Path(query.get("name", "texts.csv")[-100:]).name
        ending = Path(name).suffix.lower()
        if ending not in (*TABLES, ".txt"):
            raise RequestError(
                400, f"Expected a name ending in {', '.join((*TABLES, '.txt'))}: ?name=reviews.csv"
            )
        busy = "Another file is being classified. Try again in a minute."
        if self._in_memory >= _MOST_FILES:
            raise RequestError(429, busy)
        self._in_memory += 1
        try:
            return await self._classified(request, model, name, ending, busy)
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        self._in_memory -= 1

    async def _classified(
        self, request: Request, model: ServedModel, name: str, ending: str, busy: str
    ) -> Response:
        """Answers a file of a model, once no other is classified; `busy` says that one is.

        The answer, once it is sent, makes room for another file.
        """
        limits = self.server.limits
        seconds = FILE_TIMES * limits.seconds
        body = await self.server.body(request, limits.file, seconds)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._slot.acquire()
        except TimeoutError:
            raise RequestError(429, busy) from None
        self._stop = stop = asyncio.Event()
        if self._is_stopping:
            stop.set()
        text_column = request.query_params.get("text_column", "")
        job = _File(model, body, name, ending, text_column, limits, stop)
        future = asyncio.get_running_loop().run_in_executor(self.files, job.classified)
        future.add_done_callback(lambda _: self._slot.release())
        made = await self._awaited(request, future, stop, seconds)
        request.state.texts = made.rows
        self.server.metrics.texts.inc(made.rows)
        headers = {
            "Content-Disposition": f'attachment; filename="classified{made.ending}"',
            "X-Rows": str(made.rows),
            "X-Rows-Not-Classified": str(made.not_classified),
            "X-Notes": quote(" ".join(made.notes)),
        }
        return _Sent(made.content, FILES[made.ending], headers, self._release)

    async def _awaited(
        self, request: Request, future: asyncio.Future, stop: asyncio.Event, seconds: float
    ) -> _Classified:
        """Waits for a file, and stops it if it takes too long or its client has gone."""
        try:
            async with asyncio.timeout(seconds):
                while not (await asyncio.wait([future], timeout=_POLL))[0]:
                    if await request.is_disconnected():
                        raise ClientDisconnect
        except TimeoutError:
            raise RequestError(504, "The file took too long.") from None
        finally:
            stop.set()
        return future.result()

    def _model(self, name: str | None, version: int | None) -> ServedModel:
        models = self.server.models
        if name is None and len(models) > 1:
            raise RequestError(400, f"Expected a model: one of {', '.join(sorted(models))}.")
        name = next(iter(models)) if name is None else name
        return self.server.model(name, version)


class _Sent(Response):
    """An answer that is sent in pieces, and calls `released` when its client has it or is gone."""

    def __init__(
        self,
        content: bytes,
        media_type: str,
        headers: Mapping[str, str],
        released: Callable[[], None],
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._released = released

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer. The server waits before a piece while the client does not read."""
        try:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start"} | start)
            for place in range(0, len(self.body), _PIECE):
                body = self.body[place : place + _PIECE]
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._released()


class _Stopped(Exception):
    """Nobody waits for a file any more."""


class _Classified(NamedTuple):
    """A file with predictions, and what there is to say of it."""

    content: bytes
    ending: str
    rows: int
    not_classified: int
    notes: list[str]


class _File(NamedTuple):
    """A file of texts that is to be classified."""

    model: ServedModel
    body: bytes
    name: str
    ending: str
    text_column: str
    limits: Limits
    stop: asyncio.Event

    def classified(self) -> _Classified:
        """Classifies the file; one that cannot be read raises a `RequestError`."""
        if self.body.startswith(_GZIP):
            raise RequestError(400, "Expected a file that is not compressed.")
        made = {".tsv": ".tsv", ".tab": ".tsv", ".jsonl": ".jsonl", ".ndjson": ".jsonl"}.get(
            self.ending, ".csv"
        )
        with scratch_folder() as folder:
            path, out = folder / f"file{self.ending}", folder / f"classified{made}"
            path.write_bytes(self.body)
            data = DataConfig(**({"text_column": self.text_column} if self.text_column else {}))
            try:
                table = open_texts(path, data, as_table=bool(self.text_column))
                if len(table.names) > _MOST_COLUMNS:
                    raise RequestError(
                        413,
                        f"Expected at most {_MOST_COLUMNS:,} columns. Received: "
                        f"{len(table.names):,}.",
                    )
                table.block_rows = _BLOCK
                part = out.with_name(f"{out.name}.part")
                rows = score_table(
                    self.model.predictor, table, out,
                    progress=lambda line, lines: self._go_on(part),
                    longest=self.limits.characters,
                )  # fmt: skip
            except (InputError, UsageError) as error:
                message = error.message.replace(str(path), self.name).replace(path.name, self.name)
                if error.setting == "data.text_column":
                    message += " The query names the column: &text_column=NAME"
                raise RequestError(400, message) from None
            except _Stopped:  # or nobody waits for this answer
                raise RequestError(503, "The server is stopping.") from None
            bad, _ = table.counts.pop(NOT_CLASSIFIED, (0, []))
            notes = [note.replace(path.name, self.name) for note in table.notes()]
            return _Classified(out.read_bytes(), made, rows, bad, notes)

    def _go_on(self, part: Path) -> None:
        if self.stop.is_set():
            raise _Stopped
        if part.stat().st_size > _GROWTH * self.limits.file:
            raise RequestError(413, "The answer is too large. Send the file in parts.")


def _asked(body: bytes) -> dict[str, Any]:
    """Reads the body of a request for explanations; what is wrong raises a `RequestError`."""
    asked = parse_object(body)
    if unknown := set(asked) - set(_KEYS):
        raise RequestError(400, f"Unknown key: {min(unknown)[:100]}. Expected: {', '.join(_KEYS)}")
    version = asked.get("version")
    if isinstance(version, float) and version.is_integer():  # JSON's 3.0 is an integer
        asked["version"] = int(version)
    for name, kind in _KEYS.items():
        # True is an int to Python.
        if name in asked and type(asked[name]) is not kind:
            raise RequestError(400, f"Expected {_KINDS[kind]} as {name!r}.")
    texts = asked.get("texts")
    if not texts:
        raise RequestError(400, "Expected a list of texts as 'texts', with one at least.")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise RequestError(400, f"Text {number} is not a string.")
        if not text.strip():
            raise RequestError(400, f"Text {number}: {BLANK}.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RequestError(400, f"Text {number} has half a surrogate pair.") from None
    return asked


def _without_texts(explanation: Explanation) -> dict[str, Any]:
    found = explanation.to_dict()
    del found["without"]
    return found


def _rounded(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an explanation without its text, its shares with six digits."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, _DIGITS)
        if isinstance(value, Mapping):
            return {name: short(each) for name, each in value.items()}
        return [short(each) for each in value] if isinstance(value, list | tuple) else value

    return {name: short(value) for name, value in found.items() if name != "text"}


def _policy(page: str) -> str:
    """Returns the policy that lets a page's own script and style run, and nothing else."""

    def allowed(tag: str) -> str:
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {allowed('script')}; style-src {allowed('style')}; "
        f"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'"
    )
