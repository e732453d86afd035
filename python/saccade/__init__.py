"""Saccade: attention that looks where it pays, exact where it looks.

    o = saccade.attend(q, k, v, attn="window(1024)+sink(4)")

q is [batch, seq, heads, head_dim]; NumPy arrays and CPU tensors of torch are read where they lie. `list()` names every
mechanism, `show(name)` tells one in full, and the same words work on the command line, in plans and here.
"""

from . import oracle, weigh, where
from ._saccade import (
    BlockMask,
    Cost,
    Patterns,
    Plan,
    Selection,
    __version__,
    attend,
    cpu_targets,
    decode,
    list,
    merge,
    see,
    select,
    set_threads,
    show,
    threads,
)
from .examples import example
from .mask_mod import mask_mod

__all__ = [
    "BlockMask",
    "Cost",
    "Patterns",
    "Plan",
    "Selection",
    "__version__",
    "attend",
    "cpu_targets",
    "decode",
    "example",
    "list",
    "mask_mod",
    "merge",
    "oracle",
    "see",
    "select",
    "set_threads",
    "show",
    "threads",
    "weigh",
    "where",
]
