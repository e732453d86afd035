"""Saccade: attention that looks where it pays, exact where it looks.

    o = saccade.attend(q, k, v, attn="window(1024)+sink(4)")

q is [batch, seq, heads, head_dim]; NumPy arrays and CPU tensors of torch are read where they lie. `list()` names every
mechanism, `show(name)` tells one in full, and the same words work on the command line, in plans and here.
"""

from . import oracle, where
from ._saccade import (
    Cost,
    Patterns,
    Plan,
    __version__,
    attend,
    cpu_targets,
    decode,
    list,
    merge,
    set_threads,
    show,
    threads,
)

__all__ = [
    "Cost",
    "Patterns",
    "Plan",
    "__version__",
    "attend",
    "cpu_targets",
    "decode",
    "list",
    "merge",
    "oracle",
    "set_threads",
    "show",
    "threads",
    "where",
]
