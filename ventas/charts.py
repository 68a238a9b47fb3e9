"""Bar charts as inline SVG, for the admin: no script, no external image."""

from collections.abc import Sequence

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

WIDTH, HEIGHT, BASELINE = 640, 200, 160  # in units of the drawing; the page scales it
LABEL_ROOM = 30  # above the highest bar


def bar_chart(values: Sequence[tuple[str, int]], *, title: str) -> SafeString:
    """Return an SVG with one bar per value, given as (label, whole CLP).

    The highest bar fills the height; a negative value has a bar of height zero.
    """
    maximum = max([value for _, value in values], default=0) or 1
    step = WIDTH / max(len(values), 1)
    bars = []
    for index, (label, value) in enumerate(values):
        height = round(max(value, 0) / maximum * (BASELINE - LABEL_ROOM), 1)
        bars.append(
            {
                "label": label,
                "value": value,
                "x": round(index * step + step * 0.15, 1),
                "center": round(index * step + step / 2, 1),
                "width": round(step * 0.7, 1),
                "height": height,
                "y": round(BASELINE - height, 1),
            }
        )
    context = {"bars": bars, "title": title, "width": WIDTH, "height": HEIGHT, "baseline": BASELINE}
    return render_to_string("ventas/bar_chart.svg", context)
