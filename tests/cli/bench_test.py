"""saccade bench."""

import json
import unittest

from cli import Cli


class Bench(Cli):
    """Fields and refusals; no time is asserted."""

    HEAD = ["bench", "cpu", "n_cores", "targets", "commit", "ggml", "team", "repetitions", "rows"]

    def bench(self, *args):
        report = json.loads(self.ok("bench", *args, "--json", "-r", 1).stdout)
        self.assertEqual(list(report), self.HEAD)
        self.assertEqual((report["bench"], report["repetitions"]), (args[0], 1))
        for row in report["rows"]:
            self.assertEqual(set(row), set(report["rows"][0]), "every row has every field")
        return report["rows"], report

    def test_attend(self):
        rows, report = self.bench("attend", "--head-dim", "64", "--kv", "1k", "--q-len", 64, "-t", "1,2", "--precision", "f32",
                                  "--target", ",".join(report_targets(self)))
        n_targets = len(report["targets"])
        self.assertEqual([row["who"] for row in rows], 2 * (["ggml", "ggml(fa=off)"] + n_targets * ["saccade"]))
        for row in rows:
            self.assertEqual((row["head_dim"], row["kv_len"], row["q_len"], row["type"]), (64, 1024, 64, "f16"))
            self.assertLessEqual(row["ms_min"], row["ms"])
            self.assertLessEqual(row["ms"], row["ms_max"])
            self.assertGreater(row["gflop_per_s"], 0)
            self.assertEqual(row["density"], 1)
            self.assertGreater(row["vs_one_thread"], 0)
            if row["who"] == "saccade":
                self.assertEqual((row["precision"], row["peak"]), ("f32", "fma_f32"))
                for field in ("share_of_peak", "peak_gflop_per_s", "vs_ggml", "vs_ggml_fa_off", "vs_better_ggml"):
                    self.assertGreater(row[field], 0)
                self.assertAlmostEqual(row["vs_better_ggml"], min(row["vs_ggml"], row["vs_ggml_fa_off"]))

    def test_block_sparse(self):
        rows, _ = self.bench("attend", "--head-dim", "64", "--kv", "4k", "--q-len", 128, "--precision", "f32", "--density", "0.25,1")
        self.assertEqual([row["who"] for row in rows], 3 * ["saccade"])
        dense, quarter, all_blocks = rows
        self.assertIsNone(dense["time_of_dense"])
        self.assertAlmostEqual(quarter["density"], 0.25, delta=0.02)
        self.assertEqual(all_blocks["density"], 1)
        self.assertAlmostEqual(quarter["wanted_of_dense"], 1.2 * quarter["density"] + 0.02, delta=1e-3)
        self.assertGreater(quarter["time_of_dense"], 0)

    def test_decode(self):
        rows, _ = self.bench("decode", "--head-dim", "64", "--kv", "1k", "--type", "f16,q8_0", "--footprint", 2, "-t", 2)
        self.assertEqual([(row["type"], row["who"]) for row in rows],
                         [("f16", "ggml"), ("f16", "ggml(fa=off)"), ("f16", "saccade"), ("q8_0", "ggml"), ("q8_0", "saccade")])
        for row in rows:
            self.assertGreaterEqual(row["footprint_mib"], 2)
            for field in ("n_layers", "ms", "gb_per_s", "read_gb_per_s", "share_of_read"):
                self.assertGreater(row[field], 0)
        self.assertIsNone(rows[4]["vs_ggml_fa_off"], "llama.cpp has no quantised values without flash attention")

    def test_linear(self):
        rows, report = self.bench("linear", "--matrix", "512x72", "--type", "q4_0,q6_K,f16", "--tokens", 40, "-t", "1,2")
        for row in rows:
            self.assertEqual((row["dim"], row["n_rows"], row["n_tokens"]), (512, 72, 40))
            self.assertGreater(row["gflop_per_s"], 0)
            self.assertGreater(row["vs_one_thread"], 0)
            self.assertLess(row["error"], 0.05)
        for kind in ("q4_0", "q6_K", "f16"):
            who = [(row["who"], row["precision"]) for row in rows if row["type"] == kind and row["threads"] == 2]
            self.assertEqual((who[0], len(set(who))), (("ggml", None), len(who)))
            ours = [row for row in rows if row["type"] == kind and row["who"] == "saccade"]
            amx = report["targets"][0] == "AMX"
            self.assertIn(len(ours), (4,) if amx else (0, 2))  # in bf16 too, each on 1 and 2 threads; none without VNNI
            for row in ours:
                for field in ("vs_ggml", "vs_better_ggml", "peak_gflop_per_s", "share_of_peak"):
                    self.assertGreater(row[field], 0)
        rows, report = self.bench("linear", "--matrix", "512x72,64x40x6x2", "--type", "q8_0", "--tokens", 50, "-t", 1, "--precision", "bf16,i16")
        for row in rows:
            if row["who"] == "ggml" or row["who"].startswith("ggml("):
                self.assertIsNone(row["precision"])
                continue
            real = report["targets"][0] == "AMX"  # else its rows are marked
            self.assertEqual(row["who"], "saccade" if real or row["precision"] == "i16" else "saccade(emulated)")
            peak = "vnni_i16" if row["precision"] == "i16" else "amx_bf16_random" if real else "fma_f32"
            self.assertEqual((row["peak"], row["error"] < 0.003), (peak, True))
        self.assertIn(sum(row["who"].startswith("saccade") for row in rows), (0, 4))
        (ggml, *_, ours), _ = self.bench("linear", "--matrix", "64x40x6x2", "--type", "q8_0", "--tokens", 50, "-t", 1)
        self.assertEqual((ggml["n_experts"], ggml["n_used"], ggml["who"]), (6, 2, "ggml"))
        if ours["who"] == "saccade":
            self.assertGreater(ours["vs_better_ggml"], 0)
        for wrong in (("--matrix", "512"), ("--matrix", "64x40x6"), ("--matrix", "64x40x2x3"), ("--matrix", "0x4"), ("--matrix", "4x-1"), ("--type", "f32"), ("--tokens", 0),
                      ("--matrix", "500x8", "--type", "q4_K"), ("--precision", "f23"), ("--precision", "auto")):
            self.refused(2, "bench", "linear", *wrong)
        self.assertIn("i16 or bf16, got f32", self.refused(2, "bench", "linear", "--precision", "f32"))

    SELECT = ("bench", "select", "-m", "tiny.gguf", "-f", "text.txt")

    def test_select(self):
        specs = ["random(0.25)", "window(64)+sink(4)", "flexprefill", "quest"]
        attn = [word for spec in specs for word in ("--attn", spec)]
        said = self.ok(*self.SELECT, *attn, "-c", 1200, "--ubatch", 256, "--layers", 1, "-r", 1, "--rows", 5, "-t", 2, "--json")
        report = json.loads(said.stdout)
        self.assertEqual((report["bench"], report["n_prompt"], report["layers"], report["ubatch"]), ("select", 1196, [1], 256))
        # Of batches that end at 172, 428, 684, 940 and 1196 the nearest to the middle and the last; then decoding.
        steps = [(row["step"], row["kv_len"], row["attn"]) for row in report["summary"]]
        self.assertEqual(steps, [("prompt", at, spec) for at in (684, 1196) for spec in specs[:3]] +
                         [("decode", 1197, spec) for spec in (specs[0], specs[1], specs[3])])
        self.assertEqual([(row["step"], row["kv_len"], row["attn"]) for row in report["rows"]], steps, "one layer")
        for row in report["rows"]:
            self.assertEqual(row["layer"], 1)
            self.assertEqual(row["heads"], len(row["of_head"]) * (4 if row["step"] == "decode" else 1))
            self.assertGreater(row["attend_ms"], 0)
            self.assertGreater(row["vs_dense"], 0)
            for least, most in (("mass_worst", "mass"), ("mass", "mass_oracle"), ("mass_random", "mass_oracle")):
                self.assertLessEqual(row[least], row[most] + 1e-6)
        window = report["rows"][1]
        self.assertLess(window["density"], 0.2)
        self.assertEqual(window["select_ms"] < window["attend_ms"], True)
        table = self.ok(*self.SELECT, "--attn", "window(64)", "-c", 300, "-r", 1, "--decode", 0).stdout.decode()
        self.assertRegex(table, r"window\(64\) +prompt +300")

    def test_select_refuses(self):
        for args, line in [
            ((), "bench select: what to select with? --attn SPEC or --plan PLAN.json, once or more"),
            (("--attn", "ggml"), "bench select: --attn must be an attention of ours, got ggml"),
            (("--attn", "dense", "--along", "ggml"), "bench select: --along must be an attention of ours, got ggml"),
            (("--attn", "dense", "--layers", 2), "--layers must be <= 1, got 2"),
            (("--attn", "dense", "--at", 101), "--at must be <= 100, got 101"),
            (("--attn", "dense", "--rows", 0), "--rows must be >= 1, got 0"),
            (("--attn", "dense", "-r", 0), "-r must be >= 1, got 0"),
            (("--attn", "dense", "--decode", -1), "--decode must be >= 0, got -1"),
        ]:
            self.assertEqual(self.refused(2, *self.SELECT, *args), line)
        self.assertRegex(self.refused(2, *self.SELECT, "--attn", "dense", "-c", 5), "too little text")
        self.assertIn("windw", self.refused(2, *self.SELECT, "--attn", "windw"))

    def test_machine(self):
        rows, report = self.bench("machine", "--footprint", 2, "-t", "1,2")
        self.assertEqual(rows[0]["what"], "clock")
        for n_threads in (1, 2):
            for target in report["targets"]:
                found = {row["what"] for row in rows if row["target"] == target and row["threads"] == n_threads}
                self.assertLessEqual({"fma_f32", "exp2_f32"}, found)
                if target == report["targets"][0]:
                    self.assertLessEqual({"vnni_i16", "amx_bf16_zeros", "amx_bf16_random"}, found)
            read = [row["footprint_mib"] for row in rows if row["what"] == "read" and row["threads"] == n_threads]
            self.assertEqual(read, [1, 2])
        for row in rows:
            if row["what"] not in ("vnni_i16", "amx_bf16_zeros", "amx_bf16_random"):  # null where the CPU has none
                self.assertGreater(row["rate"], 0)
                self.assertLessEqual(row["rate_min"], row["rate_max"])

    def test_see(self):
        rows, _ = self.bench("see", "--head-dim", "64", "--kv", "512", "--q-len", 100, "-t", 2)
        who = [row["who"] for row in rows]
        self.assertEqual(len(who), len(set(who)))
        self.assertLessEqual({"attend(f32)", "attend(f32) entropy", "attend(f32) all", "look nothing", "look entropy", "look all"}, set(who))
        for row in rows:
            self.assertGreater(row["of_attend_f32"], 0)
            self.assertEqual(row["adds_to_attend_f32"] is None, row["who"].startswith("attend"))
            self.assertEqual(row["of_attend"] is None, row["who"].startswith("attend"))
            self.assertEqual(row["adds_to_attend"] is None, row["who"].startswith("look") or " " not in row["who"])

    def test_tables(self):
        self.assertIn("adds", self.ok("bench", "see", "--head-dim", "64", "--kv", "512", "-r", 1).stdout.decode())
        self.assertIn("x better", self.ok("bench", "attend", "--head-dim", "64", "--kv", "512", "-r", 1).stdout.decode())
        self.assertIn("of read", self.ok("bench", "decode", "--head-dim", "64", "--kv", "512", "--footprint", 1, "-r", 1).stdout.decode())
        self.assertIn("GFLOP/s", self.ok("bench", "machine", "--footprint", 1, "-r", 1).stdout.decode())
        self.assertIn("--density", self.ok("bench", "attend", "--help").stdout.decode())

    def test_names(self):
        self.assertIn('"attend"', self.refused(2, "bench", "atend"))
        self.assertIn("attend, decode, linear, select, machine or see", self.refused(2, "bench"))
        self.assertIn('"f16"', self.refused(2, "bench", "attend", "--type", "f17"))
        self.assertIn("f23", self.refused(2, "bench", "attend", "--precision", "f23"))
        self.assertIn("got auto", self.refused(2, "bench", "attend", "--precision", "auto"))
        self.assertIn('"AVX', self.refused(2, "bench", "attend", "--target", "AVX9"))
        self.refused(2, "bench", "decode", "--density", "0.5")

    def test_numbers(self):
        for args, line in [
            (("attend", "-t", 0), "-t must be >= 1, got 0"),
            (("machine", "-t", 9999), "-t must be <= 512, got 9999"),
            (("attend", "-r", 0), "-r must be >= 1, got 0"),
            (("attend", "--kv", 0), "--kv must be >= 1, got 0"),
            (("attend", "--kv", 100), "--kv must be >= 512, the number of queries, got 100"),
            (("attend", "--heads", 3), "--heads must be a multiple of --kv-heads, got 3 and 2"),
            (("attend", "--density", 0), "--density must be > 0 and <= 1, got 0"),
            (("decode", "--footprint", 0), "--footprint must be >= 1, got 0"),
        ]:
            self.assertEqual(self.refused(2, "bench", *args), line)
        self.assertRegex(self.refused(2, "bench", "attend", "--head-dim", 7), "multiple of 8 .* f16, got 7")
        self.assertRegex(self.refused(2, "bench", "decode", "--head-dim", 72, "--type", "q8_0"), "multiple of 32 .* q8_0, got 72")
        for value in ("", "k", "4x", "4,,8", "many", "99999999999999999999", "9999999999k"):
            self.refused(2, "bench", "attend", "--kv", value)

    def test_what_does_not_fit_into_memory(self):
        self.assertRegex(self.refused(3, "bench", "attend", "--kv", "500000k"), "takes .* GiB, .* GiB of memory are free")
        self.assertRegex(self.refused(3, "bench", "decode", "--footprint", 100_000_000), "takes .* GiB, .* GiB of memory")
        self.assertRegex(self.refused(3, "bench", "machine", "--footprint", 100_000_000), "takes .* GiB, .* GiB of memory")

    def test_what_this_machine_cannot_run(self):
        _, report = self.bench("machine", "--footprint", 1)
        self.assertGreater(len(report["targets"]), 1)
        line = self.refused(3, "bench", "attend", "--precision", "i16", "--target", report["targets"][-1])
        self.assertIn("i16", line)


def report_targets(case):
    return json.loads(case.ok("bench", "machine", "--json", "--footprint", 1, "-r", 1).stdout)["targets"]


if __name__ == "__main__":
    unittest.main()
