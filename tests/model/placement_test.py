"""Weights where our linear layers read them, on machines whose ggml would not hide them: `placed` pretends that it does."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import tiny_model

PLACED, SCRIPTS = os.environ["PLACED"], os.environ.get("SACCADE_SCRIPTS", "")
SIDES = ("stock", "placed", "ggml", "again")
MEASURED = ("side", "linear_ms", "peak_mib", "prompt_tokens_per_s", "answer_tokens_per_s")


class Placement(unittest.TestCase):
    def run_sides(self, model, n_prompt=512, n_answer=32, more=(), sides_asked=SIDES):
        sides = {}
        for side in sides_asked:
            done = subprocess.run([PLACED, model, side, str(n_prompt), str(n_answer), *more], capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            sides[side] = json.loads(done.stdout)
            print({key: value for key, value in sides[side].items() if key not in ("answer", "logits")}, file=sys.stderr)
        return sides

    def check(self, sides, *places):
        """Placing changes where weights lie, and nothing that comes out: linear() has the same bits wherever it reads, but
        not from where ggml's AMX code hides them."""
        stock, placed, ggml, again = (sides.get(side) for side in SIDES)
        self.assertNotIn("Saccade", stock["buffers"])
        for place in places:
            self.assertIn(place, placed["buffers"])
        self.assertEqual(ggml["buffers"], stock["buffers"])
        self.assertEqual(ggml["linear_calls"], 0)
        self.assertGreater(placed["linear_calls"], 0)
        self.assertNotEqual(placed["logits"], ggml["logits"])
        if "AMX" not in stock["buffers"]:
            for key in ("linear_calls", "logits", "answer"):
                self.assertEqual(placed[key], stock[key])
        if again is not None:
            self.assertEqual({**again, **dict.fromkeys(MEASURED)}, {**placed, **dict.fromkeys(MEASURED)})


class Small(Placement):
    """Of random weights: needs no download."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="saccade-placement-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "tiny.gguf")

    def test_plain(self):
        tiny_model.write(self.path, matrices="q8_0")
        self.check(self.run_sides(self.path), "Saccade")

    def test_repacked(self):
        tiny_model.write(self.path, matrices="q4_0")
        self.check(self.run_sides(self.path), "CPU_REPACK")

    def test_experts(self):
        tiny_model.write(self.path, n_experts=4, n_used=2, matrices="q8_0")
        self.check(self.run_sides(self.path), "Saccade", "CPU_REPACK")

    def test_adapter(self):
        tiny_model.write(self.path, matrices="q8_0")
        adapter = self.path + ".lora"
        tiny_model.write_lora(adapter)
        adapted = self.run_sides(self.path, more=[adapter])
        self.check(adapted, "Saccade")
        self.assertNotEqual(adapted["placed"]["logits"], self.run_sides(self.path)["placed"]["logits"])

    def test_split_file(self):
        path = self.path.replace(".gguf", "-00001-of-00003.gguf")
        tiny_model.write(path, matrices="q8_0", n_files=3)
        self.check(self.run_sides(path, sides_asked=SIDES[:-1]), "Saccade")  # the command line takes no split models


class Real(Placement):
    """gemma3-270m has tied embeddings, the 0.5B four types of matrices."""

    def test_models(self):
        for name in ("gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-original"):
            with self.subTest(name):
                path = subprocess.run([f"{SCRIPTS}/model", name], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
                sides = self.run_sides(path, n_answer=64)
                self.check(sides, "Saccade")
                # Mapped, not copied.
                self.assertLessEqual(sides["placed"]["peak_mib"], 1.05 * sides["stock"]["peak_mib"])
                self.assertLessEqual(sides["placed"]["peak_mib"], 1.05 * sides["ggml"]["peak_mib"])


if __name__ == "__main__":
    unittest.main()
