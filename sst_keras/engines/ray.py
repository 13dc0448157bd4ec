"""Runs jobs on a Ray cluster: on other machines, or on several nodes of this one.

Ray is an extra: `pip install 'sst-keras[ray]'`. It is imported when a cluster is connected.
"""

import logging
import os
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sst_keras.engines.local import JobError, cores, threads
from sst_keras.errors import InputError
from sst_keras.registration import check_backend

Job = TypeVar("Job")
Result = TypeVar("Result")

_RETRIES = 3  # times that a job starts again after its node or its process died
_ACTORS_OF_A_READER = 8  # which reads faster than these predict
_POLL_SECONDS = 1.0  # how long Ctrl-C may wait
_PATIENCE = 60.0  # seconds that jobs wait for a node, if none has room for them any more
_NOT_JOINED = "No node info found matching attributes"  # what Ray says then
LARGEST = 450_000_000  # bytes of files that Ray takes to its nodes; it refuses 500 MiB


class NoRoom(Exception):
    """No node of a cluster has what a job needs."""


class NotJoined(Exception):
    """This machine is no node of the cluster."""


@dataclass(frozen=True)
class Cluster:
    """A connected Ray cluster, and what each job gets of it.

    Attributes:
        nodes: The number of its nodes.
        slots: How many jobs run at a time.
        cpus: Cores of a job.
        gpus: GPUs of a job; a half means that two jobs share one.
        folder: The folder that jobs run in, by a path that is good on all nodes; "" for that of
            their processes.
    """

    nodes: int
    slots: int
    cpus: int
    gpus: float
    folder: str = ""

    def run(
        self, jobs: Iterable[Job], work: Callable[[Job], Result]
    ) -> Iterator[tuple[Job, Result | JobError]]:
        """Yields each job with its result, or with a `JobError`, in the order in which they end.

        Each job runs in a new process. If that process or its node dies, the job starts again
        elsewhere, up to three times. An exception ends it at once. All jobs end when the iterator
        is closed, on Ctrl-C, and when this process ends, even if it is killed.

        Args:
            jobs: The jobs. They, `work` and the results are pickled.
            work: Does a job. Every node can import the module that defines it.

        Raises:
            InputError: If all nodes that have room for a job are lost.
        """
        import ray

        # A process that has used TensorFlow keeps its memory, so each job has its own.
        task = ray.remote(max_calls=1, max_retries=_RETRIES, num_cpus=self.cpus)(_do)
        if self.gpus:
            task = task.options(num_gpus=self.gpus)
        running = {task.remote(work, job, self.folder): job for job in jobs}
        started, room = time.perf_counter(), _Room(ray, self.cpus, self.gpus)
        try:
            while running:
                ended, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                room.check(bool(ended))
                for reference in ended:
                    job = running.pop(reference)
                    try:
                        result, error, seconds = ray.get(reference)
                    except ray.exceptions.RayError as failure:
                        error = _reason(failure)
                        seconds = time.perf_counter() - started
                    yield job, JobError(error, seconds) if error else result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def flow(
        self,
        items: Sequence[Any],
        read: Callable[[Any], Iterator[dict[str, Any]]],
        actor: type,
        arguments: tuple,
    ) -> Iterator[dict[str, Any]]:
        """Yields what actors make of what is read from some items, in no order.

        Ray Data reads a few items at a time, and keeps what waits for an actor within bounds. If a
        node dies, another redoes its work. A process that dies is restarted, up to three times.

        Args:
            items: Things to read, such as the names of files. They are pickled.
            read: Yields what is in an item: dictionaries of numbers, strings and bytes.
            actor: A class. Each actor makes an instance of it, and calls that with one dictionary
                at a time. It returns another one.
            arguments: Those of the class.

        Raises:
            InputError: If an actor raises an exception, or its process dies too often, or all nodes
                that have room for an actor are lost.
        """
        import ray
        from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy, from_items
        from ray.exceptions import RayError

        if not items:
            return
        context = DataContext.get_current()
        context.enable_progress_bars = False
        # Each dictionary is a block of its own, so that the actors share them evenly.
        context.target_max_block_size = 1
        context.raise_original_map_exception = True  # where this Ray knows it
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        packed = [{"item": pickle.dumps(item)} for item in items]
        reading = from_items(packed, override_num_blocks=len(packed)).flat_map(
            lambda row: read(pickle.loads(row["item"])),
            num_cpus=0,  # all cores are the actors'
            compute=TaskPoolStrategy(size=1 + self.slots // _ACTORS_OF_A_READER),
        )
        resources = {"num_cpus": self.cpus} | ({"num_gpus": self.gpus} if self.gpus else {})
        pool = ActorPoolStrategy(min_size=1, max_size=self.slots)
        done = reading.map(
            actor,
            fn_constructor_args=arguments,
            compute=pool,
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
            **resources,
        )
        room = _Room(ray, self.cpus, self.gpus)
        try:
            for row in _awaited(done.iter_rows):
                room.check(row is not None)
                if row is not None:
                    yield row
        except RayError as error:
            raise InputError(f"the cluster stopped: {_reason(error)}") from None
        finally:
            # Else Ray's thread goes on until the connection ends, and complains of that. Ray has
            # no public call for this, and before the first row it has no executor to stop.
            if executor := getattr(done, "_current_executor", None):
                executor.shutdown(force=False)


@dataclass
class _Room:
    """Watches whether a node has what a job needs."""

    ray: Any
    cpus: int
    gpus: float
    seen: float = field(default_factory=time.perf_counter)

    def check(self, is_moving: bool) -> None:
        """Raises an `InputError` if no job has ended and no node has had room for too long."""
        if is_moving or _slots(self.ray, self.cpus, self.gpus):
            self.seen = time.perf_counter()
        elif time.perf_counter() - self.seen > _PATIENCE:
            raise InputError(
                f"the cluster has lost its nodes: for {_PATIENCE:g} s, none has had {self.cpus} "
                f"cores and {self.gpus:g} GPUs for a job. Start a node, and give the same command "
                f"again."
            )


def _awaited(rows: Callable[[], Iterable[dict[str, Any]]]) -> Iterator[dict[str, Any] | None]:
    """Yields rows, which a thread awaits, and None for each time that has passed without one."""
    found: queue.Queue = queue.Queue(1)
    has_ended, is_left = object(), threading.Event()

    def put(item: object) -> None:
        while not is_left.is_set():
            with suppress(queue.Full):
                found.put(item, timeout=_POLL_SECONDS)
                return

    def read() -> None:
        try:
            for row in rows():
                put(row)
                if is_left.is_set():
                    return
            put(has_ended)
        except SystemExit:  # by which Ray ends a thread whose connection is lost
            put(InputError("the cluster stopped: its connection ended."))
        except BaseException as error:
            put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                item = found.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                item = None
            if item is has_ended:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_left.set()


@contextmanager
def connected(
    address: str | None = None,
    cpus: int = 1,
    gpus: float = 0,
    folder: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    run_in: str = "",
) -> Iterator[Cluster]:
    """Connects to a cluster for as long as the context lasts.

    Args:
        address: That of the cluster, such as `10.0.0.1:6379`, or `auto` for the one that this
            machine is part of; None starts one on this machine. This machine must have joined the
            cluster.
        cpus: Cores of each job. TensorFlow has the threads that the local engine gives it.
        gpus: GPUs of each job.
        folder: A folder that every node gets a copy of, once. Jobs run in it.
        environment: Variables of the jobs' environment.
        run_in: Another folder that jobs run in, if all nodes have it.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
        ConnectionError: If there is no cluster at the address, or one of another version.
        NotJoined: If this machine is no node of the cluster at the address.
        NoRoom: If no node has what a job needs.
        UsageError: If `KERAS_BACKEND` names what is not known or not installed here.
    """
    # What Ray would tell its makers, and lines that it prints about itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray would start a job that takes too much memory again without end.
    os.environ.setdefault("RAY_task_oom_retries", str(_RETRIES))
    # A thread of Ray's that outlives the connection would start a cluster.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    import ray

    # A cluster that runs already has the environment of those who started it.
    variables = threads(cpus) | {"KERAS_BACKEND": check_backend()}
    # Ray's processes have many threads, and glibc keeps what each has freed for that one: actors
    # that predict grew from 0.6 to 0.9 GB.
    variables["MALLOC_ARENA_MAX"] = str(1 + cpus)
    if not gpus:
        variables["CUDA_VISIBLE_DEVICES"] = "-1"  # Ray leaves all GPUs to jobs that ask for none
    setting: dict[str, Any] = {"env_vars": variables | dict(environment or {})}
    if folder:
        setting["working_dir"] = str(folder)
    try:
        try:
            ray.init(
                # Without any, Ray would take a cluster that runs here by chance.
                address=address or "local",
                num_cpus=None if address else cores(),  # Ray counts those of the whole machine
                runtime_env=setting,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (RuntimeError, ValueError) as error:  # other versions; a malformed address
            if _NOT_JOINED in str(error):
                raise NotJoined(address) from None
            raise ConnectionError(str(error)) from None
        yield _described(ray, cpus, gpus, run_in)
    finally:
        ray.shutdown()


def _nodes(ray: Any) -> list[dict[str, float]]:
    """Returns what each node has that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _slots(ray: Any, cpus: int, gpus: float) -> int:
    """Returns how many jobs the nodes have room for, if there are no others."""
    slots = 0
    for resources in _nodes(ray):
        fits = resources.get("CPU", 0) // cpus
        if gpus:
            fits = min(fits, resources.get("GPU", 0) / gpus + 1e-6)  # 1 // 0.2 is 4
        slots += int(fits)
    return slots


def _described(ray: Any, cpus: int, gpus: float, run_in: str) -> Cluster:
    nodes, slots = _nodes(ray), _slots(ray, cpus, gpus)
    if not slots:
        largest = max((resources.get("CPU", 0) for resources in nodes), default=0)
        most = max((resources.get("GPU", 0) for resources in nodes), default=0)
        raise NoRoom(
            f"no node has {cpus} cores and {gpus:g} GPUs. The largest has {largest:g} cores and "
            f"{most:g} GPUs."
        )
    return Cluster(len(nodes), slots, cpus, gpus, run_in)


def _reason(failure: BaseException) -> str:
    """Returns what Ray's error is about, in a line."""
    # Ray Data gives some errors a cause that says nothing.
    while str(cause := getattr(failure, "cause", None) or failure.__cause__ or ""):
        failure = cause
    lines = str(failure).strip().splitlines() or [""]
    if "its creation task" in lines[0]:  # then the trace of the actor's exception follows
        return lines[-1]
    return f"{type(failure).__name__}: {lines[0]}"


def _do(work: Callable[[Job], Result], job: Job, folder: str) -> tuple[Result | None, str, float]:
    """Does a job; returns its result, or the text of its exception, and the seconds."""
    started = time.perf_counter()
    try:
        if folder:
            os.chdir(folder)
        return work(job), "", time.perf_counter() - started
    except Exception as error:
        return None, f"{type(error).__name__}: {error}", time.perf_counter() - started
