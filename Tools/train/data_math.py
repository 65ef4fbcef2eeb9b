"""Grade-school word problems with worked solutions and exact answers, made from templates.

A problem's solution is a function of its question, one small operation a line, and ends with
`Answer: N`. Training and test sets are disjoint by construction: a hash of (family, numbers)
decides the side. `python data_math.py --count 5 --split test` prints some.
"""
import argparse
import hashlib
import json
import random
import re
from dataclasses import dataclass

import families
import words_families
from wording import typed

TEST_SHARE = 40  # one (family, numbers) key in so many belongs to the test set
SMALL_TALK = [
    ("Hello!", "Hello! Give me a word problem and I will solve it step by step."),
    ("Hi", "Hi! Give me a word problem and I will solve it step by step."),
    ("Who are you?", "I am Tessera's small default model. I solve short word problems step by step."),
    ("What can you do?", "I solve short word problems: sums, differences, products and shares."),
    ("Thank you!", "You are welcome! Give me another problem when you like."),
    ("Thanks", "You are welcome! Give me another problem when you like."),
]


@dataclass(frozen=True)
class Problem:
    """One question with its worked solution; `answer` is None for small talk."""
    family: str
    question: str
    solution: str
    answer: int | None
    key: str


def in_test_set(key: str) -> bool:
    """Whether the problem with this key (family and numbers) belongs to the held-out side."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % TEST_SHARE == 0


def generate(rng: random.Random, split: str = "train", small_talk: float = 0.01, free: bool = False) -> Problem:
    """Draws one problem of `split` ("train" or "test"); `free`: with more families, many wordings and larger numbers."""
    source = words_families if free else families
    if split == "train" and rng.random() < small_talk:
        question, answer = rng.choice(SMALL_TALK)
        return Problem("talk", question, answer, None, "talk")
    while True:
        name, family, _ = rng.choices(source.ALL, weights=source.WEIGHTS)[0]
        made = family(rng)
        if made is None:
            continue
        question, lines, answer, numbers = made
        key = name + ":" + ",".join(map(str, numbers))
        if in_test_set(key) == (split == "test"):
            solution = "\n".join(lines) + f"\nAnswer: {answer}"
            return Problem(name, typed(rng, question) if free else question, solution, answer, key)


ANSWER = re.compile(r"Answer: (-?\d+)\s*$")
EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def parse_answer(text: str) -> int | None:
    """The number of the final answer line, None without one."""
    found = ANSWER.search(text.strip())
    return int(found.group(1)) if found else None


def equations_hold(text: str) -> bool:
    """Whether every `a op b = c` in the text is true."""
    for a, op, b, c in EQUATION.findall(text):
        a, b, c = int(a), int(b), int(c)
        if op == "/" and (b == 0 or a % b):
            return False
        if {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b else None}[op] != c:
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=["train", "test"], default="train")
    parser.add_argument("--free", action="store_true", help="problems in free wording")
    parser.add_argument("--jsonl", action="store_true", help="one JSON object a line")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for _ in range(args.count):
        problem = generate(rng, args.split, free=args.free)
        if args.jsonl:
            print(json.dumps(problem.__dict__))
        else:
            print(f"[{problem.family}] {problem.question}\n{problem.solution}\n")


if __name__ == "__main__":
    main()
