"""Who sees whom, said by a Python predicate, as FlexAttention does."""

import inspect

import numpy

from . import _saccade

_PAIRS_AT_ONCE = 1 << 20


def mask_mod(fn, q_len, kv_len, block=128, *, batch=1, heads=1, xp=numpy):
    """Compiles a predicate to the blocks that attention visits; `attend(attn=...)` takes the result.

    fn          fn(batch, head, q_idx, kv_idx) or fn(head, q_idx, kv_idx) -> booleans: whether the query sees the key.
                batch and head are ints; q_idx is [rows, 1] and kv_idx [1, keys], integers from 0 on, so that the
                arithmetic of arrays answers for all their pairs at once: ``kv <= q``, ``doc[q] == doc[kv]``
    q_len       queries of the call
    kv_len      keys of the call
    block       queries and keys that are absent, full or partial together; a multiple of 32, at most 4096
    batch       sequences whose masks differ; 1: the same for all
    heads       query heads whose masks differ; 1: the same for all
    xp          whose arrays the indices are: numpy, or torch for predicates that call torch's functions

    Returns a BlockMask. It alone decides with ``attend(..., causal=False)``; with causal=True no query sees a key behind
    its own, where the last query is that of the last key.

    Errors      ValueError for a block or a length that makes no sense; TypeError when fn takes another number of
                arguments or does not answer with booleans
    Cost        fn is asked about each pair once for each mask, 2^20 pairs at a time; 8 bytes are kept for each block that
                is not absent, and block^2 / 8 more where it is partial
    Source      FlexAttention, arXiv:2412.05496
    """
    ask = _as_four(fn)
    mask = _saccade.BlockMask(q_len, kv_len, block, batch, heads)
    keys = max(1, _PAIRS_AT_ONCE // (block * block)) * block
    for sequence in range(batch):
        for head in range(heads):
            for row in range(0, q_len, block):
                rows = xp.arange(row, min(row + block, q_len))[:, None]
                for key in range(0, kv_len, keys):
                    columns = xp.arange(key, min(key + keys, kv_len))[None, :]
                    seen = _booleans(ask(sequence, head, rows, columns), (len(rows), columns.shape[1]))
                    mask._add(sequence, head, row, key, seen)
    return mask


def _as_four(fn):
    """fn with the sequence as its first argument."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [one for one in inspect.signature(fn).parameters.values() if one.kind in kinds and one.default is one.empty]
    if len(wanted) == 4:
        return fn
    if len(wanted) == 3:
        return lambda batch, head, q_idx, kv_idx: fn(head, q_idx, kv_idx)
    raise TypeError(f"mask_mod: fn must take (batch, head, q_idx, kv_idx) or (head, q_idx, kv_idx), got {len(wanted)} arguments")


def _booleans(seen, shape):
    seen = numpy.asarray(seen)
    if seen.dtype != numpy.bool_:
        raise TypeError(f"mask_mod: fn must answer with booleans, got {seen.dtype}")
    return numpy.ascontiguousarray(numpy.broadcast_to(seen, shape))
