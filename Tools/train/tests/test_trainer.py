"""Run: python -m unittest discover -s Tools/train/tests (PyTorch, tokenizers, safetensors)."""
import os
import random
import shutil
import sys
import tempfile
import unittest

import numpy as np
import torch
from tokenizers import Tokenizer

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import checkpoint
import data_math
import from_tsr
import train
from decode import Settings, choose, decode
from lora import add_lora, merged_state
from model import Config, Llama, masked_attention
from sbd import IGNORE, Example, dense_mask, joined, losses, make_batch

MASK, END = 1, 0


def tiny(seed: int = 3, **changes) -> Llama:
    """A random model whose logits differ enough that greedy choices are stable."""
    c = dict(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8)
    model = Llama(Config(**{**c, **changes}))
    model.initialize(seed)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(30)
    return model.eval()


def random_batch(block_size: int, seed: int = 0):
    rng = random.Random(seed)
    rows = [[Example([rng.randrange(2, 40) for _ in range(n)] + [END], start) for n, start in ((11, 4), (9, 3))]
            for _ in range(3)]
    return rows, make_batch(rows, 32, 64, block_size, END, MASK, np.random.default_rng(seed), 0.5, True)


def causal_then_block(past: int, block: int) -> torch.Tensor:
    mask = torch.ones(past + block, past + block).tril().bool()
    mask[past:, past:] = True
    return mask[None, None]


class Objective(unittest.TestCase):
    def test_noised_logits_equal_a_plain_pass_over_past_and_block(self):
        model = tiny()
        for block_size in (2, 3, 5, 16):
            rows, batch = random_batch(block_size, block_size)
            tokens, positions, documents, blocks, flag = joined(batch)
            with torch.no_grad():
                got = model(tokens, positions, masked_attention(dense_mask(documents, positions, blocks, flag)))
            for r, row in enumerate(rows):
                for d, example in enumerate(row):
                    for block in batch.noised_blocks[r][batch.noised_documents[r] == d].unique():
                        here = (batch.noised_documents[r] == d) & (batch.noised_blocks[r] == block)
                        place = batch.noised_positions[r][here]
                        first = int(place[0])
                        line = torch.cat([torch.tensor(example.ids[:first], dtype=torch.long), batch.noised[r][here]])[None]
                        with torch.no_grad():
                            want = model(line, torch.arange(line.shape[1])[None],
                                         masked_attention(causal_then_block(first, len(place))))
                        torch.testing.assert_close(got[r, 32:][here], want[0, first:], atol=2e-4, rtol=1e-4)

    def test_clean_logits_equal_a_causal_pass_over_each_document(self):
        model = tiny()
        rows, batch = random_batch(4)
        tokens, positions, documents, blocks, flag = joined(batch)
        with torch.no_grad():
            got = model(tokens, positions, masked_attention(dense_mask(documents, positions, blocks, flag)))
            for r, row in enumerate(rows):
                for d, example in enumerate(row):
                    ids = torch.tensor(example.ids)[None]
                    want = model(ids, torch.arange(ids.shape[1])[None], masked_attention(None))
                    torch.testing.assert_close(got[r, :32][batch.documents[r] == d], want[0], atol=2e-4, rtol=1e-4)

    def test_only_answers_are_noised_and_the_last_block_is_full_of_end_tokens(self):
        for block_size in (2, 7, 16):
            rows, batch = random_batch(block_size, 5)
            for r, row in enumerate(rows):
                for d, example in enumerate(row):
                    here = batch.noised_documents[r] == d
                    place, hidden = batch.noised_positions[r][here], batch.noised_targets[r][here] != IGNORE
                    truth = torch.where(hidden, batch.noised_targets[r][here], batch.noised[r][here])
                    n = len(example.ids)
                    self.assertEqual(int(place[0]), example.start)
                    self.assertEqual(truth[:n - example.start].tolist(), example.ids[example.start:])
                    self.assertTrue((truth[n - example.start:] == END).all())
                    self.assertTrue((batch.noised[r][here][hidden] == MASK).all())
                    blocks = batch.noised_blocks[r][here]
                    self.assertLess(len(place) - (n - example.start), block_size)
                    self.assertTrue(all((blocks == b).sum() == block_size for b in blocks.unique()[1:]))

    def test_tokens_of_weight_zero_are_never_masked(self):
        weights = [float(i % 3 == 0) for i in range(20)]
        for seed in range(20):
            batch = make_batch([[Example(list(range(2, 22)), 0, weights)]], 24, 40, 4, END, MASK,
                               np.random.default_rng(seed), 0.1, True)
            hidden = batch.noised_targets[0] != IGNORE
            self.assertTrue(all(weights[p] > 0 for p in batch.noised_positions[0][hidden].tolist()))
            self.assertEqual(batch.weights[0, :19].tolist(), weights[1:])

    @unittest.skipUnless(shutil.which("g++"), "FlexAttention is compiled")
    def test_flex_attention_gives_the_losses_of_the_dense_mask(self):
        model = tiny(head_dim=16)
        for block_size in (2, 5, 16):
            batch = random_batch(block_size, block_size)[1]
            with torch.no_grad():  # on CPUs it has no backward pass
                flex, dense = (torch.stack(losses(model, batch, use_flex)) for use_flex in (True, False))
            torch.testing.assert_close(flex, dense)

    def test_losses_are_finite_and_reach_every_parameter(self):
        model = tiny().train()
        ntp, matp = losses(model, random_batch(4)[1])
        (ntp + matp).backward()
        self.assertTrue(torch.isfinite(ntp) and torch.isfinite(matp))
        self.assertTrue(all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()))


class Decoding(unittest.TestCase):
    prompts = [[5, 9, 3], [7, 8, 30, 31, 12, 4], [2]]

    def naive_block(self, model, prompt, settings, stop):
        """Set Block Decoding by recomputing everything in each pass."""
        output, passes, block, first, end = [], 0, [MASK] * settings.block_size, True, settings.block_size
        while len(output) < settings.max_tokens:
            line = torch.tensor(prompt + output + block)[None]
            past = line.shape[1] - len(block)
            with torch.no_grad():
                logits = model(line, torch.arange(line.shape[1])[None],
                               masked_attention(causal_then_block(past, len(block))))[0]
            rows = logits[past:].clone()
            if first and settings.use_ntp:
                rows[0] = logits[past - 1]
            passes += 1
            rows[:, MASK] = -torch.inf
            masked = [i for i, t in enumerate(block[:end]) if t == MASK]
            p = rows[masked].softmax(-1)
            entropy = -(p * p.clamp(min=1e-30).log()).sum(-1)
            for j in choose(entropy, entropy, settings.gamma, settings.first):
                block[masked[j]] = int(rows[masked[j]].argmax())
                end = min(end, masked[j] + 1) if block[masked[j]] == stop else end
            prefix = block[:block.index(MASK)] if MASK in block else block
            if stop in prefix:
                return output + prefix[:prefix.index(stop) + 1], passes
            # A window slides on after what is finished; a block has to be full.
            first = settings.first or MASK not in block
            if first:
                output += prefix
                block = block[len(prefix):] + [MASK] * len(prefix)
                end = end - len(prefix) if end < len(block) else end
        return output, passes

    def test_cached_block_decoding_equals_recomputation(self):
        model = tiny()
        stopped = 0
        for k, gamma, published in ((2, 0.1, False), (4, 0.5, True), (8, 2.0, False), (5, 0.0, True)):
            settings = Settings(block_size=k, gamma=gamma, max_tokens=24, use_ntp=not published, first=not published)
            longest = decode(model, self.prompts, settings, MASK, {END})
            for stop in (END, longest[0].output[9], longest[1].output[-1]):
                for prompt, s in zip(self.prompts, decode(model, self.prompts, settings, MASK, {stop})):
                    self.assertEqual((s.output, s.passes), self.naive_block(model, prompt, settings, stop))
                    stopped += s.output[-1] == stop
        self.assertGreater(stopped, 4)

    def test_lossless_equals_next_token_decoding(self):
        model = tiny()
        plain = decode(model, self.prompts, Settings(block_size=1, max_tokens=30), MASK, {END})
        for k in (1, 2, 4, 8):
            drafts = decode(model, self.prompts, Settings(block_size=k, max_tokens=30, lossless=True), MASK, {END})
            for a, b in zip(plain, drafts):
                self.assertEqual(a.output, b.output[:len(a.output)])
                self.assertLessEqual(b.passes, a.passes)

    def test_choice_is_the_largest_prefix_within_gamma(self):
        rng = random.Random(1)
        for _ in range(200):
            entropy = torch.tensor([rng.random() for _ in range(rng.randint(1, 9))])
            gamma = rng.random() * 2
            order = sorted(range(len(entropy)), key=lambda i: float(entropy[i]))
            want = max(s for s in range(1, len(order) + 1)
                       if s == 1 or float(entropy[order[:s - 1]].sum()) <= gamma)
            self.assertEqual(sorted(choose(entropy, entropy, gamma, first=False)), sorted(order[:want]))
            order.remove(0)
            want = max(s for s in range(len(order) + 1) if float(entropy[order[:s]].sum()) <= gamma)
            self.assertEqual(choose(entropy, entropy, gamma, first=True), [0, *order[:want]])


class Data(unittest.TestCase):
    def test_solutions_are_right_and_sets_are_disjoint(self):
        for free in (False, True):
            keys = {}
            for split in ("train", "test"):
                rng = random.Random(7)
                problems = [data_math.generate(rng, split, small_talk=0, free=free) for _ in range(3000)]
                keys[split] = {p.key for p in problems}
                for p in problems:
                    self.assertEqual(data_math.parse_answer(p.solution), p.answer)
                    self.assertTrue(data_math.equations_hold(p.solution), p.solution)
            self.assertFalse(keys["train"] & keys["test"])

    def test_wrong_equations_are_noticed(self):
        self.assertFalse(data_math.equations_hold("2 + 2 = 5"))
        self.assertFalse(data_math.equations_hold("7 / 2 = 3"))


class Checkpoints(unittest.TestCase):
    def arguments(self, out, *more):
        return train.parse(["--out", out, "--vocabulary", "400", "--batch", "2", "--length", "160", "--noised", "128",
                            "--warmup", "2", "--test-every", "1000", "--device", "cpu", *more])

    def run_once(self, args):
        torch.manual_seed(args.seed)
        run = train.Run(args)
        train.begin(run)
        run.train()
        return run

    def test_a_resumed_run_ends_with_the_same_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            whole = self.run_once(self.arguments(folder + "/a", "--steps", "4", "--decay", "0"))
            self.run_once(self.arguments(folder + "/b", "--steps", "2", "--decay", "0"))
            os.rename(folder + "/b", folder + "/moved")
            rest = self.run_once(self.arguments(folder + "/moved", "--resume", "--steps", "4"))
            self.assertFalse(os.path.exists(folder + "/b"))
            for (n, a), (_, b) in zip(whole.model.named_parameters(), rest.model.named_parameters()):
                torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=n)

    def test_merged_adapters_give_the_same_logits(self):
        model, plain = tiny(), tiny()
        add_lora(model, 4, 8, MASK)
        with torch.no_grad():
            for n, p in model.named_parameters():
                if n.endswith(".b"):
                    p.normal_()
        plain.load_state_dict({k: v.clone() for k, v in merged_state(model).items()})
        ids = torch.tensor([[3, 4, 5, 6]])
        place = torch.arange(4)[None]
        torch.testing.assert_close(model(ids, place, masked_attention(None)), plain(ids, place, masked_attention(None)),
                                   atol=1e-3, rtol=1e-4)

    def test_exported_folder_gives_transformers_the_same_logits(self):
        try:
            from transformers import AutoModelForCausalLM
        except ImportError:
            self.skipTest("transformers is not installed")
        for kind, changes in (("llama", {}), ("qwen3", dict(query_key_norm=True, model_type="qwen3")),
                              ("qwen2", dict(attention_bias=True, model_type="qwen2"))):
            model = tiny(tie_word_embeddings=kind != "qwen2", **changes)
            with tempfile.TemporaryDirectory() as folder:
                architecture = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}[kind] + "ForCausalLM"
                model.config.extra = {"architectures": [architecture]}
                checkpoint.save_folder(model.config, model.state_dict(), folder, folder,
                                       dict(mask_token_id=1, block_size=16), [END])
                theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
                again = checkpoint.load_folder(folder)
            ids = torch.tensor([[3, 4, 5, 6, 7, 8, 9]])
            place = torch.arange(7)[None]
            with torch.no_grad():
                ours = model(ids, place, masked_attention(None))
                torch.testing.assert_close(ours, theirs(ids).logits, atol=2e-3, rtol=1e-3)
                torch.testing.assert_close(ours, again(ids, place, masked_attention(None)))

    def test_a_file_of_the_runtime_comes_back(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
        file = os.path.join(root, "Tests", "ResidencyTests", "Resources", "word-problems.tsr")
        source = os.path.join(root, "Tools", "train", "tessera-word-problems")
        with tempfile.TemporaryDirectory() as folder:
            from_tsr.convert(file, folder)
            ours, theirs = checkpoint.load_folder(folder), checkpoint.load_folder(source)
            again, tokenizer = (Tokenizer.from_file(os.path.join(f, "tokenizer.json")) for f in (folder, source))
        self.assertEqual({k: v for k, v in ours.config.to_dict().items() if k != "extra"},
                         {k: v for k, v in theirs.config.to_dict().items() if k != "extra"})
        self.assertEqual(ours.config.extra["sbd"], theirs.config.extra["sbd"])
        for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters()):
            self.assertLess(float((a - b).abs().max()), float(b.abs().max()) / 127, name)
        problem = data_math.generate(random.Random(3))
        text = "<|user|>" + problem.question + "<|assistant|>" + problem.solution + " \u00e9\u4e16<|endoftext|>"
        self.assertEqual(again.encode(text).ids, tokenizer.encode(text).ids)
        self.assertEqual(again.decode(again.encode(text).ids), tokenizer.decode(tokenizer.encode(text).ids))


if __name__ == "__main__":
    unittest.main()
