"""saccade run, and its sessions."""

import json
import os
import signal
import subprocess
import unittest

import tiny_model
from cli import Cli, SACCADE, TEXT


class Run(Cli):
    KEYS = ["model", "attn", "skips_attention", "n_prompt", "n_reused", "n_generated", "n_text", "n_text_given", "n_ctx",
            "ubatch", "yarn", "threads", "stop", "prefill_s", "prefill_tok_per_s", "decode_s", "decode_tok_per_s", "attention_s",
            "selection_s", "pairs_visited", "pairs_dense", "density", "prefill_density", "decode_density", "heads_chosen",
            "heads_dense_by_rule", "heads_dense_by_floor", "heads_dense_by_cost", "share_i16", "share_bf16", "share_skipped", "calls",
            "calls_not_causal", "linear", "linear_s", "linear_calls", "linear_share_bf16", "kv_bytes", "answer"]

    def test_the_record(self):
        record, _ = self.answer("-p", "who?")
        self.assertEqual(list(record), self.KEYS)
        self.assertEqual((record["attn"], record["density"], record["calls_not_causal"]), ("dense", 1.0, 0))
        # Prompt and generated tokens but the last, which is not fed back; two heads in each of two layers.
        n = record["n_prompt"] + record["n_generated"] - (1 if record["stop"] == "length" else 0)
        self.assertEqual(record["pairs_dense"], 2 * 2 * n * (n + 1) // 2)
        self.assertEqual(record["threads"], len(os.sched_getaffinity(0)))

    def test_what_selectors_did(self):
        dense, _ = self.answer()
        self.assertEqual((dense["selection_s"], dense["heads_chosen"], dense["ubatch"]), (0, 0, 1024))
        some, _ = self.answer("--attn", "random(0.3)")
        self.assertGreater(some["selection_s"], 0)
        self.assertEqual(some["heads_chosen"], 2 * some["calls"])
        self.assertLess(some["prefill_density"], 0.6)
        self.assertLess(some["decode_density"], 0.6)
        most, _ = self.answer("--attn", "random(0.95)")
        self.assertGreater(most["heads_dense_by_cost"], 0)
        said = self.ok("run", "-m", self.model, "-f", self.text, "-n", 2, "--attn", "random(0.95)").stderr.decode()
        self.assertRegex(said, r"selected +\d+ heads of calls, \d+ of them dense: 0 by the selector's rule, 0 by the floor, \d+ by cost")

    def test_batches_are_larger_where_the_choice_depends_on_them(self):
        for spec in ("flexprefill", "window(64)+floor"):
            record, _ = self.answer("--attn", spec)
            self.assertEqual(record["ubatch"], -(-record["n_prompt"] // 256) * 256)
            self.assertEqual(self.answer("--attn", spec, "--ubatch", 500)[0]["ubatch"], 500)
        for spec in ("random", "window(64)"):
            self.assertEqual(self.answer("--attn", spec)[0]["ubatch"], 1024)
        floored, _ = self.answer("--attn", "window(16)+floor(mass=0.999)")
        self.assertGreater(floored["heads_dense_by_floor"], 0)

    def test_sparse_visits_fewer(self):
        record, _ = self.answer("--attn", "window(64)+sink(4)")
        self.assertLess(record["density"], 0.2)
        self.assertGreater(record["density"], 0)

    def test_faint_keys_go_by_runs(self):
        plain, _ = self.answer()
        self.assertEqual(plain["share_skipped"], 0)
        some, _ = self.answer("--attn", "dense+skip_softmax(0.05)")
        self.assertEqual(some["density"], 1)
        if some["share_i16"] > 0.5:  # who alone does so
            self.assertGreater(some["share_skipped"], 0)
        else:
            self.assertEqual(some["share_skipped"], 0)

    def test_precision_is_part_of_what_a_session_is_made_with(self):
        record, _ = self.answer("--precision", "f32", "--session", "f32.session")
        self.assertEqual((record["share_i16"], record["share_bf16"]), (0, 0))
        self.assertIn("f32", self.run_refused(2, "--session", "f32.session", "--precision", "i16"))
        for word in ("f16", "int3"):
            self.assertIn(word, self.run_refused(2, "--precision", word))

    def test_whose_linear_layers(self):
        record, _ = self.answer("--linear", "ggml", "--session", "ggml.session")
        self.assertEqual((record["linear"], record["linear_calls"], record["linear_s"]), ("ggml", 0, 0))
        self.assertIn("ggml", self.run_refused(2, "--session", "ggml.session", "--linear", "auto"))
        self.assertIn("blas", self.run_refused(2, "--linear", "blas"))
        self.assertEqual(self.answer("--linear", "auto")[0]["linear"], "auto")
        theirs, _ = self.answer("--attn", "ggml", "--linear", "auto")
        self.assertEqual((theirs["linear"], theirs["linear_s"]), ("ggml", None))

    def test_none_is_loud(self):
        done = self.ok("run", "-m", self.model, "-f", self.text, "-n", 4, "--attn", "none")
        self.assertIn("ATTENTION WAS SKIPPED", done.stderr.decode())
        record, _ = self.answer("--attn", "none")
        self.assertEqual((record["skips_attention"], record["pairs_visited"], record["density"]), (True, 0, 0.0))

    def test_peers(self):
        theirs, _ = self.answer("--attn", "ggml")
        self.assertIsNone(theirs["attention_s"])
        self.assertIsNone(theirs["density"])
        ours, _ = self.answer()
        self.assertEqual(ours["answer"], theirs["answer"])

    def test_answer_on_stdout_record_on_stderr(self):
        record, _ = self.answer()
        done = self.ok("run", "-m", self.model, "-f", self.text, "-n", 8)
        self.assertEqual(done.stdout.decode(errors="replace"), record["answer"] + "\n")
        for word in ("fidelity record", "prefill", "density", "KV", "in attention"):
            self.assertIn(word, done.stderr.decode())

    def test_a_plan(self):
        rows = [{"layers": "1", "attn": "window(16)"}]
        path = self.file("half.json", json.dumps({"default": {"attn": "dense"}, "rows": rows}).encode())
        record, _ = self.answer("--plan", path)
        self.assertGreater(record["density"], 0.5)
        self.assertLess(record["density"], 0.6)

    def test_interrupt(self):
        process = subprocess.Popen([SACCADE, "run", "-m", self.model, "-f", self.text, "-n", "2000", "--session", "never"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.dir)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (130, b"saccade: interrupted\n"))
        os.unlink(os.path.join(self.dir, "never"))


class Sessions(Cli):
    def test_a_second_question_does_not_pay_the_prefill_again(self):
        path = os.path.join(self.dir, "session")
        first, _ = self.answer("-p", "who?", "--session", path)
        self.assertEqual(first["n_reused"], 0)
        alone, _ = self.answer("-p", "and why?")
        second, said = self.answer("-p", "and why?", "--session", path)
        self.assertEqual(second["answer"], alone["answer"])
        self.assertGreaterEqual(second["n_reused"], second["n_text"])
        self.assertLess(second["n_prompt"] - second["n_reused"], 100)
        self.assertEqual(said, "")
        # The same file for the same question, and for a text that goes on.
        self.assertEqual(self.answer("-p", "who?", "--session", path)[0]["answer"], first["answer"])
        longer = self.file("longer.txt", (TEXT * 20 + "The end. ").encode())
        record = json.loads(self.ok("run", "-m", self.model, "-f", longer, "--json", "-n", 8, "--session", path).stdout)
        self.assertGreater(record["n_reused"], 1000)
        fresh = json.loads(self.ok("run", "-m", self.model, "-f", longer, "--json", "-n", 8).stdout)
        self.assertEqual(record["answer"], fresh["answer"])

    def test_a_text_that_differs_later_shares_its_beginning(self):
        path = os.path.join(self.dir, "shared")
        self.answer("--session", path)
        other = self.file("other.txt", (TEXT * 10 + "And then something else happened. " * 3).encode())
        args = ("run", "-m", self.model, "-f", other, "--json", "-n", 8)
        with_session = json.loads(self.ok(*args, "--session", path).stdout)
        self.assertGreater(with_session["n_reused"], 500)
        self.assertEqual(with_session["answer"], json.loads(self.ok(*args).stdout)["answer"])

    def test_raw_without_a_question(self):
        path = os.path.join(self.dir, "raw")
        first, _ = self.answer("--raw", "--session", path)
        second, _ = self.answer("--raw", "--session", path)
        self.assertEqual(second["answer"], first["answer"])
        self.assertEqual(second["n_reused"], second["n_prompt"] - 1)

    def test_what_does_not_belong_together_is_refused(self):
        path = os.path.join(self.dir, "mine")
        self.answer("--session", path)
        self.assertIn("--attn 'dense'", self.run_refused(2, "--session", path, "--attn", "window(64)"))
        self.run_refused(2, "--session", path, "--attn", "ggml")
        other = os.path.join(self.dir, "other.gguf")
        tiny_model.write(other, llama__rope__freq_base=20000.0)
        self.assertIn("another model", self.refused(2, "run", "-m", other, "-f", self.text, "--session", path))

    def test_damaged_sessions(self):
        path = os.path.join(self.dir, "whole")
        self.answer("--session", path)
        with open(path, "rb") as file:
            whole = file.read()
        line = whole.index(b"\n") + 1
        for n in (0, 5, line - 1, line, line + 100, len(whole) - 1):
            self.assertIn("session", self.run_refused(2, "--session", self.file("cut", whole[:n])))
        for at in (line + 3, len(whole) // 2, len(whole) - 1):
            self.run_refused(2, "--session", self.file("hit", whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]))
        self.run_refused(2, "--session", self.file("long", whole + b"x"))
        self.run_refused(2, "--session", self.file("foreign", b"dear diary\n"))


if __name__ == "__main__":
    unittest.main()
