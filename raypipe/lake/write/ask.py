"""What one call of a writing method asks for, checked before any work."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.engine.parts import RunOn
    from raypipe.lake.write.fused import Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one call of ``append`` or ``overwrite`` asks for."""

    kind: str
    batch_id: str | None
    if_version: int | None
    allow_empty: bool
    run_on: RunOn
    metadata: Mapping[str, Any]
    attempt: str
    transform: Transform | None = None

    @classmethod
    def of(
        cls,
        kind: str,
        batch_id: str | None,
        if_version: int | None,
        allow_empty: bool,
        run_on: RunOn,
        metadata: Mapping[str, Any] | None,
        transform: Transform | None = None,
    ) -> Ask:
        """A checked request, with a name of its own.

        Raises:
            ConfigError: the batch id, the version, the metadata or the transform is not usable.
        """
        if transform is not None and not callable(transform):
            raise ConfigError("a transform is a function", transform, None, "transform")
        if batch_id is not None:
            app_id(batch_id)
        if if_version is not None and not is_version(if_version):
            raise ConfigError("a version is a whole number", if_version, None, "if_version")
        try:
            noted = dict(metadata or {})
            canonical_json(noted).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError("metadata must be JSON", str(error), None, "metadata") from error
        return cls(
            kind=kind,
            batch_id=batch_id,
            if_version=if_version,
            allow_empty=allow_empty,
            run_on=run_on,
            metadata=noted,
            attempt=uuid.uuid4().hex,
            transform=transform,
        )

    @property
    def app_id(self) -> str | None:
        """The transaction id in the Delta log."""
        return None if self.batch_id is None else app_id(self.batch_id)

    @property
    def batch(self) -> str:
        """What quarantined rows carry as their batch."""
        return self.batch_id if self.batch_id is not None else f"auto-{self.attempt}"

    @property
    def quarantine_prefix(self) -> str:
        """How the names of the batch's quarantine files start, in every attempt."""
        return f"batch-{hashlib.sha256(self.batch.encode()).hexdigest()[:24]}-"


def is_version(value: object) -> bool:
    """Whether a caller's value can be a version at all; -1 is "no table" to ``if_version``."""
    return isinstance(value, int) and not isinstance(value, bool)


def app_id(batch_id: str) -> str:
    """The Delta transaction id of a batch.

    Raises:
        ConfigError: it is not a string of 1 to 500 characters.
    """
    if not isinstance(batch_id, str) or not 0 < len(batch_id) <= 500:
        raise ConfigError(
            "a batch id is a string of 1 to 500 characters", batch_id, None, "batch_id"
        )
    try:
        batch_id.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            "a batch id is no text", ascii(batch_id), "It holds half a character.", "batch_id"
        ) from error
    return f"batch:{batch_id}"
