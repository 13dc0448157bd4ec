"""The server under load: many clients against one, and more than it can answer.

    python benchmarks/serving.py EXPORT [--clients 64] [--seconds 30]

It starts `sst-keras serve`, and asks it over loopback, in this process: the clients share the cores
with the server. Each answer is checked against the same text's answer without a server.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click
import records


@dataclass
class Client:
    """A connection that asks one text after the other."""

    port: int
    texts: list[str]
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    wrong: int = 0

    async def ask(self, expected: dict[str, int], until: float, start: int) -> None:
        """Asks until a time, by `time.perf_counter`, and checks the labels."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        number = start
        while time.perf_counter() < until:
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
                self.wrong += answer["predictions"][0]["label"] != expected[text]
        writer.close()


async def load(
    port: int, clients: int, seconds: float, texts: list[str], expected: dict[str, int]
) -> list[Client]:
    """Returns the clients after they have asked for some seconds."""
    found = [Client(port, texts) for _ in range(clients)]
    until = time.perf_counter() + seconds
    await asyncio.gather(
        *(client.ask(expected, until, 37 * place) for place, client in enumerate(found))
    )
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
def main(export: str, clients: int, seconds: float) -> None:
    """Measure one client, many, and an overload."""
    from sst_keras.corpora import load_corpus
    from sst_keras.serving.prediction import Predictor
    from sst_keras.settings import DataConfig

    split = load_corpus(DataConfig(dataset="auto")).test
    texts = [" ".join(split.texts.row(row)) for row in range(min(len(split), 500))]
    answers = Predictor.load(export).answers(texts, "serving_default")
    expected = {text: int(each["label"]) for text, each in zip(texts, answers, strict=True)}
    measured, folder = {}, Path(tempfile.mkdtemp())
    server, port = start(export, folder / "log")
    try:
        for name, number in (("one", 1), ("many", clients)):
            found = asyncio.run(load(port, number, seconds, texts, expected))
            measured[name] = summary(found, seconds)
    finally:
        code = stop(server)
    quarter = str(clients // 4)
    server, port = start(export, folder / "log", "--queue", quarter, "--batch", quarter)
    try:
        found = asyncio.run(load(port, clients, seconds / 3, texts, expected))
        measured["overload"] = summary(found, seconds / 3)
        started = time.perf_counter()
        after = asyncio.run(load(port, 1, 1.0, texts, expected))
        measured["after"] = summary(after, time.perf_counter() - started)
    finally:
        stop(server)
    record = records.append(
        "serving", ("keras", "starlette", "tensorflow", "uvicorn"), seconds=seconds,
        exit_code=code, many_over_one=measured["many"]["requests_per_second"]
        / measured["one"]["requests_per_second"], **measured,
    )  # fmt: skip
    click.echo(json.dumps({name: record[name] for name in ("many_over_one", *measured)}, indent=1))


if __name__ == "__main__":
    main()
