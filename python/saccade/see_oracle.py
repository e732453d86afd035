"""What each probe is, written down over a dense map of weights, for tests and small texts: `see` never makes such a map.

A map is [heads, q_len, kv_len] of one sequence; query i has position q_begin + i, key j position j. Every definition takes
the map, q_begin and what the probe is given, and returns what `see` returns, by the same names, without the batch. It
computes in the map's own dtype: float64 is the definition, float32 the plain loop by which errors are judged.
"""

import numpy


def scores(q, k, seen, *, scale=None, softcap=0.0, dtype=numpy.float64, order=0):
    """The scores of one sequence; -inf where `seen` hides the key.

    q     [q_len, heads, head_dim]
    k     [kv_len, n_kv_heads, head_dim]
    seen  bool [heads, q_len, kv_len]
    order a seed: in which order products are added up, for float32; 0: as they lie
    """
    q, k = numpy.asarray(q, dtype), numpy.asarray(k, dtype)
    k = numpy.repeat(k, q.shape[1] // k.shape[1], axis=1)
    if order:
        turned = numpy.random.default_rng(order).permutation(q.shape[2])
        q, k = q[..., turned], k[..., turned]
    scores_ = _products(q, k) * dtype(scale if scale is not None else q.shape[2] ** -0.5)
    if softcap:
        scores_ = dtype(softcap) * numpy.tanh(scores_ / dtype(softcap))
    return numpy.where(seen, scores_, dtype("-inf"))


def _products(q, k):
    """q.k of every pair; in float32 added up one after the other, as a plain loop does and a library's product does not."""
    if q.dtype == numpy.float64:
        return q.transpose(1, 0, 2) @ k.transpose(1, 2, 0)
    sums = numpy.zeros((q.shape[1], q.shape[0], k.shape[0]), q.dtype)
    for c in range(q.shape[2]):
        sums += q[:, :, c].T[:, :, None] * k[:, :, c].T[:, None, :]
    return sums


def _sum(values, axis):
    """One after the other: numpy's own sum adds in pairs, and is no plain loop."""
    return values.sum(axis=axis) if values.shape[axis] == 0 else numpy.cumsum(values, axis=axis).take(-1, axis=axis)


def weights(*args, **more):
    """The map of one sequence: softmax of the scores; a row that sees nothing is 0. Arguments as for `scores`."""
    scores_ = scores(*args, **more)
    largest = scores_.max(axis=2, keepdims=True)
    powers = numpy.exp(scores_ - numpy.where(numpy.isfinite(largest), largest, 0))
    sums = _sum(powers, 2)[:, :, None]
    return powers / numpy.where(sums > 0, sums, 1)


def define(name, map_, q_begin, **given):
    """The numbers of the probe `name`. Errors: NotImplementedError for a probe whose definition is missing here."""
    if name not in _DEFINITIONS:
        raise NotImplementedError(f"see_oracle: the probe {name} has no definition yet: write it beside the others")
    return _DEFINITIONS[name](map_, _distances(map_, q_begin), **given)


def _distances(map_, q_begin):
    """[q_len, kv_len]: how far each key lies back."""
    return q_begin + numpy.arange(map_.shape[1])[:, None] - numpy.arange(map_.shape[2])


def _entropy(map_, _back):
    logs = numpy.log(map_, where=map_ > 0, out=numpy.zeros_like(map_))
    return {"entropy": -_sum(map_ * logs, 2)}


def _distance(map_, back, clip=10):
    back = back.astype(map_.dtype)
    return {"distance.mean": _sum(map_ * back, 2), "distance.clipped": _sum(map_ * numpy.minimum(back, clip), 2)}


def _diagonals(map_, back, offsets=(1,)):
    values = [(map_ * (back == offset)).sum(axis=2) for offset in offsets]
    return {"diagonals": numpy.stack(values, axis=2)}


def _class_masses(map_, _back, spans=None):
    spans = [(0, map_.shape[2])] if spans is None else spans
    return {"class_masses": numpy.stack([_sum(map_[:, :, begin:end], 2) for begin, end in spans], axis=2)}


def _band_sums(map_, back, begin_distance=10, end_distance=51):
    return {"band_sums": _sum(map_ * ((back >= begin_distance) & (back < end_distance)), 1)}


def _column_sums(map_, _back, squares=True):
    sums = {"column_sums.sums": _sum(map_, 1)}
    return sums | ({"column_sums.squares": _sum(map_**2, 1)} if squares else {})


def _rows(map_, back, queries=None):
    rows = [-1] if queries is None else [int(query - back[0, 0]) for query in queries]
    return {"rows": map_[:, rows]}


def _block_sums(map_, back, n=128, maxima=True, text_len=None):
    text_len = map_.shape[2] if text_len is None else text_len
    q_blocks = (back[:, 0] * n) // text_len
    k_blocks = numpy.arange(map_.shape[2]) * n // text_len
    sums = numpy.zeros((map_.shape[0], n, n), map_.dtype)
    largest = numpy.zeros_like(sums)
    for i in range(n):
        for j in range(n):
            block = map_[:, q_blocks == i][:, :, k_blocks == j]
            if block.size:
                sums[:, i, j], largest[:, i, j] = block.sum(axis=(1, 2)), block.max(axis=(1, 2))
    return {"block_sums.sums": sums} | ({"block_sums.largest": largest} if maxima else {})


def _top_keys(map_, _back, k=8, per_head=False):
    summed = map_.sum(axis=0)
    top = {"top_keys.positions": _top(summed, k), "top_keys.weights": _sorted(summed, k)}
    if per_head:
        top |= {"top_keys.head_positions": _top(map_, k), "top_keys.head_weights": _sorted(map_, k)}
    return top


def _norms(map_, _back, v):
    """v  [kv_len, n_kv_heads, head_dim_v]"""
    v = numpy.repeat(numpy.asarray(v, map_.dtype), map_.shape[0] // v.shape[1], axis=1)
    return {"norms": numpy.sqrt(((map_ @ v.transpose(1, 0, 2)) ** 2).sum(axis=2))}


def _peaks(map_, _back, scores):
    """scores  as `scores` gives them"""
    largest = scores.max(axis=2)
    return {"peaks.largest": largest, "peaks.lse": largest - numpy.log(map_.max(axis=2))}


def _top(weights_, k):
    """Positions of the k largest, the earlier first among equals; -1 for those without weight."""
    order = numpy.argsort(-weights_, axis=-1, kind="stable")[..., :k]
    return numpy.where(numpy.take_along_axis(weights_, order, axis=-1) > 0, order, -1)


def _sorted(weights_, k):
    return -numpy.sort(-weights_, axis=-1)[..., :k]


_DEFINITIONS = {
    "band_sums": _band_sums,
    "block_sums": _block_sums,
    "class_masses": _class_masses,
    "column_sums": _column_sums,
    "diagonals": _diagonals,
    "distance": _distance,
    "entropy": _entropy,
    "norms": _norms,
    "peaks": _peaks,
    "rows": _rows,
    "top_keys": _top_keys,
}
