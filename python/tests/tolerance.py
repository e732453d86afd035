"""The one rule by which results are judged, as tests/tolerance.h has it: row by row,

    max|fast - exact| <= 2 max|plain - exact| + 4 eps max|v|

exact is the definition in f64 on the same rounded inputs, plain an ordinary implementation in the same precision. A row
that seems to fail is measured again with plain loops in other orders of summation, all equally plain, and the worst of
them counts. Nobody types a tolerance.
"""

import numpy as np

EPS = {"f32": 2.0**-23, "f16": 2.0**-11, "i16": 2.0**-12, "bf16": 2.0**-8}


def plain_row(q, k, v, bias, scale, order):
    """One row of attention in f32, the sums over head_dim and over keys taken in a shuffled order."""
    rng = np.random.default_rng(order)
    dims, keys = rng.permutation(q.shape[-1]), rng.permutation(k.shape[0])
    q, k, v, bias = q[dims], k[keys][:, dims], v[keys], bias[keys]
    scores = np.cumsum(q * k, axis=1, dtype=np.float32)[:, -1] * np.float32(scale) + bias
    weights = np.exp(scores - scores.max())
    return np.cumsum(weights[:, None] * v, axis=0, dtype=np.float32)[-1] / np.cumsum(weights, dtype=np.float32)[-1]


def judge(fast, exact, plain, v_max, eps, plain_again=None):
    """Arrays [rows, dim] and the largest |v| a row may see; plain_again(row, order) measures a row once more."""
    error = np.abs(fast - exact).max(axis=-1)
    allowed = 2 * np.abs(plain - exact).max(axis=-1) + 4 * eps * v_max
    for row in np.flatnonzero(~(error <= allowed)):
        orders = range(64 if plain_again else 0)
        worst = max([np.abs(plain_again(row, order) - exact[row]).max() for order in orders], default=0.0)
        assert error[row] <= 2 * worst + 4 * eps * v_max, f"row {row}: off by {error[row]}, allowed {allowed[row]}"
