"""Run: python -m unittest discover -s Tools/train/tests (PyTorch, tokenizers, safetensors)."""
import json
import os
import random
import sys
import tempfile
import unittest

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import checkpoint
import drafter
import prompts
from drafter_model import Drafter, Shape, accepted, default_taps, losses, read_target
from model import Config, Llama
from tokenizer import assemble, save_tokenizer

WORDS = [chr(33 + i) for i in range(40)]


def tiny(seed: int = 3) -> Llama:
    model = Llama(Config(vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=8))
    model.initialize(seed)
    return model.eval().requires_grad_(False)


def made(target: Llama, **changes) -> Drafter:
    drafter = Drafter(Shape(**{**dict(taps=[0, 2], layers=1, block=3, markov_rank=8, mask_token=47, draft_tokens=list(range(40))), **changes}), target)
    drafter.initialize(1, target)
    with torch.no_grad():
        for name, p in drafter.named_parameters():
            if "markov" in name or "confidence" in name:
                p.normal_(0, 0.3, generator=torch.Generator().manual_seed(2))
    return drafter


class Structure(unittest.TestCase):
    def test_taps_by_the_published_rule(self):
        self.assertEqual(default_taps(30, 5), [1, 8, 14, 20, 27])
        self.assertEqual(default_taps(36, 5), [1, 9, 17, 25, 33])
        self.assertEqual(default_taps(7, 1), [3])

    def test_blocks_see_the_context_before_their_anchor_and_themselves(self):
        target = tiny()
        drafter = made(target).eval()
        tokens = torch.randint(0, 40, (20,), generator=torch.Generator().manual_seed(5))
        read = read_target(target, tokens, drafter.shape.taps)
        taps = read[:, :-32]
        anchors = torch.tensor([4, 9, 15])
        with torch.no_grad():
            all_rows = drafter.hidden(tokens, taps, anchors, 3)
            for index, anchor in enumerate(anchors.tolist()):
                cut = taps[:anchor + 1].clone()
                cut[anchor] = 7  # the anchor's own are not seen
                alone = drafter.hidden(tokens[:anchor + 1], cut, anchors[index:index + 1], 3)
                self.assertTrue(torch.allclose(alone[0], all_rows[index], atol=1e-5))

    def test_losses_fall_and_drafts_become_right(self):
        torch.manual_seed(0)
        target = tiny()
        drafter = made(target)
        tokens = torch.arange(60) % 7 + 3  # what follows is plain from what came
        read = read_target(target, tokens, drafter.shape.taps)
        anchors = torch.arange(5, 50, 3)
        optimizer = torch.optim.Adam(drafter.parameters(), 1e-2)
        first = None
        for _ in range(60):
            found = losses(drafter, tokens, read, anchors, 4)
            loss = found["ce"] / found["weight"]
            first = first or loss.item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.assertLess(loss.item(), first / 4)
        self.assertEqual(accepted(drafter, tokens, read, anchors, 3).tolist(), [3] * len(anchors))

    def test_tokens_that_cannot_be_drafted_cost_nothing_but_are_never_right(self):
        target = tiny()
        drafter = made(target, draft_tokens=list(range(1, 11)))
        tokens = torch.full((12,), 20)
        read = read_target(target, tokens, drafter.shape.taps)
        self.assertEqual(losses(drafter, tokens, read, torch.tensor([4]), 4)["ce"].item(), 0)
        self.assertEqual(accepted(drafter, tokens, read, torch.tensor([4]), 3).item(), 0)


class Command(unittest.TestCase):
    def folder(self, root: str) -> tuple[str, str]:
        """A target and data for it."""
        target, data = os.path.join(root, "target"), os.path.join(root, "data")
        os.makedirs(data)
        os.makedirs(target)
        save_tokenizer(assemble(WORDS + [chr(200 + i) for i in range(7)] + ["<|end|>"], [], ["<|end|>"], digits=False), target)
        model = tiny()
        checkpoint.save_folder(model.config, model.state_dict(), target, target, None, [47])
        with open(os.path.join(target, "chat_template.jinja"), "w") as file:
            file.write("{% for m in messages %}{{ m['content'] }}{% endfor %}")
        rng = random.Random(1)
        with open(os.path.join(data, "0000.jsonl"), "w") as file:
            for _ in range(60):
                ids = [rng.randrange(3, 9) + i % 3 for i in range(24)]
                file.write(json.dumps(dict(kind="x", prompt="AB", prompt_tokens=2, token_ids=ids)) + "\n")
        return target, data

    def test_a_stopped_run_goes_on_as_it_would_have(self):
        with tempfile.TemporaryDirectory() as root:
            target, data = self.folder(root)
            common = ["--target", target, "--data", data, "--layers", "1", "--taps", "0", "2", "--block", "3", "--batch", "2", "--warmup", "1",
                      "--markov-rank", "4", "--mask-token", "46", "--vocabulary", "9", "--test-every", "3", "--cache", os.path.join(root, "c")]
            whole, parts = os.path.join(root, "whole"), os.path.join(root, "parts")
            drafter.run(drafter.parse([whole, "--steps", "6"] + common))
            first = drafter.parse([parts, "--steps", "3"] + common)
            drafter.schedule, kept = (lambda step, steps, *rest: kept(step, 6, *rest)), drafter.schedule
            try:
                drafter.run(first)
            finally:
                drafter.schedule = kept
            path = os.path.join(parts, "arguments.json")
            with open(path) as file:
                arguments = json.load(file)
            checkpoint.write_json(path, arguments | {"steps": 6})
            drafter.run(drafter.parse([parts, "--resume"]))
            a, b = (checkpoint.load_state(os.path.join(folder, "state.pt"))["drafter"] for folder in (whole, parts))
            for name in a:
                self.assertTrue(torch.equal(a[name], b[name]), name)
            with open(os.path.join(whole, "hf", "config.json")) as file:
                config = json.load(file)
            self.assertEqual((config["target_layer_ids"], config["num_target_layers"], config["draft_tokens"][:2]), ([0, 2], 3, [0, 3]))


class Prompts(unittest.TestCase):
    def test_held_out_prompts_are_a_hundred_and_never_drawn(self):
        held = [p["prompt"] for p in prompts.held_out()]
        self.assertEqual(len(set(held)), 100)
        self.assertEqual(held, [p["prompt"] for p in prompts.held_out()])
        rng = random.Random(4)
        drawn = {prompts.prompt(rng)["prompt"] for _ in range(2000)}
        self.assertFalse(drawn & set(held))
        self.assertGreater(len(drawn), 1800)
        self.assertFalse([text for text in drawn if "{topic" in text or "{name" in text])


if __name__ == "__main__":
    unittest.main()
