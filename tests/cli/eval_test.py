"""saccade eval."""

import json
import os
import unittest

from cli import Cli, page_data, TEXT


class Eval(Cli):
    """On random weights every needle is missed; what counts here is that every question was asked."""

    COST = ["n_prompt", "prefill_s", "prefill_tok_per_s", "attention_s", "selection_s", "density"]

    def eval(self, task, *args, specs=("ggml", "dense", "window(64)+sink(4)")):
        attn = [word for spec in specs for word in ("--attn", spec)]
        return self.ok("eval", "-m", self.model, "-f", self.text, "--task", task, "-t", 1, *attn, *args)

    def eval_refused(self, *args):
        return self.refused(2, "eval", "-m", self.model, "-f", self.text, *args)

    def test_needles(self):
        rows = json.loads(self.eval("multineedle", "--json").stdout)
        self.assertEqual([row["attn"] for row in rows], ["ggml", "dense", "window(64)+sink(4)"])
        for row in rows:
            self.assertEqual(list(row), ["attn", "score", "n_needles", *self.COST, "decode_tok_per_s", "answers"])
            self.assertEqual((row["n_needles"], len(row["answers"])), (20, 20))
            self.assertEqual(row["score"], sum(one["right"] for one in row["answers"]))
            depths = [one["depth"] for one in row["answers"]]
            self.assertEqual(depths, sorted(depths))
            for one in row["answers"]:
                self.assertEqual(list(one), ["depth", "question", "cue", "secret", "answer", "right"])
        ggml, dense, window = rows
        self.assertIsNone(ggml["attention_s"])
        self.assertEqual(dense["density"], 1)
        self.assertLess(window["density"], 0.1)
        self.assertEqual(dense["n_prompt"], ggml["n_prompt"])

    def test_a_question_sees_the_text_and_not_the_question_before_it(self):
        one, other = json.loads(self.eval("multineedle", "--json", "--precision", "f32", "--linear", "ggml", specs=["dense", "dense"]).stdout)
        self.assertEqual([a["answer"] for a in one["answers"]], [a["answer"] for a in other["answers"]])
        self.assertGreater(len({a["answer"] for a in one["answers"]}), 1, "the questions differ")

    def test_perplexity(self):
        rows = json.loads(self.eval("ppl", "--json", "-c", 1500).stdout)
        for row in rows:
            self.assertEqual(list(row), ["attn", "ppl", "n_scored", *self.COST, "ppl_ratio"])
            self.assertEqual((row["n_prompt"], row["n_scored"]), (1500, 749))
            self.assertAlmostEqual(row["ppl_ratio"], row["ppl"] / rows[0]["ppl"], places=6)
        self.assertEqual(rows[0]["ppl_ratio"], 1)
        self.assertAlmostEqual(rows[1]["ppl_ratio"], 1, delta=1e-3)

    def test_influence(self):
        documents = self.file("documents.jsonl", b"".join(
            json.dumps({"id": f"d{i}", "text": TEXT * (i + 1)}).encode() + b"\n\n" for i in range(3)))
        plan = self.file("masked.json", b'{"rows": [{"layers": "1", "heads": "0", "steer": "uniform"}]}')
        run = lambda *args: self.ok("eval", "-m", self.model, "--task", "influence", "-t", 1, "--attn", "dense", *args)
        base, masked = json.loads(run("-f", documents, "--plan", plan, "--json").stdout)
        self.assertEqual([one["id"] for one in base["documents"]], ["d0", "d1", "d2"])
        self.assertTrue(all(one["influence"] == 0 for one in base["documents"]))
        for one, other in zip(base["documents"], masked["documents"]):
            self.assertNotEqual(one["loss"], other["loss"])
            self.assertAlmostEqual(other["influence"], other["loss"] / one["loss"] - 1, places=9)
        # A file that is no .jsonl is one document, and no plan without edits changes a loss.
        (alone,) = json.loads(run("-f", self.file("d2.txt", (TEXT * 3).encode()), "--json").stdout)
        self.assertEqual(alone["documents"][0]["loss"], base["documents"][2]["loss"])
        self.assertRegex(run("-f", documents, "--plan", plan).stdout.decode(), r"\nd[012] +\d+ +[\d.]+ +-?[\d.]+")

    def test_documents_that_are_none(self):
        refused = lambda name, content: self.refused(
            2, "eval", "-m", self.model, "--task", "influence", "-f", self.file(name, content), "--attn", "dense")
        self.assertIn('line 2 must be a JSON object with a "text"', refused("a.jsonl", b'{"text": "x y z"}\n{"txt": 1}\n'))
        self.assertIn("it is empty", refused("b.jsonl", b"\n \n"))
        self.assertIn("none of them follows another", refused("c.jsonl", b'{"text": ""}\n'))
        self.assertIn("-o must end in .json or .jsonl", self.eval_refused("--task", "influence", "-o", "page.html"))

    def test_tables_and_files(self):
        out = os.path.join(self.dir, "needles.json")
        table = self.eval("multineedle", "-o", out, specs=["dense"]).stdout.decode()
        self.assertRegex(table, r"\ndense +\d+/20 .* [#.]{20}\n")
        with open(out, encoding="utf-8") as file:
            self.assertEqual([row["attn"] for row in json.load(file)], ["dense"])
        page = os.path.join(self.dir, "needles.html")
        for task in ("multineedle", "ppl"):
            self.eval(task, "-o", page, specs=["dense", "none"])
            self.assertEqual([row["attn"] for row in page_data(self, page)], ["dense", "none"])
        self.assertRegex(self.eval("ppl", specs=["dense"]).stdout.decode(), r"\ndense +[\d.]+ +1\.00000 ")

    def test_resume_keeps_rows_of_each_task_apart(self):
        path = os.path.join(self.dir, "eval.jsonl")
        for task in ("multineedle", "ppl"):
            first = json.loads(self.eval(task, "--json", "--resume", path).stdout)
            self.assertEqual(json.loads(self.eval(task, "--json", "--resume", path).stdout), first, "nothing was measured again")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 6)

    def test_what_is_refused(self):
        self.assertIn("--task", self.eval_refused())
        self.assertEqual(self.eval_refused("--task", "multineedles"), '--task: unknown task "multineedles"; did you mean "multineedle"?')
        self.assertIn('"ppl"', self.eval_refused("--task", "pl"))
        for task, least in (("multineedle", "1000"), ("ppl", "512")):
            self.assertIn(f"at least {least} are needed", self.eval_refused("--task", task, "-c", 300))
            short = self.file("short.txt", TEXT.encode())
            line = self.refused(2, "eval", "-m", self.model, "-f", short, "--task", task)
            self.assertIn("too little text", line)
        endless = self.file("endless.txt", b"word " * 2000)
        self.assertIn("end of a sentence or line", self.refused(2, "eval", "-m", self.model, "-f", endless, "--task", "multineedle"))
        self.assertIn("-c must be <= 4096", self.eval_refused("--task", "ppl", "-c", 5000))
        self.assertIn("-o must end in", self.eval_refused("--task", "ppl", "-o", "out.txt"))
        self.assertIn("--raw", self.eval_refused("--task", "ppl", "--raw"))
        self.assertIn('"window"', self.eval_refused("--task", "ppl", "--attn", "windw"))


if __name__ == "__main__":
    unittest.main()
