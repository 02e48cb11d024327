"""Every error that raypipe raises, in one tree.

RaypipeError
├── ConfigError (ValueError)             a setting or an argument is not usable
│   └── MissingPartError (ImportError)   an optional package is not installed
├── SourceError                          data that was to be read
│   ├── SourceNotFoundError (FileNotFoundError)
│   ├── EmptySourceError (ValueError)    a source without a row
│   └── MalformedSourceError (ValueError)
├── SchemaError (ValueError)             a column missing, unknown or of another type
├── ExpectationError (ValueError)        rows broke an expectation with on_fail="fail"
├── LakeError
│   ├── LakeAccessError (PermissionError)
│   ├── TableNotFoundError (LookupError)
│   ├── VersionNotFoundError (LookupError)
│   └── CommitConflictError              another writer came first (retryable)
├── RecipeError (ValueError)             a recipe that cannot be built, fitted, loaded or applied
├── TrainingError
│   ├── ResourceError                    the cluster can never hold the workers asked for
│   └── RunNotFoundError (LookupError)
├── RegistryError
│   ├── ModelNotFoundError (LookupError)
│   ├── GateError (ValueError)           a candidate did not pass its gate
│   └── IntegrityError                   stored bytes are not the bytes that were registered
├── ServingError
│   ├── RequestError (ValueError)        a request that cannot be answered (HTTP 4xx)
│   ├── PortInUseError
│   └── ServiceUnavailableError          no answer in time (retryable)
├── MonitorError
└── EngineError (RuntimeError)           Ray could not be started, joined or reached
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Fault = Literal["user", "system"]


class RaypipeError(Exception):
    """The root of the tree.

    All arguments are positional and are the exception's ``args``: that is what lets an error cross
    a Ray process boundary and still be caught by its own class.

    Args:
        what: what failed, in one clause.
        got: the value that was met, already safe to print (never a secret).
        act: what to do next.
        field: the column, setting or request field at fault, when there is one.
    """

    fault: ClassVar[Fault] = "user"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        what: str,
        got: object | None = None,
        act: str | None = None,
        field: str | None = None,
    ) -> None:
        shown = None if got is None else got if isinstance(got, str) else repr(got)
        super().__init__(what, shown, act, field)
        self.what = what
        self.got = shown
        self.act = act
        self.field = field

    def __str__(self) -> str:
        parts = [self.what]
        if self.got is not None:
            parts.append(f"got {self.got}")
        message = ": ".join(parts)
        return f"{message}. {self.act}" if self.act else message

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.what, self.got, self.act, self.field))


def may_pass(error: BaseException) -> bool:
    """Whether the same call, tried again, may do better: not if what it was given was refused."""
    refused = isinstance(error, RaypipeError) and error.fault == "user" and not error.retryable
    return not refused


class ConfigError(RaypipeError, ValueError):
    """A setting or an argument is not usable; nothing was done."""


class MissingPartError(ConfigError, ImportError):
    """An optional package is not installed; the message holds the command that installs it."""


class SourceError(RaypipeError):
    """Data that was to be read could not be."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """A path does not exist or a glob matches nothing."""


class EmptySourceError(SourceError, ValueError):
    """A source holds no row where at least one was expected."""


class MalformedSourceError(SourceError, ValueError):
    """A file does not parse; the message names the file, the line and the reason."""


class SchemaError(RaypipeError, ValueError):
    """A column is missing, unknown or of another type than the table's."""


class ExpectationError(RaypipeError, ValueError):
    """Rows broke an expectation whose ``on_fail`` is ``"fail"``; nothing was committed."""


class LakeError(RaypipeError):
    """The lake could not do what was asked."""


class LakeAccessError(LakeError, PermissionError):
    """The lake's root cannot be read or written."""


class TableNotFoundError(LakeError, LookupError):
    """No table of this name has been written."""


class VersionNotFoundError(LakeError, LookupError):
    """The table has no such version."""


class CommitConflictError(LakeError):
    """Another writer committed first and the work must be decided again."""

    fault: ClassVar[Fault] = "system"
    retryable = True


class RecipeError(RaypipeError, ValueError):
    """A recipe cannot be built, fitted, loaded or applied."""


class TrainingError(RaypipeError):
    """Training did not finish; what was done is kept and the same call goes on."""

    fault: ClassVar[Fault] = "system"
    retryable = True


class ResourceError(TrainingError):
    """The cluster can never hold the workers that were asked for."""

    fault: ClassVar[Fault] = "user"
    retryable = False


class RunNotFoundError(TrainingError, LookupError):
    """No run of this id was started in this lake."""

    fault: ClassVar[Fault] = "user"
    retryable = False


class RegistryError(RaypipeError):
    """The registry could not do what was asked."""


class ModelNotFoundError(RegistryError, LookupError):
    """No model, version or alias of this name."""


class GateError(RegistryError, ValueError):
    """A candidate did not pass its gate; it was not registered."""


class IntegrityError(RegistryError):
    """Stored bytes are not the bytes that were registered."""

    fault: ClassVar[Fault] = "system"


class ServingError(RaypipeError):
    """The service could not be deployed or did not answer."""

    fault: ClassVar[Fault] = "system"


class RequestError(ServingError, ValueError):
    """A request that cannot be answered; ``status`` is the HTTP status (400 to 499).

    Args:
        what: what failed.
        got: the value met.
        act: what would be accepted.
        field: the feature or parameter at fault.
        status: the HTTP status.
    """

    fault: ClassVar[Fault] = "user"

    def __init__(
        self,
        what: str,
        got: object | None = None,
        act: str | None = None,
        field: str | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(what, got, act, field)
        self.args = (*self.args, status)
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.what, self.got, self.act, self.field, self.status))


class PortInUseError(ServingError):
    """The port is taken by a process that is not this service."""

    fault: ClassVar[Fault] = "user"


class ServiceUnavailableError(ServingError):
    """The service did not answer in time."""

    fault: ClassVar[Fault] = "system"
    retryable = True


class MonitorError(RaypipeError):
    """The monitor could not be started or does not run."""


class EngineError(RaypipeError, RuntimeError):
    """Ray could not be started, joined or reached."""

    fault: ClassVar[Fault] = "system"
