"""The definitions in fp64, slow on purpose: what the fast paths are judged by."""

import numpy

from ._saccade import oracle_attend as attend
from ._saccade import oracle_merge as _merge


def merge(o_a, lse_a, o_b, lse_b):
    """The definition of merge(): (o, lse) as f64 arrays of NumPy.

    Shapes    o_a, o_b [..., head_dim_v]; lse_a, lse_b [...]
    Errors    ValueError when the shapes do not fit
    """
    arrays = [numpy.ascontiguousarray(array, dtype=numpy.float64) for array in (o_a, lse_a, o_b, lse_b)]
    if arrays[0].shape != arrays[2].shape or not arrays[0].shape[:-1] == arrays[1].shape == arrays[3].shape:
        raise ValueError(f"oracle.merge: o [..., dim] and lse [...] must fit, got {[a.shape for a in arrays]}")
    o, lse = numpy.empty_like(arrays[0]), numpy.empty_like(arrays[1])
    _merge(*arrays, o, lse)
    return o, lse


__all__ = ["attend", "merge"]
