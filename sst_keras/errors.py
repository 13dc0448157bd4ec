"""Errors that the user can fix. The command line prints each on one line, without a traceback."""


class InputError(ValueError):
    """A file, text or setting that was given cannot be used.

    The message names the thing, what was expected, what was received, and what to do next.

    Attributes:
        message: The message without the setting.
        setting: The setting or argument at fault, such as `data.dataset` or `run_dir`; empty if
            there is none. It opens the error's text. The command line replaces it by its option.
        exit_code: The exit code of a command that fails with this error.
    """

    exit_code = 1

    def __init__(self, message: str, setting: str = "") -> None:
        super().__init__(f"{setting}: {message}" if setting else message)
        self.message = message
        self.setting = setting


class UsageError(InputError):
    """The call itself is wrong: an unknown name, a missing path, a setting out of range."""

    exit_code = 2


def in_one_line(error: Exception) -> str:
    """Returns what an error of another package says, on one line that is not too long."""
    return " ".join(str(error).split())[:300]
