"""Writes the tables of quality in README.md and Benchmarks/RESULTS.md from what compare.py found.

    python3 Benchmarks/quality/tables.py [--print] [RESULTS.json ...]

Without names: all of Benchmarks/quality/results. Tables stand between marks in both files. --print changes no file: it
prints the tables of RESULTS.md.
"""
import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "../.."))
COMMAND = "Benchmarks/quality/compare.py"
SECTION = "Benchmarks/RESULTS.md#how-close-is-a-file-to-its-model"
SHOWN = [("trellis", "3"), ("zstd", "5"), ("plain", "4"), ("plain", "5")]


def title(row):
    """A file as its command names it."""
    if row["family"] == "llama.cpp":
        return row["name"]
    if row["family"] == "kl":
        return f"`--kl {row['name']}` ({row['storage']})"
    codec = "" if row["family"] == "plain" else f" --codec {row['family']}"
    return f"`--bits {row['name']}{codec}`"


def details(found):
    """All files of a model, smallest first."""
    lines = [f"{found['model']}, {found['date']}, {found['machine']}:", "",
             "| file | MB | KL, prose | KL, mixed | expected KL | same top token, prose | processor seconds |",
             "|---|--:|--:|--:|--:|--:|--:|"]
    for row in sorted(found["rows"], key=lambda row: row["bytes"]):
        expected, seconds = row.get("expected_kl"), row.get("cpu_seconds")
        lines.append(
            f"| {title(row)} | {row['bytes'] / 1e6:.1f} | {row['kl'][0]:.3g} | {row['kl'][1]:.3g} | "
            f"{'' if expected is None else f'{expected:.2g}'} | {row['top1'][0]:.1%} | "
            f"{'' if seconds is None else f'{seconds:.0f}'} |")
    promised = [row for row in found["rows"] if row.get("expected_kl")]
    for index, text in enumerate(("prose", "mixed") if promised else ()):
        factors = [row["kl"][index] / row["expected_kl"] for row in promised]
        lines += ["", f"KL to the expected KL, {text}: {min(factors):.2f} to {max(factors):.2f} times."]
    return "\n".join(lines)


def brief(results):
    """Some of our files, each with the closest of llama.cpp's that are smaller or up to a tenth larger."""
    lines = ["| model | file | MB | KL divergence | same top token | llama.cpp, up to a tenth larger | MB | KL divergence |",
             "|---|---|--:|--:|--:|---|--:|--:|"]
    for found in results:
        theirs = [row for row in found["rows"] if row["family"] == "llama.cpp"]
        for family, name in SHOWN:
            for ours in found["rows"]:
                if (ours["family"], ours["name"]) != (family, name):
                    continue
                near = [row for row in theirs if row["bytes"] <= 1.1 * ours["bytes"]]
                best = min(near, key=lambda row: row["kl"][0], default=None)
                peer = f"{best['name']} | {best['bytes'] / 1e6:.1f} | {best['kl'][0]:.2g}" if best else "none so small | |"
                lines.append(
                    f"| {found['model']} | {title(ours)} | {ours['bytes'] / 1e6:.1f} | {ours['kl'][0]:.2g} | "
                    f"{ours['top1'][0]:.0%} | {peer} |")
    dates = ", ".join(sorted({found["date"] for found in results}))
    machines = "; ".join(sorted({found["machine"] for found in results}))
    return "\n".join(lines) + f"\n\n[Plain prose]({SECTION}), `{COMMAND}`, {dates}, {machines}."


def put(path, name, text):
    """Replaces what stands between the marks of that name."""
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    begin, end = f"<!-- {name}: written by Benchmarks/quality/tables.py -->", f"<!-- end of {name} -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if not re.search(pattern, whole, re.S):
        sys.exit(f"{path}: no marks of {name}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(pattern, lambda _: f"{begin}\n{text}\n{end}", whole, flags=re.S))


def main(paths):
    prints = "--print" in paths
    paths = [path for path in paths if path != "--print"]
    results = []
    for path in paths or sorted(glob.glob(os.path.join(HERE, "results/*.json"))):
        with open(path) as file:
            results.append(json.load(file))
    whole = "\n\n".join(map(details, results))
    if prints:
        print(whole)
        return
    put(os.path.join(ROOT, "Benchmarks/RESULTS.md"), "quality", whole)
    put(os.path.join(ROOT, "README.md"), "quality", brief(results))


if __name__ == "__main__":
    main(sys.argv[1:])
