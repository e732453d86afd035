"""Fails when a source is not formatted as .clang-format says: format.py CLANG_FORMAT ROOT. `-i` in place of --dry-run mends it."""

import pathlib
import subprocess
import sys

clang_format, root = sys.argv[1:]
FOLDERS = ("saccade", "capi", "include", "plugins", "apps", "tests", "bench", "examples")


def sources():
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", *FOLDERS], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [name for name in listed.stdout.split("\0") if pathlib.Path(root, name).exists()]
    return [str(path.relative_to(root)) for folder in FOLDERS for path in pathlib.Path(root, folder).rglob("*")]


files = sorted(name for name in sources() if name.endswith((".h", ".cc")))
print(f"{len(files)} sources")
sys.exit(subprocess.run([clang_format, "--dry-run", "-Werror", *files], cwd=root).returncode if files else 1)
