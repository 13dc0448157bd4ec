"""The options of commands that can use a Ray cluster, and the connection to it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli.options import FiniteRange
from sst_keras.errors import InputError, UsageError
from sst_keras.locks import scratch_folder

if TYPE_CHECKING:
    from sst_keras.engines.ray import Cluster
    from sst_keras.experiments.running import Job

# What a job that sees the same files needs to find them as this process does.
_PLACES = ("SST_KERAS_DATA", "TFDS_DATA_DIR", "XDG_CACHE_HOME", "GENSIM_DATA_DIR")
_OPTIONS = {
    "engine": {
        "type": click.Choice(["local", "ray"]),
        "default": "local",
        "show_default": True,
        "help": "Processes of this machine, or a Ray cluster (pip install 'sst-keras[ray]').",
    },
    "address": {
        "metavar": "HOST:PORT",
        "help": "With ray: the cluster, which this machine has joined by ray start "
        "--address=HOST:PORT; auto: the one that runs here.  [default: one that is started]",
    },
    "cpus": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "With ray: cores of each job.  [default: 1]",
    },
    "gpus": {
        "type": FiniteRange(0, min_open=True),
        "metavar": "N",
        "help": "With ray: GPUs of each job; 0.5 lets two jobs share one.  [default: none]",
    },
    "shared_files": {
        "is_flag": True,
        "help": "With ray: all nodes see the same files, so none are copied to them.",
    },
}


def options(*without: str) -> Callable:
    """Adds the options, whose values are for `check` and `connect`, except for some."""

    def add(command: Callable) -> Callable:
        for name, about in reversed(_OPTIONS.items()):
            if name not in without:
                command = click.option(f"--{name.replace('_', '-')}", name, **about)(command)
        return command

    return add


def check(engine: str, given: Mapping[str, object], other: Mapping[str, object]) -> None:
    """Raises a `UsageError` for options of the engine that is not used, and if Ray is missing.

    Args:
        engine: `local` or `ray`.
        given: Option → value, of those that Ray alone has.
        other: Option → value, of those that it does not have.
    """
    gpus = given.get("gpus") or 1
    if gpus > 1 and gpus != int(gpus):
        raise UsageError(f"expected a whole number, or a share of 1. Received: {gpus}", "gpus")
    needed, unused = ("ray", given) if engine == "local" else ("local", other)
    for name, value in unused.items():
        if value:
            message = f"expected --engine {needed} with this option. Received: {engine}"
            raise UsageError(message, setting=name)
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise UsageError(
            "Ray is not installed. Install it with `pip install 'sst-keras[ray]'`.", "engine"
        )


@contextlib.contextmanager
def connect(
    address: str | None = None,
    cpus: int | None = None,
    gpus: float | None = None,
    shared_files: bool = False,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Connects to a cluster; the arguments are those of `engines.ray.connected`.

    With `shared_files`, jobs run in the present folder, and find data where this process does.
    """
    from sst_keras.engines.ray import NoRoom, NotJoined, connected

    if shared_files:
        environment = {name: os.environ[name] for name in _PLACES if name in os.environ}
    run_in = os.getcwd() if shared_files else ""
    with contextlib.ExitStack() as stack:
        try:
            connection = connected(address, cpus or 1, gpus or 0, folder, environment, run_in)
            cluster = stack.enter_context(connection)
        except ConnectionError as error:
            reason = str(error).strip().splitlines()[0]
            where = f" at {address}" if address else ""
            message = f"there is no Ray cluster{where} to connect to: {reason}"
            raise InputError(message, "address") from None
        except NotJoined:
            place = "HOST:PORT" if address in (None, "auto") else address
            raise InputError(
                f"this machine is no node of the cluster at {place}. Join it by `ray start "
                f"--address={place}`, with --num-cpus=0 to take no jobs, or give the command on "
                f"one of its nodes.",
                "address",
            ) from None
        except NoRoom as error:
            raise UsageError(str(error), "gpus" if gpus else "cpus") from None
        yield cluster


def for_sweep(
    stack: contextlib.ExitStack,
    request: Mapping[str, Any],
    jobs: Sequence[Job],
    data_dir: str | None,
) -> tuple[Cluster, Sequence[Job], str | None]:
    """Connects to a cluster until the stack is closed, with what the jobs of a sweep read.

    Returns the cluster, the jobs as they run there, and the data folder where they run.
    """
    from sst_keras.engines.ray import LARGEST
    from sst_keras.experiments import shipping

    if request["shared_files"]:
        return stack.enter_context(connect(**request)), jobs, data_dir
    jobs = shipping.settle(jobs, data_dir)
    folder = stack.enter_context(scratch_folder())
    shipping.ship(jobs, folder, data_dir, LARGEST)
    connection = connect(**request, folder=folder, environment=shipping.ENVIRONMENT)
    return stack.enter_context(connection), jobs, None
