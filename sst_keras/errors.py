"""Errors that the user can mend. The command line prints each on one line, without a traceback."""


class InputError(ValueError):
    """A file, text or setting that was given cannot be used.

    The message names the thing, what was expected, what was received, and what to do next.

    Args:
        message: The message.
        setting: The setting or argument at fault, such as `data.dataset` or `run_dir`. It opens
            the message; the command line puts the option of that setting in its place.

    Attributes:
        message: The message without the setting.
        setting: The setting; empty if the error is about none.
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
