"""saccade tune."""

import json
import os
import unittest

from cli import TEXT, Cli


class Tune(Cli):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.file("text.txt", (TEXT * 30).encode())  # about 2,500 tokens
        cls.short = cls.file("short.txt", (TEXT * 20).encode())
        cls.TUNE = ("tune", "-m", cls.model, "-f", cls.text)

    def test_a_plan_within_its_budget(self):
        plan = os.path.join(self.dir, "plan.json")
        args = (*self.TUNE, "--attn", "sparge", "--attn", "window(64)", "--ubatch", 1024, "-o", plan, "--json")
        report = json.loads(self.ok(*args, "--budget", 0.4).stdout)
        self.assertEqual(list(report), ["model", "n_prompt", "budget", "cost", "error", "seconds", "candidates", "heads", "trials"])
        candidates = report["candidates"]
        self.assertEqual(len(candidates), 6 + 1 + 4 + 1)
        self.assertEqual(candidates[-1], "dense")
        self.assertEqual([head[:2] for head in report["heads"]], [[0, 0], [0, 1], [1, 0], [1, 1]])
        self.assertEqual(len(report["trials"]), 4 * len(candidates))
        trials = {(layer, head, candidates[at]): numbers for layer, head, at, *numbers in report["trials"]}
        for pairs, mass, error in trials.values():
            self.assertTrue(pairs > 0 and 0 < mass < 1 + 1e-6 and error >= 0)
        cost = sum(trials[layer, head, spec][0] for layer, head, spec in report["heads"])
        dense = sum(trials[layer, head, "dense"][0] for layer, head, _ in report["heads"])
        self.assertAlmostEqual(report["cost"], cost / dense)
        self.assertLessEqual(report["cost"], 0.4)
        with open(plan, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
        self.assertEqual({row["attn"] for row in rows} | {"dense"}, {spec for _, _, spec in report["heads"]} | {"dense"})
        # It runs, visits about what it was said to cost, and errs less than what costs less.
        said = json.loads(self.ok("compare", "-m", self.model, "-f", self.text, "-c", 2560, "--attn", "dense", "--plan", plan,
                                  "--json").stdout)
        self.assertLess(said[1]["density"], 0.5)
        self.assertEqual(json.loads(self.ok(*args, "--budget", 0.4).stdout)["heads"], report["heads"])
        cheaper = json.loads(self.ok(*args, "--budget", 0.2).stdout)
        self.assertGreater(cheaper["error"], report["error"])
        table = self.ok(*args[:-1], "--budget", 1).stdout.decode().splitlines()
        self.assertRegex(table[0], r"plan.json: 1.000 of dense attention's cost, error \S+; \d+ tokens")
        self.assertEqual(table[1].split(), ["4", "heads", "dense"])

    def test_what_is_refused(self):
        for args, line in [
            (("--budget", 0), "--budget must be > 0 and <= 1, got 0"),
            (("--budget", 1.5), "--budget must be > 0 and <= 1, got 1.5"),
            (("--budget", "nan"), "--budget must be > 0 and <= 1, got nan"),
            (("--attn", "ggml"), "tune: --attn must be an attention of ours, got ggml"),
            (("--attn", "none"), "tune: --attn must look at something, got none"),
        ]:
            self.assertEqual(self.refused(2, *self.TUNE, *args, "-o", "plan.json"), line)
        self.assertEqual(self.refused(2, *self.TUNE, "-o", "plan.txt"), "-o must end in .json, got 'plan.txt'")
        self.assertIn("windw", self.refused(2, *self.TUNE, "--attn", "windw", "-o", "plan.json"))
        self.assertIn("nowhere", self.refused(2, *self.TUNE, "-o", "nowhere/plan.json"))
        self.assertRegex(self.refused(2, *self.TUNE, "--budget", 0.001, "-o", "plan.json"), r"--budget must be >= 0\.\d+, what")
        self.assertRegex(self.refused(2, "tune", "-m", self.model, "-f", self.short, "-o", "plan.json"),
                         "too little text: .* at least 2048 are needed")


if __name__ == "__main__":
    unittest.main()
