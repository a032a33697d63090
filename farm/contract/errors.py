"""The farm's one tree of errors.

    FarmError                      anything the farm says no to; `exit_code` is the CLI's
    ├── PermanentError             trying again changes nothing
    │   ├── InvalidInput           the user's words or files are off               exit 2
    │   │   ├── InvalidParameter   a parameter outside its range
    │   │   ├── InvalidClip        the clip can't be used
    │   │   ├── InvalidStyle       the style can't be used
    │   │   └── UnknownVersion     written by another version of the farm
    │   ├── JobNotFound            no job of that name                             exit 3
    │   ├── InvalidTransition      a state change its table does not have          exit 1
    │   ├── JobFailed              the job ended `failed` or `canceled`            exit 4
    │   ├── WeightsMismatch        this worker has other weights than the spec     exit 5
    │   ├── FilmMismatch           the film read back is not the film written      exit 6
    │   │   └── SegmentsDiffer     its segments were encoded by different releases
    │   └── AccessDenied           the store or Redis refuses our credentials      exit 7
    ├── RetryableError             the same call may go through later
    │   ├── StoreUnavailable       the S3 server does not answer                   exit 8
    │   ├── LedgerUnavailable      Redis does not answer                           exit 8
    │   ├── ObjectNotFound         the key is not in the store (yet)               exit 1
    │   ├── CorruptObject          bytes read do not have the SHA-256 written      exit 1
    │   ├── FrameDamaged           a stored frame is lost, or another one          exit 1
    │   ├── DecoderFailed          a decoder crashed, hung or took too much        exit 2
    │   ├── MachineFault           a full or broken disk, or no memory left        exit 1
    │   ├── TaskStuck              a task showed no sign of life                   exit 1
    │   ├── StackError             a part of the private farm did not start        exit 9
    │   └── WaitTimeout            waited as long as asked, not done yet           exit 10
    └── Interrupted                stopped on request; not a failure, uses up no attempt
        ├── LeaseLost              another executor holds the task now
        ├── JobCanceled            the job was canceled
        ├── JobPaused              the job was paused
        └── ShuttingDown           this process was asked to end

Messages say what, the actual value, and the cure. Facts are attributes too, for programs. They may quote names from
anywhere, so a message is one printable line whatever was in them.
"""

from __future__ import annotations


class FarmError(Exception):
    """Anything the farm says no to. `str(error)` is one line: what, the value, the cure."""

    exit_code = 1

    def __init__(self, message: str, **facts: object) -> None:
        self.message = message if message.isprintable() else _printable(message)
        super().__init__(self.message)
        self.facts = facts

    def __getattr__(self, name: str) -> object:
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuilt, (type(self), self.message, self.facts))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))


def _rebuilt(kind: type[FarmError], message: str, facts: dict[str, object]) -> FarmError:
    return kind(message, **facts)


class PermanentError(FarmError):
    """Trying again changes nothing."""


class RetryableError(FarmError):
    """The same call may go through later."""


class Interrupted(FarmError):
    """Stopped on request: not a failure, and it uses up no attempt."""


class InvalidInput(PermanentError):
    """The user's words or files can't be used."""

    exit_code = 2


class InvalidParameter(InvalidInput):
    """A parameter is outside its range. Facts: `name`, `value`."""


class InvalidClip(InvalidInput):
    """The clip can't be used. Facts: `path`."""


class InvalidStyle(InvalidInput):
    """The style can't be used. Facts: `path` or `name`."""


class UnknownVersion(InvalidInput):
    """Written by another version of the farm. Facts: `found`, `known`."""


class JobNotFound(PermanentError):
    """No job of that name. Facts: `job`."""

    exit_code = 3


class InvalidTransition(PermanentError):
    """A state change that its transition table does not have. Facts: `before`, `after`."""


class JobFailed(PermanentError):
    """The job ended without a film. Facts: `job`, `state`."""

    exit_code = 4


class WeightsMismatch(PermanentError):
    """This worker's weights are not those the spec names. Facts: `backbone`, `wanted`, `found`."""

    exit_code = 5


class FilmMismatch(PermanentError):
    """The film read back is not the film that was written. Facts: `path`."""

    exit_code = 6


class SegmentsDiffer(FilmMismatch):
    """A film's segments were encoded by different releases: they can't be joined. Facts: `frames`."""


class AccessDenied(PermanentError):
    """The store or Redis refuses our credentials."""

    exit_code = 7


class StoreUnavailable(RetryableError):
    """The S3 server does not answer, or answers with a server error. Facts: `endpoint`."""

    exit_code = 8


class LedgerUnavailable(RetryableError):
    """Redis does not answer. Facts: `url` (without its password)."""

    exit_code = 8


class ObjectNotFound(RetryableError):
    """The key is not in the store (yet). Facts: `key`."""


class CorruptObject(RetryableError):
    """The bytes read do not have the SHA-256 they were written with. Facts: `key`."""


class DecoderFailed(RetryableError):
    """The process that decoded a clip or a picture crashed, hung, or took more than it may. Facts: `path`."""

    exit_code = 2


class MachineFault(RetryableError):
    """This machine's disk is full or broken, or its memory is used up. Facts: `path`, `errno`."""


class FrameDamaged(RetryableError):
    """A stored frame is missing, is no picture, or is not the one its maker's manifest names.

    Facts: `frame` (its number), `key`, `stored` (a `farm.contract.messages.StoredFrame` as text).
    """


class TaskStuck(RetryableError):
    """A task showed no sign of life, and its process was ended. Facts: `task`, `silent_s`."""


class StackError(RetryableError):
    """A part of the private farm did not start or end. Facts: `part`, `log`."""

    exit_code = 9


class WaitTimeout(RetryableError):
    """Waited as long as asked; the job goes on. Facts: `job`, `timeout_s`."""

    exit_code = 10


class LeaseLost(Interrupted):
    """Another executor holds the task now. Facts: `job`, `task`."""


class JobCanceled(Interrupted):
    """The job was canceled. Facts: `job`."""


class JobPaused(Interrupted):
    """The job was paused. Facts: `job`."""


class ShuttingDown(Interrupted):
    """This process was asked to end."""
