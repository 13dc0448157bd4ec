"""Runs jobs in processes on this machine, each with its own share of the cores.

On a CPU, two small models finish sooner side by side on one core each than one after the other on
both cores.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class JobError(RuntimeError):
    """Why a job has no result after these `seconds`: its exception, or how its process ended."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def cores() -> int:
    """Returns the number of cores that this process may use; a container may have few."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def threads(share: int) -> dict[str, str]:
    """Returns the variables that give TensorFlow its threads, for a share of so many cores.

    The LSTM layer is fastest with two operations at a time, each on half of the cores. Sums are
    rounded by the number of threads, so every engine takes them from here.
    """
    return {
        "TF_NUM_INTEROP_THREADS": str(min(2, share)),
        "TF_NUM_INTRAOP_THREADS": str(max(1, share // 2)),
    }


@dataclass(frozen=True)
class Machine:
    """This machine, which runs up to `slots` jobs at a time, each on its share of the cores.

    The shares do not depend on the number of jobs, so that those that are left of a stopped
    command have the results that they would have had.
    """

    slots: int

    @property
    def cpus(self) -> int:
        """The cores of each job."""
        return max(1, cores() // self.slots)

    def run(
        self, jobs: Iterable[Job], work: Callable[[Job], Result]
    ) -> Iterator[tuple[Job, Result | JobError]]:
        """As the function `run`."""
        return run(jobs, work, self.slots)


def run(
    jobs: Iterable[Job], work: Callable[[Job], Result], processes: int = 1
) -> Iterator[tuple[Job, Result | JobError]]:
    """Yields each job with its result, or with a `JobError`, in the order in which they end.

    Each job runs in a new process, so it should take many seconds. If that process dies, for
    example for lack of memory, only its job fails. All processes end when the iterator is closed,
    on Ctrl-C, and when this process ends, even if it is killed.

    Args:
        jobs: The jobs. They, `work` and the results are pickled.
        work: Does a job. The module that defines it is imported before the process is limited to
            its cores, so it must not import TensorFlow at its top.
        processes: How many jobs run at a time. Where the system supports it, each has a share of
            the cores. With more jobs than cores, the jobs without a core may use all.
    """
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    waiting, free = deque(jobs), _shares(processes)
    running: dict[Connection, tuple] = {}
    try:
        while waiting or running:
            while waiting and free:
                job, share = waiting.popleft(), free.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_do, args=(sender, work, job, share), daemon=True)
                process.start()
                sender.close()  # the end of the process is now the end of the pipe
                running[receiver] = process, job, share, time.perf_counter()
            for receiver in wait(list(running)):
                process, job, share, started = running[receiver]
                try:
                    result, error = receiver.recv()
                except (EOFError, OSError):
                    process.join()
                    result, error = None, f"the process ended with code {process.exitcode}"
                _end(process)
                del running[receiver]
                free.append(share)
                yield job, JobError(error, time.perf_counter() - started) if error else result
    finally:
        for process, *_ in running.values():
            _end(process)


def _shares(processes: int) -> list[list[int]]:
    """Returns each process's cores; an empty list allows all."""
    if not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(processes)]
    available = sorted(os.sched_getaffinity(0))
    return [available[number::processes] for number in range(processes)]


def _end(process: multiprocessing.process.BaseProcess) -> None:
    process.kill()
    process.join()


def _do(sender: Connection, work: Callable[[Job], Result], job: Job, share: list[int]) -> None:
    """Does a job and sends its result, or the text of its exception, which always pickles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if share:
        os.sched_setaffinity(0, share)
    try:
        sender.send((work(job), ""))
    except Exception as error:
        sender.send((None, f"{type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
