"""Rebuilding a version from its manifest, to prove that nothing else went into it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.training.trainer import rebuild

if TYPE_CHECKING:
    from raypipe.registry import ModelVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """The outcome of a rebuild.

    Attributes:
        registered: SHA-256 of the registered booster.
        rebuilt: SHA-256 of the rebuilt one.
        promised: whether equal bytes are promised: not of a loop of your own, nor where the number
            of workers could change on the way.
        differing_packages: packages whose version is not the manifest's, with both; another
            version of XGBoost or polars may well give other bytes.
    """

    registered: str
    rebuilt: str
    differing_packages: dict[str, tuple[str, str]]
    promised: bool = True

    @property
    def identical(self) -> bool:
        """Whether the two boosters are equal, byte for byte."""
        return self.registered == self.rebuilt

    def __str__(self) -> str:
        said = "the same bytes" if self.identical else "other bytes"
        if not self.promised:
            said += "; the run did not promise them"
        packages = self.differing_packages.items()
        changed = [f"{name} {then} → {now}" for name, (then, now) in packages]
        return f"{said} (packages differ: {', '.join(changed)})" if changed else said


def reproduce(version: ModelVersion) -> Reproduction:
    """Trains a version again from its manifest and compares the bytes; registers nothing.

    Raises:
        IntegrityError: the stored version is not the one that was registered.
        VersionNotFoundError: a table version that the manifest names is gone.
        TrainingError: the rebuild did not finish.
        ConfigError: it names a loop that this process does not trust, or that is not what it was.
    """
    manifest = version.manifest
    run = rebuild(version.registry.lake, manifest, attempt=uuid.uuid4().hex)
    now, then = run.bundle.manifest["packages"], manifest["packages"]
    return Reproduction(
        registered=version.bundle.content_hash,
        rebuilt=run.bundle.content_hash,
        promised=bool(manifest.get("reproducible", True)),
        differing_packages={
            name: (then[name], now.get(name, "none"))
            for name in then
            if then[name] != now.get(name)
        },
    )
