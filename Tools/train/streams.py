"""Endless streams of training examples, with a state that goes into checkpoints."""
import random

import data_math
from sbd import Example

USER, ASSISTANT = "<|user|>", "<|assistant|>"


class MathStream:
    """Word problems as chats; trained on the answers."""

    def __init__(self, tokenizer, seed: int, split: str = "train"):
        self.tokenizer, self.split, self.rng = tokenizer, split, random.Random(seed)
        self.end = tokenizer.token_to_id("<|endoftext|>")

    def __next__(self) -> Example:
        problem = data_math.generate(self.rng, self.split)
        prompt = self.tokenizer.encode(f"{USER}{problem.question}{ASSISTANT}", add_special_tokens=False).ids
        answer = self.tokenizer.encode(problem.solution, add_special_tokens=False).ids
        return Example(prompt + answer + [self.end], len(prompt))

    def state(self):
        return self.rng.getstate()

    def restore(self, state) -> None:
        self.rng.setstate(state)
