"""Requests that come at the same time are answered together, in one batch."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from sst_keras.serving.rest import RequestError


class _Waiting(NamedTuple):
    texts: Sequence[bytes]
    signature: str
    answer: asyncio.Future


class Batcher:
    """Collects the texts of requests, and calls a function with up to `most` of them at a time.

    While a batch is computed, the next one collects. If it is idle, a batch waits for `wait`
    seconds for others to join. A request is never split.

    Attributes:
        waiting: The number of texts that are not being answered yet.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[bytes], str], list[dict[str, Any]]],
        executor: Executor,
        most: int = 64,
        wait: float = 0.001,
        capacity: int = 1024,
        seen: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._answer, self._executor, self._seen = answer, executor, seen
        self.most, self.wait, self.capacity = most, wait, capacity
        self.waiting = 0
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task | None = None
        self._is_closed = False

    async def submit(
        self, texts: Sequence[bytes], signature: str, seconds: float
    ) -> list[dict[str, Any]]:
        """Returns the answers for the texts of a request, in order.

        Raises:
            RequestError: 429 if too many texts are waiting, 503 if the server is stopping, 504 if
                there is no answer within `seconds`.
        """
        if self._is_closed:
            raise RequestError(503, "The server is stopping.")
        if self.waiting and self.waiting + len(texts) > self.capacity:
            raise RequestError(
                429, f"{self.waiting} texts are waiting already. Try again in a second."
            )
        future = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(texts, signature, future))
        self.waiting += len(texts)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            raise RequestError(504, f"There was no answer within {seconds:g} seconds.") from None

    async def close(self) -> None:
        """Refuses further requests, and answers those that were accepted."""
        self._is_closed = True
        if self._task:
            await self._task

    async def _work(self) -> None:
        """Answers batches until nothing waits."""
        if self.wait and self.waiting < self.most:
            await asyncio.sleep(self.wait)
        while self._queue:
            batch = self._take()
            if batch:
                await self._run(batch)
        self._task = None

    def _take(self) -> list[_Waiting]:
        """Takes the next requests of one signature, without those that nobody waits for."""
        batch: list[_Waiting] = []
        size, left = 0, deque[_Waiting]()
        while self._queue:
            request = self._queue.popleft()
            if request.answer.done():  # it took too long
                self.waiting -= len(request.texts)
            elif batch and (
                request.signature != batch[0].signature or size + len(request.texts) > self.most
            ):
                left.append(request)
            else:
                batch.append(request)
                size += len(request.texts)
        self._queue = left
        self.waiting -= size
        return batch

    async def _run(self, batch: Sequence[_Waiting]) -> None:
        texts = [text for request in batch for text in request.texts]
        self._seen(len(texts))
        loop = asyncio.get_running_loop()
        try:
            answers = iter(
                await loop.run_in_executor(self._executor, self._answer, texts, batch[0].signature)
            )
        except Exception as error:  # the model's; each of its clients is told
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        for request in batch:
            own = [next(answers) for _ in request.texts]
            if not request.answer.done():
                request.answer.set_result(own)
