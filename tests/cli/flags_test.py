"""Numbers, words, specs and plans that every model command takes."""

import json
import unittest

from cli import Cli, TEXT


class Flags(Cli):
    def test_numbers_out_of_range(self):
        self.assertEqual(self.run_refused(2, "-t", "0"), "-t must be >= 1, got 0")
        self.assertEqual(self.run_refused(2, "-t", "100000"), "-t must be <= 512, got 100000")
        self.assertEqual(self.run_refused(2, "-n", "-5"), "-n must be >= 0, got -5")
        self.assertEqual(self.run_refused(2, "-c", "0"), "-c must be >= 1, got 0")
        self.assertEqual(self.run_refused(2, "--ubatch", "0"), "--ubatch must be >= 1, got 0")
        self.assertEqual(self.refused(2, "compare", "-m", self.model, "-f", self.text, "-t", "0"), "-t must be >= 1, got 0")
        self.assertIn("4096", self.run_refused(2, "-c", "5000"))

    def test_a_stretched_context(self):
        for factor in ("0.5", "33", "-1", "nan"):
            self.assertIn("--yarn must be 1 to 32", self.run_refused(2, "--yarn", factor))
        self.run_refused(2, "--yarn", "far")
        self.assertIn("-c must be <= 8192", self.run_refused(2, "--yarn", "2", "-c", "8193"))
        record, _ = self.answer("--yarn", "2", "-c", "8192")
        self.assertEqual((record["n_ctx"], record["yarn"]), (8192, 2))
        self.assertEqual(self.answer("--yarn", "1")[0]["answer"], self.answer()[0]["answer"])
        longer = self.file("long.txt", (TEXT * 60).encode())  # more than the model was trained for
        self.assertIn("only", self.refused(2, "run", "-m", self.model, "-f", longer))
        self.ok("run", "-m", self.model, "-f", longer, "-n", 1, "--yarn", 2)

    def test_what_is_not_a_number(self):
        self.assertIn("whole number, got 'many'", self.run_refused(2, "-n", "many"))
        for value in ("many", "1.5", "", "99999999999999999999"):
            self.run_refused(2, "-n", value)

    def test_unknown_commands_and_flags(self):
        self.assertIn('"compare"', self.refused(2, "compar"))
        self.refused(2)
        self.run_refused(2, "--no-such-flag")
        self.refused(2, "run", "-m", self.model)
        self.assertIn("--plan", self.run_refused(2, "--attn", "dense", "--plan", "x.json"))


class Specs(Cli):
    def attn(self, spec):
        line = self.run_refused(2, "--attn", spec)
        self.assertEqual(self.refused(2, "compare", "-m", self.model, "-f", self.text, "--attn", "dense", "--attn", spec), line)
        return line

    def test_specs(self):
        self.assertIn('"window"', self.attn("windw(5)"))
        self.assertIn("got -1", self.attn("window(-1)"))
        self.attn("window(1024")
        self.attn("")
        self.attn("window(1024)+")
        self.attn("window(size=3)")
        self.attn("dense\ndense")
        self.assertEqual(self.attn("ggml(fa=maybe)"), "ggml: fa must be on or off, got 'maybe'")
        self.assertIn("'fa'", self.attn("ggml(flash=off)"))

    def plan(self, content):
        path = self.file("plan.json", content if isinstance(content, bytes) else json.dumps(content).encode())
        return self.run_refused(2, "--plan", path)

    def test_plans(self):
        rows = [{"layers": "99", "attn": "window(8)"}]
        self.assertIn("layer 99, but the model has 2", self.plan({"default": {"attn": "dense"}, "rows": rows}))
        rows = [{"heads": "0-7", "attn": "window(8)"}]
        self.assertIn("head 7, but the model has 2", self.plan({"default": {"attn": "dense"}, "rows": rows}))
        self.assertIn('"default"', self.plan({"defalt": {"attn": "dense"}}))
        self.plan(b"{")
        self.plan(b"")
        self.plan({"default": {"attn": "windw(5)"}})
        self.run_refused(2, "--plan", "no-such-plan.json")


if __name__ == "__main__":
    unittest.main()
