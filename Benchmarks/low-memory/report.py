"""Table and plot of what compare.py measured."""

GIB = 1 << 30
COLORS = ["#1b6ca8", "#2a9d5c", "#8f4fbf", "#c77d0a"]
PEER_COLOR = "#c0392b"


def rate(row, positions):
    measured = row["passes"].get(str(positions))
    return measured["passes_per_second"] if measured else None


def peer(rows, limit):
    for row in rows:
        if row["program"] == "llama.cpp" and row["limit_bytes"] == limit:
            return row
    return None


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(row, other, positions):
    ours, theirs = rate(row, positions), other and rate(other, positions)
    return f"{ours / theirs:.1f}x" if ours and theirs else "-"


def table(rows, tokens_per_pass):
    """Markdown; one line per run."""
    lines = [
        "| limit | program, weights | streamed | passes/s m = 1 | m = 16 | to llama.cpp | "
        f"tok/s: 1 per pass | {tokens_per_pass:g} per pass | read, GB/s (m = 1) | disk alone | "
        "read in all | major faults | peak | |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        other = peer(rows, row["limit_bytes"])
        is_ours = row["program"] == "tessera"
        one, sixteen = rate(row, 1), rate(row, 16)
        plan = row.get("plan") or {}
        first = row["passes"].get("1") or {}
        disk = row.get("disk_bytes_per_second")
        compared = (f"{ratio(row, other, 1)}, {ratio(row, other, 16)}" if is_ours else "")
        lines.append("| " + " | ".join([
            f"{row['limit_bytes'] / GIB:g} GiB", f"{row['program']}, {row['model']}",
            f"{plan['streamed_bytes'] / 1e9:.2f} GB" if plan else "",
            number(one), number(sixteen), compared, number(one),
            number(sixteen * tokens_per_pass if is_ours and sixteen else None)
            if is_ours else "",
            number(first["read_bytes_per_second"] / 1e9) if plan and first else "",
            "-".join(number(value / 1e9) for value in sorted(disk)) if disk else "",
            f"{row['bytes_read'] / 1e9:.1f} GB", str(row["major_faults"]),
            f"{row['peak_bytes'] / GIB:.2f} GiB", row.get("error", "")]) + " |")
    return "\n".join(lines)


class Canvas:
    """A chart with a linear x and y axis from 0."""

    def __init__(self, left, top, width, height, x_max, y_max):
        self.left, self.top, self.width, self.height = left, top, width, height
        self.x_max, self.y_max = x_max, y_max
        self.parts = []

    def at(self, x, y):
        return (self.left + self.width * x / self.x_max,
                self.top + self.height * (1 - y / self.y_max))

    def text(self, x, y, text, anchor="middle", color="#333", size=12):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" '
                          f'font-size="{size}">{text}</text>')

    def line(self, a, b, color="#ddd", width=1):
        self.parts.append(f'<line x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}" '
                          f'stroke="{color}" stroke-width="{width}"/>')

    def axes(self, title, limits):
        step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if self.y_max / s <= 6)
        value = 0
        while value <= self.y_max + 1e-9:
            self.line(self.at(0, value), self.at(self.x_max, value))
            x, y = self.at(0, value)
            self.text(x - 6, y + 4, f"{value:g}", "end")
            value += step
        for limit in limits:
            x, y = self.at(limit, 0)
            self.line((x, y), (x, y + 4), "#888")
            self.text(x, y + 18, f"{limit:g}")
        self.text(self.left + self.width / 2, self.top - 12, title, size=14)
        self.text(self.left + self.width / 2, self.top + self.height + 36, "memory limit, GiB")

    def series(self, points, color, is_dashed):
        dash = ' stroke-dasharray="5 4"' if is_dashed else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" '
                          f'stroke-width="2"{dash}/>')
        for point in points:
            x, y = self.at(*point)
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>')


def plot(rows):
    """SVG: passes per second by memory limit, a chart for each number of positions."""
    positions = sorted({int(key) for row in rows for key in row["passes"]})
    limits = sorted({row["limit_bytes"] / GIB for row in rows})
    names = list(dict.fromkeys((row["program"], row["model"]) for row in rows))
    width, height, gap = 380, 250, 80
    parts = []
    for index, count in enumerate(positions):
        fastest = max((rate(row, count) or 0 for row in rows), default=1)
        canvas = Canvas(60 + index * (width + gap), 40, width, height, max(limits) * 1.05,
                        (fastest or 1) * 1.1)
        canvas.axes(f"passes/s over {count} position{'s' if count > 1 else ''}", limits)
        ours = 0
        for name in names:
            is_peer = name[0] == "llama.cpp"
            color = PEER_COLOR if is_peer else COLORS[ours % len(COLORS)]
            ours += 0 if is_peer else 1
            points = sorted((row["limit_bytes"] / GIB, rate(row, count)) for row in rows
                            if (row["program"], row["model"]) == name and rate(row, count))
            if points:
                canvas.series(points, color, is_peer)
        parts += canvas.parts
    ours = 0
    legend = Canvas(0, 0, 1, 1, 1, 1)
    for index, (program, model) in enumerate(names):
        is_peer = program == "llama.cpp"
        color = PEER_COLOR if is_peer else COLORS[ours % len(COLORS)]
        ours += 0 if is_peer else 1
        x = 60 + index * 280
        legend.line((x, height + 100), (x + 24, height + 100), color, 3)
        legend.text(x + 30, height + 104, f"{program}, {model}", "start")
    total = 60 + max(1, len(positions)) * (width + gap)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{height + 125}" '
            f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" '
            f'fill="white"/>{"".join(parts + legend.parts)}</svg>\n')
