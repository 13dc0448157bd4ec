"""The server under load: many clients against one, and more than it can answer.

    python benchmarks/serving.py EXPORT [--clients 64] [--seconds 30] [--requests 100000]

It starts `sst-keras serve`, and asks it over loopback, in this process: the clients share the cores
with the server. Each answer is checked against the same text's answer without a server. With
`--requests`, the memory of the server is measured over so many of them.

A wrong answer, or a status that is not expected, is exit code 1.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import records

TOLERANCE = 1e-5  # of a probability
FIRST = 10_000  # requests, after which the memory of the server should not grow
CLIENTS = 64  # that measure the memory
RECOVERY = 30.0  # seconds, after which it has failed

Expected = Mapping[str, np.ndarray]  # text → probabilities


@dataclass
class Client:
    """A connection that asks one text after the other."""

    port: int
    texts: list[str]
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    wrong: int = 0

    async def ask(self, expected: Expected, go_on: Callable[[], bool], start: int) -> None:
        """Asks while it may go on, and checks the probabilities."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        number = start
        while go_on():
            text = self.texts[number % len(self.texts)]
            number += 1
            body = json.dumps({"instances": [text]}).encode()
            started = time.perf_counter()
            writer.write(
                b"POST /v1/models/model:predict HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(re.search(r"content-length: (\d+)", head, re.IGNORECASE)[1])
            answer = json.loads(await reader.readexactly(length))
            self.milliseconds.append(1000 * (time.perf_counter() - started))
            status = int(head.split()[1])
            self.statuses[status] += 1
            if status == 200:
                (found,) = answer["predictions"]
                difference = np.abs(np.subtract(found["probabilities"], expected[text])).max()
                self.wrong += not difference <= TOLERANCE
        writer.close()


async def load(
    port: int, clients: int, texts: list[str], expected: Expected, go_on: Callable[[], bool]
) -> list[Client]:
    """Returns the clients after they have asked while they may go on."""
    found = [Client(port, texts) for _ in range(clients)]
    await asyncio.gather(
        *(client.ask(expected, go_on, 37 * place) for place, client in enumerate(found))
    )
    return found


def for_seconds(seconds: float) -> Callable[[], bool]:
    """Returns a function that is true for some seconds."""
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() < until


def times(number: int) -> Callable[[], bool]:
    """Returns a function that is true a number of times."""
    left = iter(range(number))
    return lambda: next(left, None) is not None


async def recovery(port: int, texts: list[str], expected: Expected) -> float:
    """Returns the seconds until the first answer that is no refusal, at most `RECOVERY`."""
    started, client = time.perf_counter(), Client(port, texts)
    end = started + RECOVERY
    await client.ask(expected, lambda: not client.statuses[200] and time.perf_counter() < end, 0)
    return time.perf_counter() - started


def memory_of(process: int) -> dict[str, int]:
    """Returns the bytes of memory that a process has, and had at most, on Linux."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return {
        name: 1024 * int(re.search(rf"{field}:\s+(\d+) kB", status)[1])
        for name, field in (("resident", "VmRSS"), ("peak", "VmHWM"))
    }


def memory(
    server: subprocess.Popen, port: int, requests: int, texts: list[str], expected: Expected
) -> dict:
    """Returns the server's memory after the first requests, and after all of them."""
    first = min(requests, FIRST)
    clients = asyncio.run(load(port, CLIENTS, texts, expected, times(first)))
    before = memory_of(server.pid)
    clients += asyncio.run(load(port, CLIENTS, texts, expected, times(requests - first)))
    found = summary(clients, 1.0)
    return {
        "requests": requests, "first": first, "first_bytes": before,
        "last_bytes": memory_of(server.pid), "statuses": found["statuses"], "wrong": found["wrong"],
    }  # fmt: skip


def failures(measured: dict[str, dict]) -> list[str]:
    """Returns what went wrong: wrong answers, and statuses other than 200, or 429 if overloaded."""
    found = []
    for name, each in measured.items():
        allowed = {"200", "429"} if name == "overload" else {"200"}
        if each["wrong"]:
            found.append(f"{name}: {each['wrong']} wrong answers")
        if others := {*each["statuses"]} - allowed:
            found.append(f"{name}: status {', '.join(sorted(others))}")
        if name == "overload" and "429" not in each["statuses"]:
            found.append("overload: no request was refused")
        if each.get("recovery_seconds", 0) >= RECOVERY:
            found.append(f"{name}: no answer within {RECOVERY:.0f} s after it")
    return found


def summary(clients: list[Client], seconds: float) -> dict:
    """Returns requests per second, milliseconds, statuses, and how many answers were wrong."""
    times = sorted(time for client in clients for time in client.milliseconds)
    statuses = sum((client.statuses for client in clients), Counter())
    return {
        "clients": len(clients),
        "requests_per_second": statuses[200] / seconds,
        "p50_ms": statistics.median(times),
        "p99_ms": times[int(0.99 * len(times))],
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "wrong": sum(client.wrong for client in clients),
    }


def start(export: str, log: Path, *options: str) -> tuple[subprocess.Popen, int]:
    """Starts the server with its log in a file; returns it and its port, once it answers."""
    command = [sys.executable, "-m", "sst_keras", "serve", f"model={export}", "--port", "0"]
    with log.open("w") as file:
        server = subprocess.Popen([*command, *options], stderr=file)
    while server.poll() is None:
        time.sleep(0.1)
        text = log.read_text("utf-8")
        if "Ready." in text:
            return server, int(re.search(r"http://[\d.]+:(\d+)/v1", text)[1])
    raise click.ClickException(f"The server did not start: {log.read_text('utf-8')}")


def stop(server: subprocess.Popen) -> int:
    """Ends the server as an operator does; returns its exit code."""
    server.send_signal(signal.SIGTERM)
    return server.wait(60)


@click.command()
@click.argument("export")
@click.option("--clients", default=64, show_default=True)
@click.option("--seconds", default=30.0, show_default=True)
@click.option("--requests", default=0, help="Measure the memory over so many, too.")
def main(export: str, clients: int, seconds: float, requests: int) -> None:
    """Measure one client, many, and an overload of four times what the server takes at once."""
    from sst_keras.corpora import load_corpus
    from sst_keras.serving.prediction import Predictor
    from sst_keras.settings import DataConfig

    split = load_corpus(DataConfig(dataset="auto")).test
    texts = [" ".join(split.texts.row(row)) for row in range(min(len(split), 500))]
    answers = Predictor.load(export).answers(texts, "serving_default")
    expected = {text: each["probabilities"] for text, each in zip(texts, answers, strict=True)}
    gc.freeze()  # or the clients would pause for full collections, as the server would
    measured, folder = {}, Path(tempfile.mkdtemp())
    server, port = start(export, folder / "log")
    try:
        for name, number in (("one", 1), ("many", clients)):
            found = asyncio.run(load(port, number, texts, expected, for_seconds(seconds)))
            measured[name] = summary(found, seconds)
        if requests:
            measured["memory"] = memory(server, port, requests, texts, expected)
    finally:
        code = stop(server)
    # A batch is computed while a queue waits: each takes an eighth of the clients.
    eighth = str(max(clients // 8, 1))
    server, port = start(export, folder / "log", "--queue", eighth, "--batch", eighth)
    try:
        found = asyncio.run(load(port, clients, texts, expected, for_seconds(seconds / 3)))
        measured["overload"] = summary(found, seconds / 3)
        measured["overload"]["recovery_seconds"] = asyncio.run(recovery(port, texts, expected))
    finally:
        stop(server)
    record = records.append(
        "serving", ("keras", "starlette", "tensorflow", "uvicorn"), seconds=seconds,
        exit_code=code, many_over_one=measured["many"]["requests_per_second"]
        / measured["one"]["requests_per_second"], **measured,
    )  # fmt: skip
    click.echo(json.dumps({name: record[name] for name in ("many_over_one", *measured)}, indent=1))
    if found := failures(measured):
        raise click.ClickException("; ".join(found))


if __name__ == "__main__":
    main()
