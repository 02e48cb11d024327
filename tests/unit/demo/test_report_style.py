"""The colours: readable in light and in dark."""

from __future__ import annotations

import re

from raypipe.demo.report.style import sheet


def contrast(one: str, two: str) -> float:
    """The contrast of two colours as WCAG counts it."""

    def light(colour: str) -> float:
        full = colour if len(colour) == 7 else "#" + "".join(c * 2 for c in colour[1:])
        parts = [int(full[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_marks_stand_out_in_light_and_dark() -> None:
    themes = re.findall(r":root\{(.*?)\}", sheet(), re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colour = dict(re.findall(r"--([\w-]+):(#\w{3,6})", theme))
        for name in ("ink", "quiet", "loop", "first", "static", "bad", "accent"):
            for ground in ("ground", "panel"):
                assert contrast(colour[name], colour[ground]) >= 4.5, (name, ground)
        assert contrast(colour["on-bar"], colour["bar"]) >= 4.5
        for name in ("bar", "edge", "raised", "dot-rim"):
            assert contrast(colour[name], colour["ground"]) >= 2.9, name
        steps = [colour[f"psi{i}"] for i in range(6)]
        distance = [contrast(step, colour["ground"]) for step in steps]
        assert distance == sorted(distance)
