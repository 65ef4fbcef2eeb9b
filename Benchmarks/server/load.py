#!/usr/bin/env python3
"""A server under load: 64 connections for two minutes, and 16 clients at once next to one after another.

    Benchmarks/server/load.py MODEL.tsr [--server PROGRAM] [--program PROGRAM] [--seconds 120]

Fails where a client gets an error other than status 503, where an answer is not that of the command line, or where memory
grows in the second half of the time. Then 16 clients at once and one after another take turns, each with a question of its own.
Status 69: Python's openai is missing.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

try:
    import openai
except ImportError:
    print("load.py: Python's openai is missing; pip install openai", file=sys.stderr)
    sys.exit(69)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tools"))
from serving import Server  # noqa: E402

THINGS = ["a lighthouse", "bread", "the moon", "a river", "chess", "a clock", "winter", "glass", "a bridge", "tea", "a violin", "salt",
          "a forest", "paper", "the wind", "a harbour"]


def prompt(index):
    return f"Write about {THINGS[index % len(THINGS)]}{'!' * (index // len(THINGS))}"


def ask(client, index, tokens):
    """(text, tokens)"""
    answer = client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": prompt(index)}], temperature=0, max_tokens=tokens, timeout=600)
    return answer.choices[0].message.content, answer.usage.completion_tokens


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def expected(options):
    """Each prompt's answer of the command line."""
    return [subprocess.run(
        [options.program, "generate", options.model, "--chat", "--temp", "0", "-p", prompt(index), "-n", str(options.tokens)],
        capture_output=True, text=True, check=True).stdout.strip() for index in range(len(THINGS))]


def load(options, texts):
    with Server(options.server, "--slots", "16", "--queue", "32", "--prompt-cache", "off", model=options.model) as server:
        end = time.monotonic() + options.seconds
        wrong, counts, sizes, lock = [], {"answers": 0, "tokens": 0, "busy": 0}, [], threading.Lock()

        def work(number):
            client, index = server.client(), number
            while time.monotonic() < end:
                index += 1
                try:
                    text, tokens = ask(client, index % len(THINGS), options.tokens)
                    with lock:
                        counts["answers"] += 1
                        counts["tokens"] += tokens
                        if text.strip() != texts[index % len(THINGS)]:
                            wrong.append((index % len(THINGS), text))
                except openai.InternalServerError as error:
                    if error.status_code != 503:
                        wrong.append(repr(error))
                    with lock:
                        counts["busy"] += 1
                    time.sleep(1)
                except openai.OpenAIError as error:
                    wrong.append(repr(error))

        def watch():
            while time.monotonic() < end:
                sizes.append(server.memory())
                time.sleep(1)
        watcher = threading.Thread(target=watch)
        watcher.start()
        in_threads(64, work)
        watcher.join()
        half = len(sizes) // 2
        first, last = (max(part) / 1e6 for part in (sizes[half // 2:half], sizes[half:]))
        print(f"64 connections, {options.seconds} s: {counts['answers']} answers, {counts['tokens'] / options.seconds:.0f} tokens/s, "
              f"{counts['busy']} times status 503, {len(wrong)} other errors or other texts; memory at most {first:.0f} MB in the second "
              f"quarter, {last:.0f} MB in the second half", flush=True)
        return not wrong and last < first * 1.05 + 8, wrong


def clients(options):
    """Median of the ratios of rates: 16 clients at once to one that asks one after another."""
    with Server(options.server, "--slots", "16", "--prompt-cache", "off", model=options.model) as server:
        ratios, rates = [], {1: [], 16: []}
        for turn in range(options.rounds):
            for count in (1, 16):
                tokens = [0] * 16

                def work(number):
                    client = server.client()
                    for index in range(16 // count):
                        # Each turn has its own prompts, so a cache holds no more of them than the chat template.
                        place = (2 * turn + (count == 16)) * 16 + number + index
                        tokens[number] += ask(client, place, options.tokens)[1]
                begin = time.monotonic()
                in_threads(count, work)
                rates[count].append(sum(tokens) / (time.monotonic() - begin))
            ratios.append(rates[16][-1] / rates[1][-1])
        print(f"16 clients at once: {statistics.median(rates[16]):.0f} tokens/s; one after another: {statistics.median(rates[1]):.0f}; "
              f"{statistics.median(ratios):.2f}x ({', '.join(f'{ratio:.2f}' for ratio in ratios)})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--server", default=".build-server/release/tessera-server")
    parser.add_argument("--program", default=".build/release/tessera")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    good, wrong = load(options, expected(options))
    for entry in wrong[:5]:
        print(entry, file=sys.stderr)
    clients(options)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
