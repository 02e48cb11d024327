"""A bet that may begin at any window: how an e-process finds a change that comes late.

A bet placed from the first row on has to make up for every quiet week before the change. So the
capital is spread over the windows at which the change may begin: a share w(s) = 1/((s+1)(s+2)) is
staked from window s on, and the shares of windows to come lie idle as 1/(t+2). The shares add to
one, so the sum is again an e-process that starts at 1, and a change after 20 quiet windows costs
log(420) = 6 nats instead of a factor of 21 in the data needed.

Old start points are thinned out by a rule that looks at nothing but their age. A dropped share is
counted as lost, which can only lower the evidence. So a state grows with the logarithm of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

_YOUNG = 8  # windows of age up to which every start point is kept


@dataclass(frozen=True, slots=True)
class Ledger:
    """Running totals of a bettor, and what they were at each start point that is still kept.

    Args:
        windows: windows closed so far.
        total: the totals now (counts, or logarithms of capital).
        starts: pairs of a window index and the totals at its beginning, in order.
    """

    windows: int
    total: tuple[float, ...]
    starts: tuple[tuple[int, tuple[float, ...]], ...]

    @classmethod
    def empty(cls, size: int) -> Ledger:
        """A ledger before the first row."""
        zeros = (0,) * size
        return cls(0, zeros, ((0, zeros),))

    def add(self, amounts: Sequence[float]) -> Ledger:
        """The ledger after amounts came in; the window stays open."""
        total = tuple(a + b for a, b in zip(self.total, amounts, strict=True))
        return Ledger(self.windows, total, self.starts)

    def close(self) -> Ledger:
        """The ledger with the window closed: a new start point, old ones thinned out."""
        now = self.windows + 1
        starts = (*self.starts, (now, self.total))
        return Ledger(now, self.total, tuple(s for s in starts if is_kept(s[0], now)))

    def since(self) -> npt.NDArray[Any]:
        """What came in since each start point: an array of (starts, size)."""
        then = np.asarray([totals for _, totals in self.starts])
        gained: npt.NDArray[Any] = np.asarray(self.total) - then
        return gained

    def log_e(self, log_capital: npt.NDArray[np.float64]) -> float:
        """The logarithm of the mixture, given that of the capital of a bet from each start."""
        indices = np.asarray([index for index, _ in self.starts])
        return float(mix_starts(indices, log_capital, self.windows))

    def to_json(self) -> dict[str, Any]:
        """JSON values that ``from_json`` takes back."""
        starts = [[index, list(totals)] for index, totals in self.starts]
        return {"windows": self.windows, "total": list(self.total), "starts": starts}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Ledger:
        """The ledger that ``to_json`` wrote."""
        starts = tuple((index, tuple(totals)) for index, totals in value["starts"])
        return cls(value["windows"], tuple(value["total"]), starts)


def is_kept(start: int, now: int) -> bool:
    """Whether a start point is still kept: the older, the rounder its index must be."""
    age = now - start
    return start % (1 << (age // _YOUNG).bit_length()) == 0


def mix_starts(
    starts: npt.NDArray[np.int64], log_capital: npt.NDArray[np.float64], now: int
) -> npt.NDArray[np.float64]:
    """Log of the sum of shares times capital, plus the idle share; starts on the last axis."""
    log_shares = -np.log((starts + 1.0) * (starts + 2.0))
    staked = np.logaddexp.reduce(log_shares + log_capital, axis=-1)
    result: npt.NDArray[np.float64] = np.logaddexp(staked, -np.log(now + 2.0))
    return result
