"""Exceptions for errors that the user can act on, as few kinds as possible.

Every message says what is wrong, in which file and line or frame, and what to do. The command line prints
only the message and exits with :attr:`AqakitError.exit_code`; a traceback means a bug in aqakit.
"""


class AqakitError(Exception):
    """Base class: a mistake or a limit that the user can act on."""

    exit_code = 1


class OptionError(AqakitError):
    """An option, a name or a combination of settings that does not exist or is invalid."""

    exit_code = 2


class DataError(AqakitError):
    """A data set, an annotation file or a recorded signal that cannot be used as it is."""


class VideoError(AqakitError):
    """A video that cannot be read, or too little of it to be scored."""


class WeightsError(AqakitError):
    """A weights file or a checkpoint that does not match the model, is damaged or cannot be trusted."""


class RunError(AqakitError):
    """A run folder that is missing, unfinished or of other settings."""


class TimeLimitError(AqakitError):
    """The time that was given is over; the same command goes on where it stopped."""

    exit_code = 75
