"""Prints the tensor types of a GGUF file, one line per kind of tensor: gguf_types.py FILE."""

import collections
import re
import sys

import gguf

kinds: dict[tuple, collections.Counter] = {}
for tensor in gguf.GGUFReader(sys.argv[1]).tensors:
    kind = re.sub(r"^blk\.\d+\.", "blk.*.", tensor.name)
    shape = " x ".join(str(int(n)) for n in tensor.shape)
    kinds.setdefault((kind, shape), collections.Counter())[tensor.tensor_type.name] += 1
for (kind, shape), types in kinds.items():
    print(f"{kind:34} {shape:16}", ", ".join(f"{n} {name}" for name, n in sorted(types.items())))
