"""Versions, gates, and what is in service."""

from raypipe.registry.gates import Gate, GateCheck, GateReport
from raypipe.registry.registry import Registry
from raypipe.registry.state import Event, ModelState
from raypipe.registry.version import ModelVersion

__all__ = ["Event", "Gate", "GateCheck", "GateReport", "ModelState", "ModelVersion", "Registry"]
