"""The console for progress. Results go to standard output, everything else to standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Returns a console on standard error."""
    from rich.console import Console

    return Console(stderr=True)
