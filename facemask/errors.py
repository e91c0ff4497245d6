"""The one error that means "the input is wrong", as opposed to "the program is"."""


class InputError(ValueError):
    """Wrong input from the user: a file, an option or a shape.

    The message is one sentence that says what was given, what was expected and what to do.
    The command line prints it without a traceback and exits with status 2.
    """
