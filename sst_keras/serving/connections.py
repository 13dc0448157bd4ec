"""Connections to the HTTP server: one that brings no complete request is closed in time."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


class Connection(AutoHTTPProtocol):
    """A connection that is closed if a request line and its headers take more than `seconds`.

    Those of the first request count from the start, those of others from their first byte: between
    requests, uvicorn's shorter `timeout_keep_alive` counts.
    """

    def __init__(self, *args: Any, seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = seconds
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the time."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._seconds, transport.close)

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
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
