#!/usr/bin/env python3
"""Draws the answer of a model as a terminal in which tokens appear pass by pass: an animated SVG.

    python3 Benchmarks/pictures/recording.py [PROGRAM] > Benchmarks/pictures/recording.svg

The tokens and passes are those of the run; only time is stretched, half a second for each pass. Without a program, the
one in .build/release is taken.
"""

import json
import os
import subprocess
import sys
from html import escape

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else ".build/release/tessera"
QUESTION = "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?"
OPTIONS = ["--chat", "--draft", "masks", "--block-size", "8", "--temperature", "0"]
WIDTH, MARGIN, LINE, LETTER = 800, 20, 24, 8.43
SECONDS_PER_PASS, PAUSE = 0.5, 4.0
COLOURS = ["#7dd3fc", "#86efac", "#fde68a", "#fca5a5", "#c4b5fd", "#f9a8d4", "#5eead4", "#fdba74"]


def generated():
    """The token events of the run, and its last event."""
    lines = subprocess.run(
        [PROGRAM, "generate", "Sources/tessera/Resources/default.tsr", "-p", QUESTION, "--jsonl", *OPTIONS],
        check=True, capture_output=True, text=True).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    return [event for event in events if event["event"] == "token"], events[-1]


def text(x, y, content, colour, extra=""):
    # The length keeps tokens next to each other in any font.
    return (f'<text x="{x:.1f}" y="{y}" fill="{colour}" textLength="{len(content) * LETTER:.1f}" '
            f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{escape(content)}{extra}</text>')


def main():
    tokens, end = generated()
    passes = end["forward_passes"]
    total = passes * SECONDS_PER_PASS + PAUSE
    body = [text(MARGIN, 62, "$ tessera generate --chat -p \\", "#e5e7eb"),
            text(MARGIN, 62 + LINE, f'    "{QUESTION}"', "#e5e7eb")]
    x, y = MARGIN, 62 + 2.5 * LINE
    for token in tokens:
        # Hidden until its pass; the whole begins again after a pause.
        begin = token["pass"] * SECONDS_PER_PASS / total
        shown = (f'<animate attributeName="opacity" values="0;0;1;1" keyTimes="0;{begin:.4f};{begin + 0.0001:.4f};1" '
                 f'dur="{total}s" repeatCount="indefinite"/>')
        for index, piece in enumerate(token["text"].split("\n")):
            if index > 0:
                x, y = MARGIN, y + LINE
            if piece:
                body.append(text(x, y, piece, COLOURS[(token["pass"] - 1) % len(COLOURS)], shown))
                x += len(piece) * LETTER
    y += 1.5 * LINE
    body.append(text(MARGIN, y, f"{end['generated_tokens']} tokens in {passes} passes of the model, one colour each. "
                     "The text is that of single tokens.", "#9ca3af"))
    height = y + MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
          'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">\n'
          f'<title>{end["generated_tokens"]} tokens in {passes} passes</title>\n'
          f'<rect width="{WIDTH}" height="{height:.0f}" rx="8" fill="#111827"/>\n'
          + "".join(f'<circle cx="{MARGIN + 4 + 18 * index}" cy="22" r="5" fill="#4b5563"/>\n' for index in range(3))
          + "\n".join(body) + "\n</svg>")


if __name__ == "__main__":
    main()
