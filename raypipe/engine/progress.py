"""One line for each stage of a long job: what it was, how long it took, what came of it."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Stage:
    """A stage that runs; ``detail`` is what its line says at the end."""

    name: str
    detail: str = ""

    def say(self, detail: str) -> None:
        """Sets what the stage's line ends with, such as ``"336,776 rows"``."""
        self.detail = detail


@dataclass(slots=True)
class Progress:
    """Prints stages as they end, and remembers their times.

    In a terminal the running stage has a live line with a spinner. In a notebook, in a file and in
    the log of a job each stage is one plain line, printed when it ends.

    Example:
        >>> progress = Progress(sys.stdout)
        >>> with progress.stage("ingest") as stage:
        ...     stage.say("12 rows")  # doctest: +ELLIPSIS
        ✓ ingest                    ... s  12 rows

    Attributes:
        seconds: seconds by stage, in the order in which they began.
    """

    out: TextIO = field(default_factory=lambda: sys.stderr)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Runs a stage; an error passes through, after a line that says where it came.

        A name that comes again adds to the seconds of the first.
        """
        stage = Stage(name)
        begin = time.perf_counter()
        mark = "✗"
        try:
            with self._live(stage):
                yield stage
            mark = "✓"
        finally:
            took = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            line = f"{mark} {name:<22} {took:7.1f} s  {stage.detail}".rstrip()
            print(line, file=self.out, flush=True)

    @contextlib.contextmanager
    def _live(self, stage: Stage) -> Iterator[None]:
        if not self.out.isatty():
            yield
            return
        from rich.console import Console

        with Console(file=self.out).status(stage.name):
            yield
