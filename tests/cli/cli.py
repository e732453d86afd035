"""The command line, driven as a user would: every problem is one line on stderr and the right exit code, and nothing is
left half-written. Uses a small model of random weights; needs no download. The tests are beside it, one file a command."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import tiny_model

SACCADE = os.environ["SACCADE"]
TEXT = "It is a truth universally acknowledged, that a single man must be in want of a wife. "


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


def page_data(test, path):
    """The rows that a page holds; the page must be well-formed and ask nothing of the network."""
    html = "{http://www.w3.org/1999/xhtml}"
    root = xml.etree.ElementTree.parse(path).getroot()
    for element in root.iter():
        test.assertFalse({"src", "href"} & set(element.attrib), element.tag)
    (data,) = (script for script in root.iter(f"{html}script") if script.get("id") == "data")
    test.assertEqual(data.get("type"), "application/json")
    return json.loads(data.text)
