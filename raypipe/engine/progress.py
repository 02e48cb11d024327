"""One line for each stage of a long job: what it was, how long it took, what came of it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

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

        _stages.append(stage)
        try:
            with Console(file=self.out).status(stage.name):
                yield
        finally:
            _stages.remove(stage)


_stages: list[Stage] = []
"""Stages that have a live line now: another one beside it would garble both."""


class Line:
    """One line that says how far something is, drawn over itself.

    In a terminal and in a notebook it is drawn; in a file, in the log of a job and beneath a live
    stage it is quiet. It is gone when it ends.

    Args:
        out: where a terminal may be.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._display: Any = None
        self._notebook = _in_notebook()
        self._width = 0

    @property
    def quiet(self) -> bool:
        """Whether nobody would see it."""
        return bool(_stages) or not (self._notebook or self._out.isatty())

    def say(self, text: str) -> None:
        """Draws the text in the place of what was said before."""
        if self.quiet:
            return
        if self._notebook:
            from IPython.display import Pretty, display

            if self._display is None:
                self._display = display(Pretty(text), display_id=True)
            else:
                self._display.update(Pretty(text))
            return
        room = shutil.get_terminal_size().columns - 1
        shown = text[:room]
        print("\r" + shown.ljust(self._width), end="", file=self._out, flush=True)
        self._width = len(shown)

    def close(self) -> None:
        """Wipes the line."""
        if self._display is not None:
            from IPython.display import Pretty

            self._display.update(Pretty(""))
        elif self._width:
            print("\r" + " " * self._width + "\r", end="", file=self._out, flush=True)
        self._display, self._width = None, 0


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    now = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return now is not None and type(now).__name__ == "ZMQInteractiveShell"


def time_left(done: int, total: int, seconds: float) -> str:
    """What is left at the pace so far, in words: ``"about 2 min left"``; empty while unknown."""
    if done < 1 or done >= total:
        return ""
    left = seconds / done * (total - done)
    return f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left"
