"""Builds the wheel, installs it where there is nothing but NumPy, and uses what it brings: check.py ROOT SCRATCH."""

import pathlib
import shutil
import subprocess
import sys
import venv

root, scratch = (pathlib.Path(arg) for arg in sys.argv[1:])

USE = """
import numpy as np, pathlib, subprocess, sys, saccade
assert saccade.__file__.startswith(sys.prefix), saccade.__file__
q = np.random.default_rng(1).standard_normal((1, 50, 2, 64), dtype=np.float32)
o, lse = saccade.attend(q, q, q, "window(9)", return_lse=True)
exact, _ = saccade.oracle.attend(q, q, q, "window(9)")
assert np.abs(o - exact).max() < 1e-5
assert (pathlib.Path(saccade.__file__).parent / "py.typed").exists()
assert all((pathlib.Path(saccade.__file__).parent / name).exists() for name in ("_saccade.pyi", "where.pyi", "weigh.pyi"))
assert not [name for name in sys.modules if name.split(".")[0] in ("torch", "transformers")]
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def check_libraries(file, installed):
    """What the loader finds must be there, and lie in the package or where a system keeps its own."""
    for line in run("ldd", file).splitlines():
        assert "not found" not in line, f"{file}: {line}"
        found = line.split(" => ")[-1].split(" (")[0].strip()
        at_home = found.startswith(("/lib", "/usr/lib", str(installed), "linux-vdso"))
        assert at_home, f"{file}: {line}"


shutil.rmtree(scratch, ignore_errors=True)
pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
run(*pip, "wheel", root, "--no-build-isolation", "--no-deps", "-w", scratch / "wheel")
(wheel,) = (scratch / "wheel").glob("saccade-*.whl")
venv.create(scratch / "clean", with_pip=True)
python = scratch / "clean" / "bin" / "python"
run(python, "-m", "pip", "--disable-pip-version-check", "install", "numpy")
run(python, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index", wheel)
run(python, "-I", "-c", USE)

installed = next((scratch / "clean").glob("lib/python*/site-packages/saccade"))
for file in [*installed.glob("*.so"), *installed.glob("lib/*.so*"), installed / "bin" / "saccade"]:
    check_libraries(file, installed)
command = scratch / "clean" / "bin" / "saccade"
plugin, line = run(command, "plugin").splitlines()
assert plugin == str(installed / "lib" / "libggml-saccade.so") and pathlib.Path(plugin).exists(), plugin
assert line.startswith(f"GGML_BACKEND_PATH={plugin} "), line
assert "window(n=1024)" in run(command, "list")
print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB")
