"""The one rule of tests/tolerance.h for whole arrays: an error is at most twice that of a plain f32 loop, plus 4 eps of the
size of what was averaged. Where a plain loop happens to round well, it is asked again with its products in other orders."""

import numpy

from saccade import see_oracle

EPS = 2.0**-23
ORDERS = 64


def plain_attention(q, k, v, seen, order, **given):
    """The plain f32 loop of one sequence: q [q_len, heads, dim], k, v [kv_len, kv_heads, dim], seen [heads, q_len, kv_len]."""
    weights = see_oracle.weights(q, k, seen, dtype=numpy.float32, order=order, **given)
    values = numpy.repeat(numpy.asarray(v, numpy.float32), q.shape[1] // v.shape[1], axis=1)
    return (weights @ values.transpose(1, 0, 2)).transpose(1, 0, 2)


def sizes(v, seen):
    """[q_len, heads]: the largest value that a row may average."""
    largest = numpy.abs(v).max(axis=2).T  # [kv_heads, kv_len]
    largest = numpy.repeat(largest, seen.shape[0] // largest.shape[0], axis=0)
    return numpy.where(seen, largest[:, None, :], 0.0).max(axis=2).T


def assert_rows(actual, exact, size, plain_of, where=""):
    """Judges [..., n] row by row; `size` [...]; plain_of(order) computes all of it the plain way."""
    error = numpy.abs(actual.astype(numpy.float64) - exact).max(axis=-1)
    assert numpy.isfinite(error).all(), f"{where}: what is not a number"
    plain = numpy.zeros_like(error)
    for order in range(ORDERS):
        plain = numpy.maximum(plain, numpy.abs(plain_of(order).astype(numpy.float64) - exact).max(axis=-1))
        if (error <= 2 * plain + 4 * EPS * size).all():
            return
    worst = numpy.unravel_index(numpy.argmax(error - 2 * plain), error.shape)
    raise AssertionError(f"{where}: row {worst} is off by {error[worst]:.3g}, plain by {plain[worst]:.3g}, size {numpy.broadcast_to(size, error.shape)[worst]:.3g}")
