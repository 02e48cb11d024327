"""The flights loop that ``raypipe demo`` runs, written only in public names."""

from raypipe.demo.loop import run_demo
from raypipe.demo.summary import Summary

__all__ = ["Summary", "run_demo"]
