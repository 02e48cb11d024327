"""One version of a model, as the registry gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, IntegrityError
from raypipe.core.identity import content_hash
from raypipe.core.markup import html_facts
from raypipe.models import ModelBundle

if TYPE_CHECKING:
    from raypipe.registry.registry import Registry
    from raypipe.registry.state import Event


class ModelVersion:
    """One version of a model: immutable files, and its place in the registry."""

    def __init__(self, registry: Registry, name: str, version: int, event: Event) -> None:
        self.registry = registry
        self.name = name
        self.version = version
        self.run_id = event.run_id
        self.registered_at = event.at
        self.tags: dict[str, Any] = dict(event.detail.get("tags", {}))
        self.gate: dict[str, Any] = dict(event.detail.get("gate", {}))
        self.hash: str = event.detail["hash"]
        self._path: str = event.detail["path"]
        self._manifest_hash: str = event.detail["manifest"]
        self._bundle: ModelBundle | None = None

    @property
    def bundle(self) -> ModelBundle:
        """The model with its recipe and manifest, read once and held against its hashes.

        Raises:
            IntegrityError: the stored files are not those that were registered.
        """
        if self._bundle is None:
            files = self.registry.lake.files
            bundle = ModelBundle.from_files(lambda file: files.get(f"{self._path}/{file}"))
            if content_hash(bundle.manifest) != self._manifest_hash:
                raise IntegrityError(
                    f"the manifest of {self.name} version {self.version} is not the registered one",
                    f"in {self._path}",
                    "Restore it from a backup, or register the run again.",
                )
            self._bundle = bundle
        return self._bundle

    @property
    def manifest(self) -> dict[str, Any]:
        """What the version was made of."""
        return self.bundle.manifest

    @property
    def metrics(self) -> dict[str, float | None]:
        """Figures on the run's validation rows."""
        return dict(self.manifest.get("metrics", {}))

    def predict(self, data: Any) -> Any:
        """See ``ModelBundle.predict``."""
        return self.bundle.predict(data)

    def promote(self, *, cause: str | None = None) -> ModelVersion:
        """Puts this version into service; see ``Registry.promote``."""
        self.registry.promote(self.name, self.version, cause=cause)
        return self

    def rollback(self) -> ModelVersion:
        """Takes this version out of service, back to the one before it.

        Raises:
            ConfigError: this version is not in service.
            RegistryError: there is no earlier one.
        """
        champion = self.registry.champion(self.name)
        if champion is None or champion.version != self.version:
            raise ConfigError(
                f"version {self.version} of {self.name} is not in service",
                f"version {champion.version}" if champion else "none",
            )
        return self.registry.rollback(self.name, expected=self.version)

    def __repr__(self) -> str:
        return f"ModelVersion({self.name!r}, {self.version}, hash={self.hash[:12]})"

    def _repr_html_(self) -> str:
        champion = self.registry.champion(self.name)
        serving = champion is not None and champion.version == self.version
        facts = {
            "registered": self.registered_at,
            "in service": "yes" if serving else "no",
            "run": self.run_id,
            "model": self.hash[:12],
            **{name: f"{v:.4f}" for name, v in self.metrics.items() if v is not None},
            **{f"tag {name}": value for name, value in self.tags.items()},
        }
        return html_facts(facts, f"{self.name}, version {self.version}")
