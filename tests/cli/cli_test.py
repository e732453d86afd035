"""The command line, driven as a user would: every problem is one line on stderr and the right exit code, and nothing is
left half-written. Uses a small model of random weights; needs no download."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import tiny_model

SACCADE = os.environ["SACCADE"]
TEXT = "It is a truth universally acknowledged, that a single man must be in want of a wife. "


def page_data(test, path):
    """The rows that a page holds; the page must be well-formed and ask nothing of the network."""
    html = "{http://www.w3.org/1999/xhtml}"
    root = xml.etree.ElementTree.parse(path).getroot()
    for element in root.iter():
        test.assertFalse({"src", "href"} & set(element.attrib), element.tag)
    (data,) = (script for script in root.iter(f"{html}script") if script.get("id") == "data")
    test.assertEqual(data.get("type"), "application/json")
    return json.loads(data.text)


class Cli(unittest.TestCase):
    """A folder of its own with a model, a text of about 1,700 tokens, and a way to call the program."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="saccade-cli-")
        cls.model = os.path.join(cls.dir, "tiny.gguf")
        cls.header_bytes = tiny_model.write(cls.model)
        cls.text = cls.file("text.txt", (TEXT * 20).encode())

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    @classmethod
    def file(cls, name, content):
        path = os.path.join(cls.dir, name)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def saccade(self, *args, **more):
        return subprocess.run([SACCADE, *map(str, args)], capture_output=True, cwd=self.dir, timeout=120, **more)

    def ok(self, *args, **more):
        done = self.saccade(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done

    def refused(self, code, *args, **more):
        """Its one line, without the program's name."""
        before = sorted(os.listdir(self.dir))
        done = self.saccade(*args, **more)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("saccade: "), lines)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(sorted(os.listdir(self.dir)), before, "nothing appears and nothing is left behind")
        return lines[0].removeprefix("saccade: ")

    def run_refused(self, code, *args, **more):
        return self.refused(code, "run", "-m", self.model, "-f", self.text, *args, **more)

    def answer(self, *args):
        """One `run --json`; the record and what was said on stderr."""
        done = self.ok("run", "-m", self.model, "-f", self.text, "--json", "-n", 8, *args)
        return json.loads(done.stdout), done.stderr.decode()


class Lists(Cli):
    def test_list_names_every_mechanism_with_its_parameters(self):
        rows = json.loads(self.ok("list", "--json").stdout)
        names = [row["name"] for row in rows]
        self.assertLessEqual({"dense", "window", "sink", "none"}, set(names))
        for row in rows:
            self.assertEqual(list(row), ["word", "name", "params", "sentence", "source", "goes_by", "prefill", "decode",
                                         "exact_on_selection", "needle", "depends_on_batch"])
            self.assertEqual(row["needle"] is None, row["goes_by"] != "data", row)
            self.assertTrue(row["sentence"] and row["source"], row)
        window = rows[names.index("window")]
        self.assertEqual([(p["name"], p["default"]) for p in window["params"]], [("n", "1024")])
        plain = self.ok("list").stdout.decode()
        for name in [*names, "ggml", "ggml(fa=off)"]:
            self.assertIn(name, plain)

    def test_list_of_one_word(self):
        rows = json.loads(self.ok("list", "--word", "where", "--json").stdout)
        self.assertEqual({row["word"] for row in rows}, {"where"})
        self.assertIn('"where"', self.refused(2, "list", "--word", "wher"))

    def test_show(self):
        self.assertEqual(json.loads(self.ok("show", "sink", "--json").stdout)["name"], "sink")
        self.assertIn("default 1024", self.ok("show", "window").stdout.decode())
        shown = self.ok("show", "flexprefill").stdout.decode()
        for promise in ("in prompts; decode steps run dense", "depends on how a prompt is cut", "finds a key"):
            self.assertIn(promise, shown)
        self.assertIn("may miss", self.ok("show", "random").stdout.decode())
        plain = self.ok("list").stdout.decode()
        self.assertRegex(plain, r"flexprefill\(.* data: prefill ")
        self.assertRegex(plain, r"window\(.* positions ")
        self.assertRegex(plain, r"floor\(.* choices ")
        self.assertIn('"window"', self.refused(2, "show", "windw"))

    def test_plugin_prints_a_path_and_the_line_that_uses_it(self):
        path, line = self.ok("plugin").stdout.decode().splitlines()
        self.assertTrue(os.path.exists(path))
        self.assertEqual(line, f"GGML_BACKEND_PATH={path} LLAMA_ARG_OVERRIDE_TENSOR=none=CPU llama-server -m MODEL")

    def test_help_goes_to_stdout(self):
        self.assertIn("compare", self.ok("--help").stdout.decode())
        self.assertIn("--session", self.ok("run", "--help").stdout.decode())


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


class Texts(Cli):
    def text_refused(self, content):
        return self.refused(2, "run", "-m", self.model, "-f", self.file("bad.txt", content))

    def test_texts(self):
        self.assertIn("it is empty", self.text_refused(b""))
        self.assertIn("it is empty", self.text_refused(b" \n\t\n"))
        self.assertIn("byte 4 (0xFF)", self.text_refused(b"abcd\xff"))
        self.text_refused("Gru\u00df Gott".encode("latin-1"))
        self.text_refused("half a character \u20ac".encode()[:-1])
        self.refused(2, "run", "-m", self.model, "-f", "no-such-text.txt")
        self.refused(2, "run", "-m", self.model, "-f", self.dir)
        self.assertIn("UTF-8", self.run_refused(2, "-p", b"\xff".decode("utf-8", "surrogateescape")))

    def test_a_text_longer_than_the_context(self):
        long_text = self.file("long.txt", (TEXT * 60).encode())
        args = ("run", "-m", self.model, "-f", long_text, "-p", "why?", "-n", 10)
        line = self.refused(2, *args)
        # 4,096 of context, 10 for the answer; the rest of the line's numbers must add up.
        words = [int(word) for word in "".join(c if c.isdigit() else " " for c in line).split()]
        given, room, context, answer, frame = words[:5]
        self.assertEqual((context, answer, room), (4096, 10, 4096 - 10 - frame))
        self.assertGreater(given, room)
        done = self.ok(*args, "--truncate", "--json")
        record = json.loads(done.stdout)
        self.assertEqual((record["n_text"], record["n_text_given"], record["n_prompt"]), (room, given, 4096 - 10))
        self.assertIn(f"first {room} of {given} tokens", done.stderr.decode())
        self.assertIn("500", self.refused(2, *args, "-c", 500))
        self.refused(2, *args, "-n", 4096)

    def test_control_words_in_a_text_are_text(self):
        sly = self.file("sly.txt", b"<|im_end|>")
        record = json.loads(self.ok("run", "-m", self.model, "-f", sly, "--raw", "--json", "-n", 1).stdout)
        self.assertGreater(record["n_text"], 5)


class Models(Cli):
    def model_refused(self, content, code=2):
        return self.refused(code, "run", "-m", self.file("bad.gguf", content), "-f", self.text)

    def test_missing_and_foreign(self):
        self.assertIn("No such file", self.refused(3, "run", "-m", "no-such-model.gguf", "-f", self.text))
        self.assertIn("not a regular file", self.refused(2, "run", "-m", self.dir, "-f", self.text))
        self.model_refused(b"")
        self.assertIn("GGUF", self.model_refused(b"hello, I am not a model"))

    def test_truncated_and_damaged(self):
        with open(self.model, "rb") as file:
            whole = file.read()
        for n in (3, 10, 24, 100, 3000, self.header_bytes - 40, self.header_bytes, len(whole) // 2, len(whole) - 1):
            self.model_refused(whole[:n])
        for key in (b"llama.block_count", b"llama.attention.head_count", b"blk.1.attn_q.weight", b"token_embd.weight"):
            at = whole.index(key)
            self.model_refused(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            value = at + len(key) + 4
            self.model_refused(whole[:value] + bytes([whole[value] ^ 1]) + whole[value + 1 :])

    def test_what_only_llama_can_see_is_one_line_too(self):
        path = os.path.join(self.dir, "odd.gguf")
        tiny_model.write(path, general__architecture="llamb", **{
            key.replace("llama.", "llamb.").replace(".", "__"): value for key, value in (
                ("llama.block_count", 2), ("llama.context_length", 64), ("llama.embedding_length", 64),
                ("llama.attention.head_count", 2), ("llama.attention.head_count_kv", 1))})
        self.refused(2, "run", "-m", path, "-f", self.text)

    def test_no_chat_template(self):
        path = os.path.join(self.dir, "base.gguf")
        tiny_model.write(path, tokenizer__chat_template=None)
        self.assertIn("--raw", self.refused(2, "run", "-m", path, "-f", self.text))
        self.ok("run", "-m", path, "-f", self.text, "--raw", "-n", 1)


def small_files():
    """No file may grow beyond 2,000 bytes: as good as a full disk, and needs no root."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


class Outputs(Cli):
    def setUp(self):
        self.full = os.path.join(self.dir, "full.json")
        if not os.path.islink(self.full):
            os.symlink("/dev/full", self.full)

    def compare(self, *args):
        return ("compare", "-m", self.model, "-f", self.text, "--attn", "dense", *args)

    def test_a_directory_that_is_not_there(self):
        for args in (self.compare("-o", "nowhere/out.json"), self.compare("--resume", "nowhere/r.jsonl")):
            self.assertIn("no such directory", self.refused(2, *args))
        self.assertIn("no such directory", self.run_refused(2, "--session", "nowhere/s"))
        self.assertIn("directory", self.run_refused(2, "--session", self.dir))
        self.assertIn(".json", self.refused(2, *self.compare("-o", "out.txt")))

    def test_a_read_only_directory(self):
        if os.geteuid() == 0:
            place = "/sys"  # root may write anywhere else
        else:
            place = os.path.join(self.dir, "locked")
            os.makedirs(place, exist_ok=True)
            os.chmod(place, 0o500)
        self.refused(3, *self.compare("-o", f"{place}/out.json"))
        self.refused(3, *self.compare("--resume", f"{place}/r.jsonl"))
        self.run_refused(3, "--session", f"{place}/s")

    def test_a_full_disk(self):
        self.refused(3, *self.compare("-o", "full.json"))
        self.refused(3, *self.compare("--resume", "full.json"))
        self.run_refused(3, "--session", "full.json")
        self.run_refused(3, "--session", "s", "-n", 1, preexec_fn=small_files)
        self.refused(3, *self.compare("--resume", "r.jsonl"), preexec_fn=small_files)

    def test_a_full_disk_keeps_the_old_session(self):
        path = os.path.join(self.dir, "kept")
        self.answer("--session", path)
        with open(path, "rb") as file:
            before = file.read()
        longer = self.file("longer.txt", (TEXT * 21).encode())
        self.refused(3, "run", "-m", self.model, "-f", longer, "-n", 1, "--session", path, preexec_fn=small_files)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_stdout_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            for args in (("list",), ("run", "-m", self.model, "-f", self.text, "-n", "4"),
                         ("run", "-m", self.model, "-f", self.text, "-n", "4", "--json")):
                done = subprocess.run([SACCADE, *args], stdout=full, stderr=subprocess.PIPE, timeout=60)
                self.assertEqual((done.returncode, len(done.stderr.splitlines())), (3, 1), args)


class Run(Cli):
    KEYS = ["model", "attn", "skips_attention", "n_prompt", "n_reused", "n_generated", "n_text", "n_text_given", "n_ctx",
            "ubatch", "yarn", "threads", "stop", "prefill_s", "prefill_tok_per_s", "decode_s", "decode_tok_per_s", "attention_s",
            "selection_s", "pairs_visited", "pairs_dense", "density", "prefill_density", "decode_density", "heads_chosen",
            "heads_dense_by_rule", "heads_dense_by_floor", "heads_dense_by_cost", "share_i16", "share_bf16", "calls",
            "calls_not_causal", "linear", "linear_s", "linear_calls", "kv_bytes", "answer"]

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


class Compare(Cli):
    KEYS = ["attn", "n_prompt", "prefill_s", "prefill_tok_per_s", "attention_s", "selection_s", "linear_s", "decode_tok_per_s",
            "decode_attention_s", "decode_density", "density", "kv_bytes", "ppl", "kl_mean", "kl_p99", "top1_agreement",
            "mass_mean", "mass_worst", "mass_worst_at", "output_error",
            "decode_mass_mean", "decode_mass_worst", "decode_mass_worst_at", "decode_output_error"]
    SPECS = ["ggml", "ggml(fa=off)", "dense", "window(64)+sink(4)", "none"]

    def compare(self, *args, specs=SPECS, context=1536):
        attn = [word for spec in specs for word in ("--attn", spec)]
        return self.ok("compare", "-m", self.model, "-f", self.text, "-c", context, *attn, *args)

    def test_rows(self):
        rows = json.loads(self.compare("--json").stdout)
        self.assertEqual([row["attn"] for row in rows], self.SPECS)
        for row in rows:
            heads = ["heads", "decode_heads"] if row["attention_s"] is not None else []
            self.assertEqual(list(row), self.KEYS + heads)
            self.assertEqual(row["n_prompt"], 1536 - 72)
            self.assertGreater(row["ppl"], 1)
        ggml, off, dense, window, none = rows
        for theirs in (ggml, off):
            self.assertIsNone(theirs["attention_s"])
        self.assertEqual((ggml["kl_mean"], ggml["top1_agreement"]), (0, 1))
        for same in (off, dense):
            self.assertLess(same["kl_mean"], 1e-3)
            self.assertGreaterEqual(same["top1_agreement"], 0.98)
        self.assertEqual((dense["density"], none["density"]), (1, 0))
        self.assertLess(window["density"], 0.1)
        self.assertGreater(window["kl_mean"], dense["kl_mean"])
        # Recovered mass, of the prompt and of what came after it, over two heads in each of two layers.
        self.assertIsNone(ggml["mass_mean"])
        for row, most in ((dense, 1), (window, 0.99), (none, 0)):
            for of in ("", "decode_"):
                self.assertEqual([head[:2] for head in row[of + "heads"]], [[0, 0], [0, 1], [1, 0], [1, 1]])
                self.assertLessEqual(row[of + "mass_worst"], row[of + "mass_mean"])
                self.assertLessEqual(row[of + "mass_mean"], most + 1e-6)
        for of in ("", "decode_"):
            self.assertAlmostEqual(dense[of + "mass_worst"], 1, 6)
            self.assertGreater(window[of + "mass_worst"], 0)
            self.assertLess(dense[of + "output_error"], 0.01)
            self.assertEqual(none[of + "output_error"], 1)
        self.assertLess(window["decode_density"], 0.1)

    def test_the_table_and_the_files(self):
        out, lines = os.path.join(self.dir, "out.json"), os.path.join(self.dir, "out.jsonl")
        table = self.compare("-o", out, specs=["dense", "none"], context=256).stdout.decode().splitlines()
        self.assertEqual([line.split()[0] for line in table], ["attn", "dense", "none", "none:"])
        with open(out, encoding="utf-8") as file:
            self.assertEqual([row["attn"] for row in json.load(file)], ["dense", "none"])
        self.compare("-o", lines, specs=["dense", "none"], context=256)
        with open(lines, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["attn"] for line in file], ["dense", "none"])

    def test_the_page(self):
        out = os.path.join(self.dir, "a<b>&\".html")
        self.compare("-o", out, context=256)
        rows = page_data(self, out)
        self.assertEqual([row["attn"] for row in rows], self.SPECS)
        with open(out, encoding="utf-8") as file:
            page = file.read()
        for words in ("Speed-up against divergence", "Recovered mass against density", "All rows", "tiny.gguf", "no attention at all"):
            self.assertIn(words, page)

    def test_a_plan_row(self):
        path = self.file("row.json", json.dumps({"default": {"attn": "window(32)"}}).encode())
        rows = json.loads(self.compare("--json", "--plan", path, specs=["dense"]).stdout)
        self.assertEqual([row["attn"] for row in rows], ["dense", path])
        self.assertLess(rows[1]["density"], 0.1)

    def test_resume_keeps_finished_rows(self):
        path = os.path.join(self.dir, "rows.jsonl")
        first = json.loads(self.compare("--json", "--resume", path, specs=["dense", "none"]).stdout)
        again = json.loads(self.compare("--json", "--resume", path, specs=["dense", "none"]).stdout)
        self.assertEqual(again, first, "nothing was measured again: the times are the same to the bit")
        more = json.loads(self.compare("--json", "--resume", path, specs=["dense", "window(64)", "none"]).stdout)
        self.assertEqual([more[0], more[2]], first)
        self.assertGreater(more[1]["kl_mean"], 0)
        # Another context or reference is another comparison; its rows join the file.
        other = json.loads(self.compare("--json", "--resume", path, specs=["dense", "none"], context=1024).stdout)
        self.assertEqual(other[0]["n_prompt"], 1024 - 72)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 5)

    def test_resume_after_an_interruption(self):
        path = os.path.join(self.dir, "cut.jsonl")
        first = json.loads(self.compare("--json", "--resume", path, specs=["dense", "window(64)"]).stdout)
        with open(path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
        with open(path, "wb") as file:
            file.write(lines[0] + lines[1][:40])  # stopped while writing the second row
        again = json.loads(self.compare("--json", "--resume", path, specs=["dense", "window(64)"]).stdout)
        self.assertEqual(again[0], first[0])
        self.assertEqual(again[1]["kl_mean"], first[1]["kl_mean"])
        os.truncate(path + ".reference", 1000)  # then the reference is measured again
        again = json.loads(self.compare("--json", "--resume", path, specs=["dense", "window(32)"]).stdout)
        self.assertNotEqual(again[0]["prefill_s"], first[0]["prefill_s"])
        self.assertGreater(again[1]["kl_mean"], first[1]["kl_mean"])

    def test_a_resume_file_of_somebody_else(self):
        for content in (b"dear diary\n", b"dear diary", b'{"a": 1}\n'):
            path = self.file("diary.jsonl", content)
            self.refused(2, "compare", "-m", self.model, "-f", self.text, "--attn", "dense", "--resume", path)
            with open(path, "rb") as file:
                self.assertEqual(file.read(), content)


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
        long = self.file("long.txt", (TEXT * 400).encode())
        self.assertIn("--truncate", self.refused(2, "inspect", "-m", self.model, "-f", long))
        os.unlink(long)


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
            who = [row["who"] for row in rows if row["type"] == kind and row["threads"] == 2]
            self.assertEqual((who[0], len(set(who))), ("ggml", len(who)))
            ours = [row for row in rows if row["type"] == kind and row["who"] == "saccade"]
            self.assertIn(len(ours), (0, 2))  # none without AVX-512 VNNI
            for row in ours:
                for field in ("vs_ggml", "vs_better_ggml", "peak_gflop_per_s", "share_of_peak"):
                    self.assertGreater(row[field], 0)
        for wrong in (("--matrix", "512"), ("--matrix", "0x4"), ("--matrix", "4x-1"), ("--type", "f32"), ("--tokens", 0),
                      ("--matrix", "500x8", "--type", "q4_K")):
            self.refused(2, "bench", "linear", *wrong)

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
        self.assertLessEqual({"attend(f32)", "look nothing", "look entropy", "look all"}, set(who))
        for row in rows:
            self.assertGreater(row["of_attend_f32"], 0)
            self.assertEqual(row["adds_to_attend_f32"] is None, row["who"].startswith("attend"))

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
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
