"""Runs clang-tidy over our own sources, one a core: tidy.py CLANG_TIDY ROOT BUILD. Tests are left out."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

clang_tidy, root, build = sys.argv[1:]
database = pathlib.Path(build, "compile_commands.json")
if not database.exists():
    sys.exit(f"{database} is missing: configure with -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, as the presets do")


def ours(path):
    inside = pathlib.Path(path).resolve().relative_to(root).as_posix() if path.startswith(root) else ""
    return inside.split("/")[0] in ("saccade", "capi", "plugins", "apps", "python") and not inside.endswith("_test.cc")


files = sorted({entry["file"] for entry in json.loads(database.read_text()) if ours(entry["file"])})


def check(path):
    done = subprocess.run([clang_tidy, "--quiet", "-p", build, path], capture_output=True, text=True)
    return path, done.returncode, done.stdout + (done.stderr if done.returncode else "")


bad = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for path, code, said in pool.map(check, files):
        if code:
            bad += 1
            print(said)
print(f"{len(files)} sources, {bad} with findings")
sys.exit(1 if bad or not files else 0)
