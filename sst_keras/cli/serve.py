"""`sst-keras serve`: exported models behind HTTP."""

import gc
import ipaddress
import logging
import socket
from functools import partial
from typing import Any

import click

from sst_keras.cli.options import FiniteRange
from sst_keras.errors import UsageError
from sst_keras.runs import SMALL

log = logging.getLogger(__name__)

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.argument("models", metavar="[NAME=]RUN|EXPORT|FOLDER...", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8501, show_default=True,
    help="The port; 0 for any free one.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(1), default=64, show_default=True,
    help="The most texts that are computed together. An idle server waits 1 ms for others.",
)  # fmt: skip
@click.option(
    "--queue", type=click.IntRange(1), default=4096, show_default=True,
    help="The most texts that wait; more are answered with 429.",
)  # fmt: skip
@click.option(
    "--seconds", type=FiniteRange(0.001), default=30.0, show_default=True,
    help="Time that a request may take; a file may take ten times as long. Slower ones get 504.",
)  # fmt: skip
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME",
    help="Another name of this server, such as a proxy's, whose pages may ask it.",
)  # fmt: skip
def serve(
    models: tuple[str, ...],
    host: str,
    port: int,
    batch: int,
    queue: int,
    seconds: float,
    names: tuple[str, ...],
) -> None:
    """Answer requests over HTTP as TensorFlow Serving does, and show a page.

    Each place is a RUN, an EXPORT, a folder with numbered versions, or a folder of such folders.
    Without one, it is the small model that ships with this package.

    \b
    POST /v1/models/NAME:predict           {"instances": ["Not bad."]}
    GET  /v1/models/NAME, .../metadata     versions and signatures
    POST /api/explain                      {"texts": ["Not bad."]}
    POST /api/batch?name=reviews.csv       a file, and back with predictions
    GET  /healthz, /metrics, /openapi.json
    GET  /                                 a page to try the models with

    It listens on this machine only, unless --host says otherwise. There is no authentication and
    no encryption: to give others access, put a reverse proxy in front. On SIGTERM or Ctrl-C it
    finishes the requests it has accepted, then exits. A file in progress is abandoned. The access
    log, on standard error, has no texts.
    """
    try:
        import uvicorn

        from sst_keras.serving.connections import Connection
        from sst_keras.serving.server import Limits, create_app
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the server needs {error.name}. Install it with `pip install 'sst-keras[serve]'`."
        ) from None
    from sst_keras.serving.registry import find_models

    # With another protocol number, asyncio would not turn off Nagle's algorithm: 40 ms for each
    # answer.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    address = _address(host, port, *kind)
    found = find_models(models or (SMALL,))
    limits = Limits(batch=batch, queue=queue, seconds=seconds)
    # Without this, a page of another site could take the name of this machine.
    is_loopback = ipaddress.ip_address(address).is_loopback
    hosts = {host, address, *_LOOPBACK} if is_loopback or names else ()
    app = create_app(found, limits, hosts, names)
    app.state.server.load()  # before the port is taken: a damaged model is an error of the command
    # Bound here, so that a port that is taken is one line, and the one that is free is known.
    with socket.socket(*kind) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
        except OSError as error:
            message = f"cannot listen on {host}:{port}: {error.strerror or error}."
            raise UsageError(message, setting="port") from None
        port = listening.getsockname()[1]
        for name, versions in found.items():
            numbers = ", ".join(map(str, sorted(versions)))
            where = f"[{host}]" if ":" in host else host
            log.info(f"{name}, version {numbers}: http://{where}:{port}/v1/models/{name}:predict")
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="on",
            limit_concurrency=limits.connections, timeout_graceful_shutdown=int(seconds) + 1,
            http=partial(Connection, seconds=limits.seconds), ws="none",
        )  # fmt: skip
        server = uvicorn.Server(config)
        end = server.handle_exit

        def stop(*received: Any) -> None:  # a file would take until the end of the grace period
            app.state.server.api.stop()
            end(*received)

        server.handle_exit = stop
        # The objects of TensorFlow and of the models live as long as the server. Each full garbage
        # collection would visit them all, for a quarter of a second in which nothing is answered.
        gc.collect()
        gc.freeze()
        server.run(sockets=[listening])


def _address(host: str, *about: int) -> str:
    """Returns the IP address of a host, which may be spelled in many ways, as `LOCALHOST`."""
    try:
        return socket.getaddrinfo(host, *about)[0][4][0]
    except (OSError, UnicodeError) as error:
        message = f"expected an address or name of this machine. Received: {host!r} ({error})."
        raise UsageError(message, setting="host") from None
