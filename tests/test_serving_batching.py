"""Requests that come at the same time, with a model that waits for its turn."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sst_keras.serving.batching import Batcher
from sst_keras.serving.rest import RequestError


class Slow:
    """A model that waits for its turn, and keeps the batches that it was given."""

    def __init__(self):
        self.batches, self.turn = [], threading.Event()

    def __call__(self, texts, signature):
        self.batches.append((list(texts), signature))
        assert self.turn.wait(10)
        return [{"said": text} for text in texts]


def run(test):
    """Runs a test with a slow model and one thread for it."""

    async def inside():
        model = Slow()
        with ThreadPoolExecutor(1) as executor:
            try:
                return await test(model, executor)
            finally:
                model.turn.set()

    return asyncio.run(inside())


def test_what_waits_is_computed_together():
    async def test(model, executor):
        batcher = Batcher(model, executor, most=3, wait=0)
        first = asyncio.create_task(batcher.submit([b"a"], "x", 5))
        while not model.batches:
            await asyncio.sleep(0.001)
        waiting = {b"b": "x", b"c": "y", b"d e": "x", b"f": "x"}
        others = [
            asyncio.create_task(batcher.submit(texts.split(), signature, 5))
            for texts, signature in waiting.items()
        ]
        await asyncio.sleep(0.01)
        assert batcher.waiting == 5
        model.turn.set()
        answers = await asyncio.gather(first, *others)
        assert [[each["said"] for each in answer] for answer in answers] == [
            [b"a"], [b"b"], [b"c"], [b"d", b"e"], [b"f"],
        ]  # fmt: skip
        assert model.batches == [
            ([b"a"], "x"), ([b"b", b"d", b"e"], "x"), ([b"c"], "y"), ([b"f"], "x"),
        ]  # fmt: skip
        assert batcher.waiting == 0

    run(test)


def test_too_many_texts_and_too_long_waits_are_refused():
    async def test(model, executor):
        batcher = Batcher(model, executor, most=1, wait=0, capacity=2)
        first = asyncio.create_task(batcher.submit([b"a"], "x", 5))
        while not model.batches:
            await asyncio.sleep(0.001)
        late = asyncio.create_task(batcher.submit([b"b", b"c"], "x", 0.05))
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError, match="2 texts are waiting already") as caught:
            await batcher.submit([b"d"], "x", 5)
        assert caught.value.status == 429
        with pytest.raises(RequestError, match="no answer within 0.05 seconds") as caught:
            await late
        assert caught.value.status == 504
        model.turn.set()
        assert await first == [{"said": b"a"}]
        assert await batcher.submit([b"e"], "x", 5) == [{"said": b"e"}]  # it has recovered
        assert [texts for texts, _ in model.batches] == [[b"a"], [b"e"]]  # b, c: nobody waits

    run(test)


def test_what_was_accepted_is_answered_before_the_end():
    async def test(model, executor):
        batcher = Batcher(model, executor, most=1, wait=0)
        accepted = [asyncio.create_task(batcher.submit([text], "x", 5)) for text in (b"a", b"b")]
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.01)
        with pytest.raises(RequestError, match="stopping") as caught:
            await batcher.submit([b"c"], "x", 5)
        assert caught.value.status == 503
        model.turn.set()
        await closing
        assert [await answer for answer in accepted] == [[{"said": b"a"}], [{"said": b"b"}]]

    run(test)


def test_an_idle_server_waits_a_moment_for_others():
    async def test(model, executor):
        model.turn.set()
        batcher = Batcher(model, executor, most=8, wait=0.05)
        await asyncio.gather(*(batcher.submit([b"a"], "x", 5) for _ in range(3)))
        assert len(model.batches) == 1

    run(test)
