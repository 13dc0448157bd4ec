"""Connections that bring no request, or half of one."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from functools import partial

import pytest
import uvicorn

from sst_keras.serving import connections
from sst_keras.serving.connections import Connection

SECONDS = 0.4
LARGE = 1 << 24
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHo"
ANSWER = b"HTTP/1.1 200"


async def large(scope, receive, send):
    """Answers at once, with more than fits the buffers of a connection."""
    body = b"x" * LARGE
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    """Answers after more than the seconds that headers may take."""
    await asyncio.sleep(2 * SECONDS)
    headers = [(b"content-length", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x"})


@asynccontextmanager
async def connected(app=app):
    """Yields the two ends of a connection to a server, and when it began."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", http=partial(Connection, seconds=SECONDS)
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        start = time.monotonic()
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        yield reader, writer, start
        writer.close()
        server.should_exit = True
        await serving


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a header"])
def test_a_connection_without_a_request_is_closed(sent):
    async def closed():
        async with connected() as (reader, writer, start):
            for place in range(len(sent)):  # a byte at a time gains nothing
                writer.write(sent[place : place + 1])
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            assert SECONDS <= time.monotonic() - start + 0.01

    asyncio.run(closed())


def test_a_slow_answer_keeps_its_connection_and_half_of_another_request_does_not():
    async def closed():
        async with connected() as (reader, writer, _):
            for _ in range(2):
                writer.write(REQUEST[:9])
                await asyncio.sleep(0.02)
                writer.write(REQUEST[9:])
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\nx"), 20)
                assert answer.startswith(ANSWER)
            start = time.monotonic()
            writer.write(HALF)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            assert SECONDS <= time.monotonic() - start + 0.01 < 4  # less than keeping alive

    asyncio.run(closed())


def test_a_client_that_does_not_read_loses_its_answer(monkeypatch):
    monkeypatch.setattr(connections, "_TIMES", 1)

    async def closed():
        async with connected(large) as (reader, writer, start):
            writer.write(REQUEST)
            await asyncio.wait_for(reader.readexactly(1 << 16), 20)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                while time.monotonic() - start < 8 * SECONDS:  # and reads nothing
                    await asyncio.sleep(SECONDS / 4)
                await reader.readexactly(LARGE)

    asyncio.run(closed())


def test_a_slow_client_gets_its_answer(monkeypatch):
    monkeypatch.setattr(connections, "_TIMES", 4)

    async def read():
        async with connected(large) as (reader, writer, start):
            writer.write(REQUEST)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            left, pieces = LARGE, 0
            while left:
                piece = await asyncio.wait_for(reader.read(1 << 16), 20)
                assert piece, "the connection was closed"
                left, pieces = left - len(piece), pieces + 1
                if pieces < 24:
                    await asyncio.sleep(SECONDS / 3)
            assert time.monotonic() - start > 6 * SECONDS

    asyncio.run(read())
