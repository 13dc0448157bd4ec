"""Connections to the HTTP server that are closed in time if their clients do nothing."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

try:
    import fcntl
    import termios
except ModuleNotFoundError:  # Windows
    fcntl = termios = None

# A client has to read so many bytes of an answer in so many times `seconds`. What it has read can
# be seen in steps only, of up to half a megabyte.
_LEAST, _TIMES = 1 << 16, 10


class Connection(AutoHTTPProtocol):
    """A connection that is closed if a request line and its headers take more than `seconds`.

    Those of the first request count from the start, those of others from their first byte: between
    requests, uvicorn's shorter `timeout_keep_alive` counts. A client that hardly reads its answer
    loses it: otherwise, closing would wait for it, with what is unsent in memory.
    """

    def __init__(self, *args: Any, seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._watcher: asyncio.TimerHandle | None = None
        self._before: tuple[object, int, int] = (None, 0, 0)
        self._resumed = 0  # how often writing went on

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the time."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._seconds, transport.close)
        self._watcher = self.loop.call_later(_TIMES * self._seconds, self._watch)

    def resume_writing(self) -> None:
        """Notes that the client reads."""
        self._resumed += 1
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Stops the time while a request is answered, and starts it if another has begun."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._seconds, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop()
        if self._watcher is not None:
            self._watcher.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        request, resumed, unsent = self._before
        self._before = (self.cycle, self._resumed, self._unread())
        is_same = self.cycle is request and self._resumed == resumed and unsent
        if is_same and self._before[2] > max(unsent - _LEAST, 0):
            self.transport.abort()
        else:
            self._watcher = self.loop.call_later(_TIMES * self._seconds, self._watch)

    def _unread(self) -> int:
        """Returns how many bytes of an answer the client has not taken yet."""
        size = self.transport.get_write_buffer_size()
        if size and termios:  # the system has more, which it passes on in large pieces
            handle = self.transport.get_extra_info("socket").fileno()
            with suppress(OSError):
                held = fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4))
                size += int.from_bytes(held, sys.byteorder)
        return size

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
