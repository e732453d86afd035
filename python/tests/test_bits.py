"""Python gives what C++ gives, bit for bit: the same inputs through a small C++ program (dump_attend.cc)."""

import pathlib
import subprocess

import numpy as np
import pytest

import saccade

DUMP = pathlib.Path(saccade.__file__).parents[2] / "bin" / "dump_attend"
SPECS = ["dense", "window(64)+sink(4)", "dilated(stride=3)", "random(density=0.2)", "flexprefill(gamma=0.8,min_budget=128)"]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype, precision", [("float32", "f32"), ("float16", "auto"), ("bfloat16", "auto")])
def test_python_is_cpp(spec, dtype, precision, threads):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    q_len, kv_len, heads, n_kv_heads, dim, dim_v = 300, 700, 4, 2, 64, 96
    rng = np.random.default_rng(5)
    shapes = [(q_len, heads, dim), (kv_len, n_kv_heads, dim), (kv_len, n_kv_heads, dim_v)]
    q, k, v = (rng.standard_normal(shape, dtype=np.float32).astype(dtype) for shape in shapes)
    before = saccade.threads()
    saccade.set_threads(threads)
    try:
        out = np.empty((1, q_len, heads, dim_v), np.float32)
        o, lse = saccade.attend(q[None], k[None], v[None], spec, precision=precision, out=out, return_lse=True)
    finally:
        saccade.set_threads(before)
    name = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[dtype.name]
    sizes = [str(n) for n in (q_len, kv_len, heads, n_kv_heads, dim, dim_v)]
    command = [DUMP, spec, *sizes, name, precision, str(threads)]
    done = subprocess.run(command, input=b"".join(x.tobytes() for x in (q, k, v)), capture_output=True, check=True)
    assert done.stdout == o.tobytes() + lse.tobytes()
