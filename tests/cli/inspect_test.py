"""saccade inspect."""

import json
import os
import unittest

from cli import Cli, TEXT


class Inspect(Cli):
    """What it shows is checked in inspect_test.cc against fp64, and in a browser by tests/browser."""

    def inspect_refused(self, code, *args, **more):
        return self.refused(code, "inspect", "-m", self.model, "-f", self.text, *args, **more)

    def test_the_answer_is_that_of_run_and_the_report_says_so(self):
        record, _ = self.answer("-p", "Why?")
        page = os.path.join(self.dir, "report.html")
        done = self.ok("inspect", "-m", self.model, "-f", self.text, "-p", "Why?", "-n", 8, "--tokens", "3,7-9", "-o", page, "--json")
        report = json.loads(done.stdout)
        self.assertEqual(report["text"]["answer"], record["answer"])
        self.assertEqual(report["record"]["n_prompt"], record["n_prompt"])
        self.assertEqual([row["position"] for row in report["rows"] if row["kind"] == "listed"], [3, 7, 8, 9])
        self.assertEqual(report["rows"][4]["position"], record["n_prompt"] - 1)
        self.assertEqual(len(report["pieces"]), report["text"]["n_tokens"])
        for metric in report["heads"]["metrics"]:
            self.assertEqual(len(metric["values"]), report["model"]["n_layers"])
        with open(page, encoding="utf-8") as file:
            html = file.read()
        inside = html.split('id="report">')[1].split("</script>")[0]
        self.assertEqual(json.loads(inside), report)
        self.assertNotIn("http://", html.replace("http://www.w3.org/2000/svg", ""))
        os.unlink(page)

    def test_a_window_skips_and_says_how_much(self):
        report = json.loads(self.ok("inspect", "-m", self.model, "-f", self.text, "-n", 2, "--attn", "window(64)", "--json").stdout)
        density = next(one for one in report["heads"]["metrics"] if one["key"] == "density")
        self.assertLess(max(map(max, density["values"])), 0.2)
        self.assertAlmostEqual(density["values"][0][0], report["record"]["density"], places=3)

    def test_what_does_not_fit(self):
        self.assertEqual(self.inspect_refused(2, "-n", "0"), "-n must be >= 1, got 0")
        self.assertIn("there is no layer 99", self.inspect_refused(2, "--heads", "99.0"))
        self.assertIn("there is no head 99", self.inspect_refused(2, "--heads", "0.99"))
        self.assertIn("LAYER.HEAD", self.inspect_refused(2, "--heads", "3"))
        self.assertIn("there is no position 999999", self.inspect_refused(2, "--tokens", "999999"))
        self.assertIn("POSITION", self.inspect_refused(2, "--tokens", "5-2"))
        self.assertEqual(self.inspect_refused(2, "-o", "report.txt"), "-o must end in .html, got 'report.txt'")
        self.assertIn("no such directory", self.inspect_refused(2, "-o", "nowhere/report.html"))
        self.assertIn("only attention of ours", self.inspect_refused(2, "--attn", "ggml"))
        self.assertIn("tokens", self.inspect_refused(2, "-c", "64"))

    def test_of_a_longer_text_it_takes_the_beginning(self):
        long = self.file("long.txt", (TEXT * 400).encode())
        done = self.ok("inspect", "-m", self.model, "-f", long, "-c", 300, "-n", 2, "--json")
        text = json.loads(done.stdout)["record"]
        self.assertLess(text["n_text"], 300)
        self.assertGreater(text["n_text_given"], 4096)
        os.unlink(long)
        self.assertIn("--truncate", self.refused(2, "inspect", "-m", self.model, "-f", self.text, "--truncate"))


    def test_a_proof_needs_something_to_lose(self):
        """Random weights find no needle; what a proof prints is checked on real models."""
        prove = ("--prove", "retrieval", "--needles", 2, "--mask", 1)
        line = self.inspect_refused(2, *prove)
        self.assertIn("finds none of 2 needles", line)
        self.assertIn("masking 10 heads and as many others takes 20 heads, the model has 4", self.inspect_refused(2, "--prove", "retrieval"))
        self.assertIn("at least 1000 are needed", self.inspect_refused(2, *prove, "-c", 600))
        self.assertIn("-c must be <= 4096", self.inspect_refused(2, *prove, "-c", 5000))

    def test_what_a_proof_does_not_take(self):
        self.assertEqual(self.inspect_refused(2, "--prove", "retrievl"), '--prove: unknown claim "retrievl"; did you mean "retrieval"?')
        for more in (("-p", "Why?"), ("--heads", "0.0"), ("--tokens", "3")):
            self.assertIn("asks its own questions", self.inspect_refused(2, "--prove", "retrieval", *more))
        self.assertIn("-o must end in .json (the plan that masks the heads) or .html (the report)", self.inspect_refused(2, "--prove", "retrieval", "-o", "r.txt"))
        self.assertIn("no such directory", self.inspect_refused(2, "--prove", "retrieval", "--mask", 1, "-o", "nowhere/plan.json"))
        self.assertEqual(self.inspect_refused(2, "--prove", "retrieval", "--needles", 0), "--needles must be >= 1, got 0")
        self.assertIn('unknown edit "unifrom"', self.inspect_refused(2, "--prove", "retrieval", "--steer", "unifrom"))
        self.assertIn("only attention of ours", self.inspect_refused(2, "--prove", "retrieval", "--attn", "ggml"))


if __name__ == "__main__":
    unittest.main()
