"""A bar on standard error for what takes minutes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sst_keras.cli.terminal import say
from sst_keras.controls import visible


@contextmanager
def bar(
    describe: Callable[[int, int], str], unit: str = ""
) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that takes how much is done, of how much, and moves a bar.

    The bar appears with the first call and goes at the end. `describe` returns the words before it.
    If standard error is no terminal, each new description is a line instead. With a `unit`, the bar
    shows how many are done per second.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        *([TextColumn("{task.fields[rate]}", markup=False)] if unit else []),
    )
    shown = ""
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", visible=False, rate="")

        def move(done: int, size: int) -> None:
            nonlocal shown
            description = describe(done, size)
            if not console.is_terminal and description != shown:
                say(f"{description} ...", err=True)
            shown = description
            progress.update(
                task, description=visible(description), completed=done, total=size, visible=True
            )
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:,.0f} {unit}/s" if speed else "")

        yield move
