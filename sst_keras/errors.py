"""What goes wrong by what the user gave: the errors that the command line prints in one line."""


class InputError(ValueError):
    """A file or a text that was given cannot be used as it is.

    The message names the thing, what was expected, what came, and what to do next. The command
    line prints it without a traceback and exits with `exit_code`.
    """

    exit_code = 1


class UsageError(InputError):
    """The call itself is wrong: an unknown name, a missing path, a setting out of range."""

    exit_code = 2
