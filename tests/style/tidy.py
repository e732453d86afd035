"""Runs clang-tidy over our own sources, one a core: tidy.py CLANG_TIDY ROOT BUILD. Tests are left out.

A source that passed is not read again while nothing that clang-tidy sees has changed: itself, any header it includes, its
compile command, .clang-tidy, clang-tidy. What passed is kept as empty files in $XDG_CACHE_HOME/saccade/tidy, shared by every
clone, for a month after its last use.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

KEPT_SECONDS = 30 * 24 * 3600


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@functools.cache
def digest_of(path):
    """Of a file; "" where there is none."""
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


class Passed:
    """What clang-tidy found nothing in. Looking one source up takes two steps: `first` names what is known before its
    includes are, and finds the files that it read when it last passed; a mark says that it passed with these contents."""

    def __init__(self, clang_tidy, root, build):
        self.root, self.build = root, build
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.folder = pathlib.Path(cache, "saccade", "tidy")
        self.folder.mkdir(parents=True, exist_ok=True)
        version = subprocess.run([clang_tidy, "--version"], capture_output=True, text=True, check=True).stdout
        self.rules = digest(version, digest_of(pathlib.Path(root, ".clang-tidy")))

    def placeless(self, text):
        return text.replace(self.build, "<build>").replace(self.root, "<root>")

    def placed(self, text):
        return text.replace("<build>", self.build).replace("<root>", self.root)

    def first(self, entry):
        return digest(self.rules, self.placeless(entry["command"]), digest_of(entry["file"]))

    def mark(self, first, files):
        return self.folder / digest(first, *(part for file in files for part in (file, digest_of(self.placed(file)))))

    def has(self, entry):
        first = self.first(entry)
        files = self.folder / f"{first}.files"
        if not files.exists():
            return False
        mark = self.mark(first, files.read_text().splitlines())
        if not mark.exists():
            return False
        for used in (files, mark):
            used.touch()
        return True

    def add(self, entry):
        files = [self.placeless(file) for file in read_by(entry)]
        first = self.first(entry)
        self.mark(first, files).touch()
        (self.folder / f"{first}.files").write_text("\n".join(files))

    def forget_the_old(self):
        for path in self.folder.iterdir():
            if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                path.unlink(missing_ok=True)


def read_by(entry):
    """Every file that the compiler reads for this source."""
    words = shlex.split(entry["command"])
    at = words.index("-o")
    done = subprocess.run(words[:at] + words[at + 2 :] + ["-M"], cwd=entry["directory"], capture_output=True, text=True, check=True)
    listed = shlex.split(done.stdout.partition(":")[2].replace("\\\n", " "))
    return sorted({os.path.normpath(os.path.join(entry["directory"], file)) for file in listed})


def is_ours(path, root):
    inside = os.path.relpath(path, root)
    return inside.split("/")[0] in ("saccade", "capi", "plugins", "apps", "python") and not inside.endswith("_test.cc")


def main(clang_tidy, root, build):
    database = pathlib.Path(build, "compile_commands.json")
    if not database.exists():
        sys.exit(f"{database} is missing: configure with -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, as the presets do")
    passed = Passed(clang_tidy, root, build)
    entries = {entry["file"]: entry for entry in json.loads(database.read_text()) if is_ours(entry["file"], root)}

    def findings(path):
        """None: known to have none."""
        if passed.has(entries[path]):
            return None
        done = subprocess.run([clang_tidy, "--quiet", "-p", build, path], capture_output=True, text=True)
        if done.returncode:
            return done.stdout + done.stderr
        passed.add(entries[path])
        return ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(findings, sorted(entries)))
    passed.forget_the_old()
    bad = [said for said in found if said]
    print(*bad, f"{len(entries)} sources, {len(bad)} with findings, {found.count(None)} unchanged since they passed", sep="\n")
    return 1 if bad or not entries else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
