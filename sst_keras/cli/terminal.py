"""What the commands print. Texts that others wrote can do nothing to the terminal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from sst_keras.controls import visible

if TYPE_CHECKING:
    from rich.text import Text


def say(text: object, **style: Any) -> None:
    """Prints a text without control characters, in one style. The arguments are `click.secho`'s."""
    click.secho(visible(str(text)), **style)


def cell(text: str) -> Text:
    """Returns a text for one of rich's tables, without control characters and markup."""
    from rich.text import Text

    return Text(visible(text))


class VisibleFormatter(logging.Formatter):
    """Formats a message for the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the message without control characters."""
        return visible(super().format(record))
