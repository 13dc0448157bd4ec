"""The command line: `sst-keras COMMAND`. Each command has a file, which parses, calls and prints.

Nothing heavy is imported here or at the top of a command's file, so that `--help` is quick: the
commands import TensorFlow, gensim and matplotlib when they run.
"""

import importlib
import logging
import os
import sys

import click

import sst_keras
from sst_keras.cli.terminal import VisibleFormatter
from sst_keras.controls import visible
from sst_keras.errors import InputError
from sst_keras.registration import check_backend

COMMANDS = (
    "train", "reproduce", "search", "report", "evaluate", "plot", "export", "predict", "explain",
    "runs", "serve", "pipelines", "data", "vectors", "pretrain", "label", "ensemble",
)  # fmt: skip
# With KERAS_BACKEND, these compute with JAX or PyTorch. The others run graphs of TensorFlow.
ANY_BACKEND = ("train", "reproduce", "search", "evaluate")
# Where a group of commands leaves the name of the command that runs, for error messages.
SUBCOMMAND = "sst_keras.subcommand"


class LazyGroup(click.Group):
    """A group that imports a command's file when the command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the commands in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Returns the command `name` from `sst_keras.cli.<name>`; None if there is none."""
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"sst_keras.cli.{name}"), name)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command. An error that the user can fix becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            failure = click.ClickException(visible(self._message(ctx, error)))
            failure.exit_code = error.exit_code
            raise failure from error
        except BrokenPipeError:  # the reader of our output is gone; click ends quietly
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(visible(f"{where}{error.strerror or error}")) from error
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
            ctx.exit(130)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            raise click.ClickException(
                "the memory is full. Use smaller batches (training.batch_size, data.batch_tokens) "
                "or a smaller model (model.units)."
            ) from error

    def _message(self, ctx: click.Context, error: InputError) -> str:
        """Returns the error's message with the command's option in place of its setting."""
        command = self.get_command(ctx, ctx.invoked_subcommand)
        if isinstance(command, click.Group):
            command = command.get_command(ctx, ctx.meta[SUBCOMMAND])
        for param in command.params:
            if param.name == error.setting.rpartition(".")[2]:
                is_option = isinstance(param, click.Option)
                return f"{param.opts[0]}: {error.message}" if is_option else error.message
        return str(error)


def _is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error of Python, NumPy or TensorFlow, if it is loaded, says so."""
    tensorflow = sys.modules.get("tensorflow")
    is_of_tensorflow = tensorflow and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    return isinstance(error, MemoryError) or bool(is_of_tensorflow)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
@click.version_option(sst_keras.__version__, prog_name="sst-keras")
def main(ctx: click.Context) -> None:
    """Train, evaluate, plot, export and use fine-grained sentiment classifiers.

    \b
    sst-keras train                                 an LSTM with attention on SST-5
    sst-keras train mlp --dataset reviews.csv       a small model on your own reviews
    sst-keras predict RUN "Not a bad film at all."  the prediction of a trained model
    """
    if ctx.invoked_subcommand not in ANY_BACKEND:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    check_backend()
    handler = logging.StreamHandler()  # standard error, as it is when the command runs
    handler.setFormatter(VisibleFormatter("%(message)s"))
    log = logging.getLogger("sst_keras")
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
