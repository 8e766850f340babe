"""Errors that a user can act on: each names the thing, the value and the cure."""


class TenfoldError(Exception):
    """Base of all errors that end a command with one sentence and exit code 2."""


class RecipeError(TenfoldError):
    """A recipe is unknown, malformed, or asks for something impossible."""


class SourceError(TenfoldError):
    """The source of raw data cannot be read or is not what the challenge expects."""


class StoreError(TenfoldError):
    """A store entry is missing, incomplete or does not match its manifest."""


class LeakError(TenfoldError):
    """Samples that belong together were found on both sides of a fold."""


class TrainingError(TenfoldError):
    """Training cannot start, go on, or produced values that are not finite."""


class CodecError(TenfoldError):
    """A run-length code is malformed; the message says what is wrong with it."""


class SubmissionError(TenfoldError):
    """A submission breaks a rule of its competition."""


class Rejected(TenfoldError):  # noqa: N818 - a verdict, reported as data
    """One sample is unusable; ingest quarantines it, or stops when strict.

    Attributes:
        file: name of the offending file, relative to the source.
        reason: what is wrong with it, in words.
        meant: the recipe leaves it out, so that it is no fault.
    """

    def __init__(self, file: str, reason: str, meant: bool = False) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason
        self.meant = meant
