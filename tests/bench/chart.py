"""Line charts as SVG: nothing but text, so that a plot needs no library.  A chart is a dictionary: title, x and y (labels),
log_x, and series, a list of [name, [[x, y], …]].  Charts of one bench are drawn below each other in one file."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 80, 170, 34, 46
COLOURS = ("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5", "#64473a", "#787774")
TICKS = 5


def spell(value):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def nice_step(span):
    """1, 2 or 5 times a power of ten, about TICKS of them in the span."""
    raw = span / TICKS
    power = 10 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw)


def linear_ticks(low, high):
    step = nice_step(high - low)
    first = math.ceil(low / step)
    return [round((first + i) * step, 12) for i in range(int((high - first * step) / step + 1e-9) + 1)]


class Axis:
    """Maps values to pixels from `begin` to `end`."""

    def __init__(self, values, begin, end, log=False, from_zero=False):
        self.begin, self.end, self.log = begin, end, log
        low, high = (0 if from_zero else min(values)), max(values)
        if high == low:
            high = low + (abs(low) or 1)
        self.low, self.high = (math.log10(low), math.log10(high)) if log else (low, high)
        self.ticks = sorted(set(values)) if log else linear_ticks(low, high)

    def at(self, value):
        share = ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def line(x1, y1, x2, y2, colour):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def draw_axes(chart, across, up):
    out = [text(LEFT, 20, chart["title"], "start", ' font-weight="bold"')]
    for tick in across.ticks:
        out += [line(across.at(tick), HEIGHT - BOTTOM, across.at(tick), HEIGHT - BOTTOM + 5, "#444"),
                text(across.at(tick), HEIGHT - BOTTOM + 18, spell(tick))]
    for tick in up.ticks:
        out += [line(LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick), "#e3e2e0"), text(LEFT - 8, up.at(tick) + 4, spell(tick), "end")]
    out += [line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#444"),
            text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, chart["x"]),
            text(0, 0, chart["y"], "middle", f' transform="translate(18,{HEIGHT / 2}) rotate(-90)"')]
    return out


def draw_series(chart, across, up):
    out = []
    for i, (name, points) in enumerate(chart["series"]):
        colour = COLOURS[i % len(COLOURS)]
        places = [(across.at(x), up.at(y)) for x, y in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(places) <= 40: # dots would hide a long line
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        out.append(text(WIDTH - RIGHT + 14, TOP + 16 + 18 * i, name, "start", f' fill="{colour}"'))
    return out


def draw(chart):
    points = [p for _, some in chart["series"] for p in some]
    log = bool(chart.get("log_x")) and min(x for x, _ in points) > 0
    across = Axis([x for x, _ in points], LEFT, WIDTH - RIGHT, log)
    up = Axis([y for _, y in points], HEIGHT - BOTTOM, TOP, from_zero=True)
    return draw_axes(chart, across, up) + draw_series(chart, across, up)


def write(path, charts):
    """One file; False when there is nothing to draw."""
    charts = [c for c in charts if any(points for _, points in c["series"])]
    if not charts:
        return False
    height = HEIGHT * len(charts)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
           'font-family="sans-serif" font-size="12" fill="#333">', f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    for i, chart in enumerate(charts):
        out += [f'<g transform="translate(0,{HEIGHT * i})">', *draw(chart), "</g>"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join([*out, "</svg>", ""]))
    return True
