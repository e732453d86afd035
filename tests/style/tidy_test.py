"""What passed clang-tidy is skipped until anything that clang-tidy sees has changed."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
COMPILER = sys.argv.pop(1)
# Writes down what it is asked to read, and finds fault with "bad".
FAKE = """#!/bin/sh
case $1 in --version) cat "$0.version"; exit ;; esac
for file; do :; done
echo "$file" >>"$0.log"
! cat "$file" "$(dirname "$file")/b.h" | grep bad
"""


class Tidy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name).resolve()
        self.fake = self.dir / "tidy"
        self.write("tidy", FAKE)
        self.write("tidy.version", "16")
        self.fake.chmod(self.fake.stat().st_mode | stat.S_IXUSR)
        self.clone("one")

    def write(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def clone(self, name, flags=""):
        """A tree with one source that includes one header, and one test, which is not asked about."""
        self.write(f"{name}/.clang-tidy", "Checks: '*'")
        self.write(f"{name}/saccade/a.cc", '#include "saccade/b.h"\n')
        self.write(f"{name}/saccade/b.h", "int b();\n")
        self.commands(name, flags)

    def commands(self, name, flags):
        root = self.dir / name
        entries = [{"directory": f"{root}/build", "file": f"{root}/saccade/{file}",
                    "command": f"{COMPILER} -I{root} {flags} -o {file}.o -c {root}/saccade/{file}"} for file in ("a.cc", "a_test.cc")]
        self.write(f"{name}/build/compile_commands.json", json.dumps(entries))

    def reads(self, name="one", code=0):
        """How many sources clang-tidy is asked to read."""
        log = self.dir / "tidy.log"
        log.unlink(missing_ok=True)
        root = self.dir / name
        done = subprocess.run([sys.executable, HERE / "tidy.py", self.fake, root, root / "build"], capture_output=True, text=True,
                              env={**os.environ, "XDG_CACHE_HOME": str(self.dir / "cache")})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return len(log.read_text().splitlines()) if log.exists() else 0

    def test_nothing_changed(self):
        self.assertEqual(self.reads(), 1)
        self.assertEqual(self.reads(), 0)

    def test_another_clone_of_the_same(self):
        self.assertEqual(self.reads(), 1)
        self.clone("two")
        self.assertEqual(self.reads("two"), 0)

    def test_whatever_changed_is_seen(self):
        for change in (
            lambda: self.write("one/saccade/a.cc", '#include "saccade/b.h"\nint a();\n'),
            lambda: self.write("one/saccade/b.h", "int other();\n"),
            lambda: self.write("one/.clang-tidy", "Checks: 'bugprone-*'"),
            lambda: self.write("tidy.version", "17"),
            lambda: self.commands("one", "-DMORE"),
        ):
            self.clone("one")
            self.reads()
            self.assertEqual(self.reads(), 0)
            change()
            self.assertEqual(self.reads(), 1)
            self.assertEqual(self.reads(), 0)

    def test_a_change_taken_back_is_known(self):
        self.reads()
        self.write("one/saccade/b.h", "int other();\n")
        self.reads()
        self.write("one/saccade/b.h", "int b();\n")
        self.assertEqual(self.reads(), 0)

    def test_a_finding_is_not_forgotten(self):
        self.reads()
        self.write("one/saccade/b.h", "int bad();\n")
        self.assertEqual(self.reads(code=1), 1)
        self.assertEqual(self.reads(code=1), 1)

    def test_no_sources_is_a_fault(self):
        shutil.rmtree(self.dir / "one")
        self.write("one/build/compile_commands.json", "[]")
        self.write("one/.clang-tidy", "")
        self.assertEqual(self.reads(code=1), 0)


if __name__ == "__main__":
    unittest.main()
