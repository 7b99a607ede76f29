"""The loss of a run as one small self-contained SVG: axes, the raw loss, a smoothed line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 48
WINDOWS = 20  # widths of the running median in the whole line

Point = tuple[float, float]  # step, loss

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .raw { fill: none; stroke: #9ec5fe; stroke-width: 1.2 }
  .smooth { fill: none; stroke: #0d6efd; stroke-width: 2.2; stroke-linejoin: round }
  .held { fill: #d1242f }
"""


def loss_svg(points: Sequence[Point], held_out: Sequence[Point] = ()) -> str:
    """Draw the loss over the steps.

    Args:
        points: Step and training loss; what is not finite is left out.
        held_out: Step and loss on the held-out split, drawn as dots.

    Returns:
        An SVG document, 720 by 360, that needs no font, script or style sheet.

    Example:
        >>> loss_svg([(1, 2.0), (2, 1.0)]).startswith("<svg")
        True
    """
    finite = [(step, loss) for step, loss in points if math.isfinite(loss)]
    dots = [(step, loss) for step, loss in held_out if math.isfinite(loss)]
    if not finite:
        return _document(['<text x="64" y="180">no loss was logged</text>'])
    ticks_x = _ticks(0, max(step for step, _ in [*finite, *dots]))
    ticks_y = _ticks(0, max(loss for _, loss in [*finite, *dots]))

    def at(point: Point) -> Point:
        across = LEFT + (WIDTH - LEFT - RIGHT) * point[0] / ticks_x[-1]
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * point[1] / ticks_y[-1]

    smooth = smoothed([loss for _, loss in finite])
    line = list(zip((step for step, _ in finite), smooth, strict=True))
    marks = ['<circle class="held" cx="{:.1f}" cy="{:.1f}" r="3.5"/>'.format(*at(p)) for p in dots]
    body = [
        *[_level(tick, at((0, tick))[1]) for tick in ticks_y],
        *[_step(tick, at((tick, 0))[0]) for tick in ticks_x],
        f'<polyline class="raw" points="{_path(map(at, finite))}"/>',
        f'<polyline class="smooth" points="{_path(map(at, line))}"/>',
        *marks,
        f'<text class="title" x="{LEFT}" y="26">Training loss: {finite[0][1]:.3g} at step '
        f"{finite[0][0]:g}, {smooth[-1]:.3g} at step {finite[-1][0]:g}</text>",
        *(['<text x="560" y="26">dots: held-out loss</text>'] if dots else []),
    ]
    return _document(body)


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the running median of a series, over a twentieth of it around each value.

    A median neither lags behind a fall, as an exponential mean does, nor follows a spike.

    Example:
        >>> smoothed([2.0, 1.0])
        [2.0, 1.0]
    """
    half = len(values) // WINDOWS // 2
    return [
        statistics.median(values[max(0, at - half) : at + half + 1]) for at in range(len(values))
    ]


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from low to at least high, about five of them."""
    span = max(high - low, 1e-9)
    magnitude: float = 10 ** math.floor(math.log10(span / 5))
    step = next(magnitude * m for m in (1, 2, 5, 10) if magnitude * m * 5 >= span)
    return [low + step * index for index in range(math.ceil(span / step - 1e-9) + 1)]


def _path(points: object) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)  # type: ignore[attr-defined]


def _level(value: float, y: float) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>'


def _step(value: float, x: float) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:g}</text>'


def _document(body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="Training loss">'
    )
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>'
    foot = f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">step</text>'
    return "\n".join([head, f"<style>{STYLE}</style>", paper, *body, foot, "</svg>", ""])
