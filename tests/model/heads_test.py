"""What is said of heads, on real models: which of them find a needle, which have a sink, which are local."""

import json
import os
import sys
import unittest

from model_test import Real, found, saccade


class Heads(Real):
    def inspected(self, name, n_bytes):
        # Without a chat template: the sink metric is defined on plain text, and a template's marks share the sink.
        text = self.text("start.txt", self.novel[20_000 : 20_000 + n_bytes])
        done = saccade("inspect", "-m", found("model", name), "-f", text, "--raw", "-n", 1, "--json")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        report = json.loads(done.stdout)
        print(name, {key: report["sinks"][key] for key in ("rate_early", "rate")}, report["massive"]["largest"][:1], file=sys.stderr)
        return report

    def test_the_first_token_is_a_sink_of_most_heads_and_massive(self):
        for name in ("qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"):
            report = self.inspected(name, 1_500)
            self.assertEqual(report["sinks"]["n_early"], 64)
            self.assertGreater(report["sinks"]["rate_early"], 0.5)
            self.assertEqual(report["sinks"]["tokens"][0]["position"], 0)
            self.assertEqual(report["massive"]["largest"][0]["position"], 0)

    def test_layers_with_a_window_are_local(self):
        # 3,900 tokens; layers 5, 11 and 17 of 18 see all of them, the others the newest 512.
        classes = self.inspected("gemma3-270m", 16_000)["heads"]["classes"]
        for layer, heads in enumerate(classes):
            if layer % 6 == 5:
                self.assertIn("global", heads, layer)
            else:
                self.assertLessEqual(set(heads), {"local", "previous token"}, layer)

    def test_retrieval_heads_find_the_needle_and_others_do_not(self):
        plan = os.path.join(self.dir, "heads.json")
        args = ("-m", found("model", "qwen2.5-coder-0.5b"), "-f", found("text", "novel"))
        done = saccade("inspect", "--prove", "retrieval", *args, "-c", 2000, "--needles", 5, "-o", plan, "--json")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        proof = json.loads(done.stdout)
        print({key: proof[key] for key in ("n_prompt", "found", "found_top_masked", "found_random_masked", "top")}, file=sys.stderr)
        self.assertGreaterEqual(proof["found"], 4)
        self.assertLessEqual(proof["found_top_masked"], 1)
        self.assertGreaterEqual(proof["found_random_masked"], proof["found"] - 1)
        self.assertGreaterEqual(max(head["n_most_looked"] for head in proof["top"]), 1)
        # What the mask costs a text that repeats itself: its loss grows more than that of prose.
        documents = os.path.join(self.dir, "documents.jsonl")
        with open(documents, "w", encoding="utf-8") as file:
            for name, text in (("prose", self.novel[40_000:42_000]), ("repeated", self.novel[60_000:60_700] * 3)):
                file.write(json.dumps({"id": name, "text": text}) + "\n")
        done = saccade("eval", "--task", "influence", "-m", args[1], "-f", documents, "--attn", "dense", "--plan", plan, "--json")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        prose, repeated = (one["influence"] for one in json.loads(done.stdout)[1]["documents"])
        print({"prose": prose, "repeated": repeated}, file=sys.stderr)
        self.assertGreater(repeated, prose)


if __name__ == "__main__":
    unittest.main()
