"""Loss curves of one or several log.csv files as one SVG: `python plot.py out.svg runs/*/log.csv`."""
import csv
import math
import os
import sys

COLOURS = ["#1b6ca8", "#d1495b", "#3c8d5a", "#8e5ea2", "#c98a1b", "#5b6770"]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 420, 60, 46, 20, 190


def read(path: str) -> dict[str, list[tuple[float, float]]]:
    """Curves of a log: column -> [(step, loss)]."""
    curves: dict = {}
    with open(path) as file:
        for row in csv.DictReader(file):
            for column in ("ntp", "matp", "test_ntp", "test_matp", "ce", "tv", "test_accepted"):
                if row.get(column) and float(row[column]) > 0:
                    curves.setdefault(column, []).append((float(row["step"]), float(row[column])))
    return curves


def svg(curves: list[tuple[str, list[tuple[float, float]]]]) -> str:
    """One line a curve, logarithmic losses."""
    points = [p for _, c in curves for p in c]
    last = max(x for x, _ in points)
    low = math.floor(10 * math.log10(min(y for _, y in points))) / 10
    high = math.ceil(10 * math.log10(max(y for _, y in points))) / 10
    sx = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * x / last
    sy = lambda y: TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(y)) / max(high - low, 0.1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for exponent in range(math.floor(low), math.ceil(high) + 1):
        for factor in (1, 2, 5):
            y = factor * 10.0 ** exponent
            if low <= math.log10(y) <= high:
                out.append(f'<path d="M{LEFT} {sy(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                           f'<text x="{LEFT - 6}" y="{sy(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for i in range(6):
        x = last * i / 5
        out.append(f'<text x="{sx(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:.0f}</text>')
    out.append(f'<text x="{sx(last / 2):.1f}" y="{HEIGHT - 8}" text-anchor="middle">step</text>'
               f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" text-anchor="middle">loss, nats a token</text>')
    for i, (name, curve) in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(f"{sx(x):.1f},{sy(y):.1f}" for x, y in curve)
        dash = ' stroke-dasharray="5 3"' if "test" in name else ""
        y = TOP + 14 + 18 * i
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
                   f'<path d="M{WIDTH - RIGHT + 10} {y - 4}h22" stroke="{colour}" stroke-width="2"{dash}/>'
                   f'<text x="{WIDTH - RIGHT + 38}" y="{y}">{name}</text>')
    return "\n".join(out + ["</svg>\n"])


def plot(target: str, logs: list[str]) -> None:
    """Draws the curves of all logs; names get their run's folder where there are several."""
    curves = []
    for path in logs:
        prefix = os.path.basename(os.path.dirname(os.path.abspath(path))) + " " if len(logs) > 1 else ""
        curves += [(prefix + name, curve) for name, curve in read(path).items()]
    if curves:
        with open(target, "w") as file:
            file.write(svg(curves))


if __name__ == "__main__":
    plot(sys.argv[1], sys.argv[2:])
