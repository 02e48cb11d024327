"""What a token is: one rule, written for polars and for Python from the same code points.

A token is a longest run of characters that are not separators. Separators are listed, not taken
from a Unicode table, so that no version of one changes a token: ASCII but for letters and digits,
the controls and symbols of Latin-1, all white space, the general punctuation but for the joiners
inside words (U+200C, U+200D), and the punctuation of CJK texts in both widths.
"""

from __future__ import annotations

import re

_SEPARATORS = (
    (0x00, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0xA9), (0xAB, 0xB4), (0xB6, 0xB9),
    (0xBB, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7), (0x1680, 0x1680), (0x2000, 0x200B),
    (0x200E, 0x206F), (0x3000, 0x3003), (0x3008, 0x3020), (0x3030, 0x3030), (0xFEFF, 0xFEFF),
    (0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65),
)  # fmt: skip

# The same class of characters in the syntax of each.
POLARS_TOKEN = "[^" + "".join(rf"\x{{{a:X}}}-\x{{{b:X}}}" for a, b in _SEPARATORS) + "]+"
_TOKEN = re.compile("[^" + "".join(rf"\u{a:04X}-\u{b:04X}" for a, b in _SEPARATORS) + "]+")

tokens = _TOKEN.findall
