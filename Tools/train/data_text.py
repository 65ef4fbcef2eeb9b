"""Permissively licensed text and code that every machine can get from PyPI or Debian.

    python data_text.py --out data/text            # download, extract, write *.txt and SOURCES.json
    python data_text.py --out data/text --only django-docs python-stdlib

Every source has its licence here and, as found in the package, in SOURCES.json next to the text.
"""
import argparse
import fnmatch
import glob
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

# name: (kind, package with version, file patterns, licence as an SPDX id)
SOURCES = {
    "django-docs": ("pypi", "Django==5.2", ["*/docs/*.txt"], "BSD-3-Clause"),
    "flask-docs": ("pypi", "flask==3.1.0", ["*/docs/*.rst"], "BSD-3-Clause"),
    "networkx": ("pypi", "networkx==3.4.2", ["*/doc/*.rst", "*/networkx/algorithms/*.py"], "BSD-3-Clause"),
    "click-docs": ("pypi", "click==8.1.8", ["*/docs/*.rst"], "BSD-3-Clause"),
    "python-stdlib": ("stdlib", "", ["*.py"], "PSF-2.0"),
}
SKIPPED = ("/test", "/tests/", "idlelib", "lib2to3", "site-packages", "dist-packages", "pydoc_data")


def from_pypi(requirement: str, patterns: list[str]) -> tuple[list[tuple[str, bytes]], str]:
    """Files of a source distribution that match, and the licence line of its PKG-INFO."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:",
                        "-d", folder, requirement], check=True)
        [path] = glob.glob(os.path.join(folder, "*.tar.gz"))
        files, licence = [], ""
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.isfile():
                    continue
                if member.name.count("/") == 1 and member.name.endswith("PKG-INFO"):
                    lines = archive.extractfile(member).read().decode("utf-8", "replace").splitlines()
                    licence = "; ".join(x for x in lines if x.startswith(("License", "Classifier: License")))
                elif any(fnmatch.fnmatch(member.name, p) for p in patterns):
                    files.append((member.name, archive.extractfile(member).read()))
        return files, licence


def from_stdlib(patterns: list[str]) -> tuple[list[tuple[str, bytes]], str]:
    """The standard library of the running Python."""
    root = sysconfig.get_path("stdlib")
    files = []
    for path in sorted(glob.glob(os.path.join(root, "**", "*"), recursive=True)):
        if os.path.isfile(path) and not any(s in path for s in SKIPPED) and any(fnmatch.fnmatch(path, p) for p in patterns):
            with open(path, "rb") as file:
                files.append((os.path.relpath(path, root), file.read()))
    return files, "Python Software Foundation License 2, CPython " + sys.version.split()[0]


def collect(names: list[str], out: str) -> None:
    """Writes NAME.jsonl (one document a line: path, text) and SOURCES.json."""
    os.makedirs(out, exist_ok=True)
    record_path = os.path.join(out, "SOURCES.json")
    record = json.load(open(record_path)) if os.path.exists(record_path) else {}
    for name in names:
        kind, package, patterns, licence = SOURCES[name]
        files, found = from_pypi(package, patterns) if kind == "pypi" else from_stdlib(patterns)
        digest, characters, kept = hashlib.sha256(), 0, 0
        with open(os.path.join(out, name + ".jsonl"), "w") as target:
            for path, data in sorted(files):
                try:
                    text = data.decode("utf-8")
                except UnicodeDecodeError:
                    continue
                if len(text) >= 200:
                    target.write(json.dumps({"path": path, "text": text}) + "\n")
                    digest.update(data)
                    characters, kept = characters + len(text), kept + 1
        record[name] = dict(package=package or "python3", licence=licence, licence_in_package=found, files=kept,
                            characters=characters, sha256=digest.hexdigest())
        print(f"{name}: {kept} files, {characters / 1e6:.1f} M characters, {licence}")
    with open(record_path, "w") as file:
        json.dump(record, file, indent=2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", nargs="*", choices=SOURCES, default=list(SOURCES))
    options = parser.parse_args()
    collect(options.only, options.out)
