"""The command line: `sst-keras COMMAND`. One command a file; each parses, calls, and prints.

Nothing heavy is imported here or at the top of a command's file, so that `--help` is quick:
TensorFlow, gensim and matplotlib are imported by the commands that need them, when they run.
"""

from __future__ import annotations

import importlib
import logging
import os

import click

import sst_keras
from sst_keras.errors import InputError

COMMANDS = (
    "train",
    "reproduce",
    "report",
    "evaluate",
    "plot",
    "export",
    "predict",
    "runs",
    "pipelines",
    "data",
    "vectors",
)


class LazyGroup(click.Group):
    """A group that imports a command's file when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Returns the command `name` from `sst_keras.cli.<name>`; None if there is none."""
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"sst_keras.cli.{name}"), name)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; what the user can mend becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            failure = click.ClickException(str(error))
            failure.exit_code = error.exit_code
            raise failure from error
        except BrokenPipeError:  # the reader of our output has had enough; click ends quietly
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            ctx.exit(130)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(sst_keras.__version__, prog_name="sst-keras")
def main() -> None:
    """Train, evaluate, plot, export and use five-class sentiment classifiers.

    \b
    sst-keras train                                 the report's best model, on SST-5
    sst-keras train mlp --dataset reviews.csv       on your own reviews
    sst-keras predict RUN "Not a bad film at all."  what a trained model says of a text
    """
    # Before TensorFlow is imported: its start-up messages say nothing to a user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    handler = logging.StreamHandler()  # standard error, as it is when the command runs
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("sst_keras")
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
