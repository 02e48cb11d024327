"""One line that changes while a long job runs: in a terminal and in a notebook, nowhere else."""

from __future__ import annotations

import contextlib
import sys
from html import escape
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def live_line(out: TextIO | None = None) -> Iterator[Callable[[str], None]]:
    """Gives a function that shows a line in the place of the one before; it is gone at the end.

    In a terminal it is below the cursor with a spinner, in a notebook in the cell's output. In a
    file, in a pipe and in the log of a job nothing is written.

    Args:
        out: where a terminal may be; by default the standard error.
    """
    out = sys.stderr if out is None else out
    if (shell := _notebook()) is not None:
        with _in_cell(shell) as say:
            yield say
    elif out.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(file=out).status("") as status:
            yield lambda text: status.update(Text(text))
    else:
        yield lambda _: None


def _notebook() -> Any:
    """IPython's display module in a kernel, else None; it imports nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return sys.modules.get("IPython.display") if hasattr(shell, "kernel") else None


@contextlib.contextmanager
def _in_cell(display: Any) -> Iterator[Callable[[str], None]]:
    handle = display.display(display.HTML(""), display_id=True)

    def say(text: str) -> None:
        handle.update(display.HTML(f"<pre>{escape(text)}</pre>"))

    try:
        yield say
    finally:
        handle.update(display.HTML(""))


def eta(done: int, total: int, seconds: float) -> str:
    """What is left at the pace so far, in words: ``"about 2 min left"``; empty while unknown."""
    if done < 1 or done >= total:
        return ""
    left = seconds / done * (total - done)
    return f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left"
