"""Polars expressions as data: a small JSON form that is safe to store and to load.

``encode`` makes it, ``decode`` checks it and builds the expression again, ``root_columns`` names
what it reads, and ``compile_row`` turns it into a plain function of one row; ``write_row`` makes
it a part of a larger function.
"""

from raypipe.expressions.decode import decode, node_count, root_columns
from raypipe.expressions.encode import encode
from raypipe.expressions.growth import Growth, greatest, growth
from raypipe.expressions.lower import lower
from raypipe.expressions.ops import POLARS_ERRORS
from raypipe.expressions.rows import RowFunction, compile_row, write_row

__all__ = [
    "POLARS_ERRORS",
    "Growth",
    "RowFunction",
    "compile_row",
    "decode",
    "encode",
    "greatest",
    "growth",
    "lower",
    "node_count",
    "root_columns",
    "write_row",
]
