"""Files that are read or written: texts, models, reports and sessions, as they go wrong."""

import json
import os
import resource
import subprocess
import unittest

import tiny_model
from cli import Cli, SACCADE, TEXT


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


if __name__ == "__main__":
    unittest.main()
