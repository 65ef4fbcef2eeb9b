"""The plot of compare.py as SVG: accuracy over tokens per pass, and over speed."""

COLOURS = ["#1b6ca8", "#d1495b", "#3c8d5a", "#8e5ea2", "#c98a1b", "#555555"]
SHAPES = {"NTP": "square", "gamma": "circle", "paper": "ring", "lossless": "diamond"}
WIDTH, HEIGHT, PANEL, TOP, BOTTOM = 1040, 400, 370, 40, 50


def kind(decoding: str) -> str:
    return next((k for k in ("lossless", "paper", "gamma") if k in decoding), "NTP")


def mark(shape: str, x: float, y: float, colour: str, title: str = "") -> str:
    """One point."""
    look = f'fill="{colour}" fill-opacity="0.8" stroke="white" stroke-width="0.5"'
    if shape == "ring":
        look = f'fill="white" fill-opacity="0.2" stroke="{colour}" stroke-width="2"'
    title = f"<title>{title}</title>" if title else ""
    if shape == "square":
        return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" {look}>{title}</rect>'
    if shape == "diamond":
        return f'<path d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z" {look}>{title}</path>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" {look}>{title}</circle>'


def panel(rows: list[dict], key: str, caption: str, left: int, names: list[str], floor: float) -> list[str]:
    """Axes and points of one plot."""
    most = max(r[key] for r in rows) * 1.08
    x = lambda v: left + PANEL * v / most
    y = lambda v: TOP + (HEIGHT - TOP - BOTTOM) * (100 - v) / (100 - floor)
    out = []
    for percent in range(int(floor), 101, 10 if floor < 70 else 5):
        out.append(f'<path d="M{left} {y(percent):.1f}h{PANEL}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(percent) + 4:.1f}" text-anchor="end">{percent} %</text>')
    step = 1 if most > 2.5 else 0.5
    for tick in range(1, int(most / step) + 1):
        out.append(f'<text x="{x(tick * step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick * step:g}</text>'
                   f'<path d="M{x(tick * step):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>')
    out.append(f'<text x="{left + PANEL / 2}" y="{HEIGHT - 12}" text-anchor="middle">{caption}</text>')
    for r in rows:
        colour = COLOURS[names.index(r["model"]) % len(COLOURS)]
        title = f'{r["model"]}, {r["decoding"]}: {r["accuracy"]} %, {r[key]}'
        out.append(mark(SHAPES[kind(r["decoding"])], x(r[key]), y(max(floor, r["accuracy"])), colour, title))
    return out


def svg(rows: list[dict]) -> str:
    """Two panels with a common legend."""
    names = list(dict.fromkeys(r["model"] for r in rows))
    floor = max(0, min(90, 10 * int(min(r["accuracy"] for r in rows) // 10)))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="60" y="24" font-size="13">exact answers</text>']
    out += panel(rows, "tokens_per_pass", "tokens per forward pass", 60, names, floor)
    out += panel(rows, "speedup", "tokens per second, to one token per pass of the same model", 490, names, floor)
    y = TOP + 8
    for i, name in enumerate(names):
        out.append(mark("circle", 882, y, COLOURS[i % len(COLOURS)]) + f'<text x="894" y="{y + 4}">{name}</text>')
        y += 20
    y += 12
    words = {"NTP": "one token per pass", "gamma": "gamma", "paper": "paper's rule", "lossless": "lossless"}
    for name, shape in SHAPES.items():
        out.append(mark(shape, 882, y, "#777777") + f'<text x="894" y="{y + 4}">{words[name]}</text>')
        y += 20
    return "\n".join(out + ["</svg>\n"])
