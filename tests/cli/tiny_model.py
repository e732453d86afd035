"""Writes a small model of random weights that llama.cpp runs: two layers, 64 channels, 4 heads of 16... It answers noise,
quickly, which is all that a test of the command line needs. Or the same with a mixture of experts in q4_0, or with matrices in q4_0
or q8_0; and an adapter for it."""

import random
import struct

ALIGNMENT = 32
N_LAYERS, N_EMBD, N_HEADS, N_KV_HEADS, HEAD_DIM, N_FF = 2, 64, 2, 1, 32, 96
CONTEXT = 4096
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"


def _text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, tuple):  # u16 and i32, which the keys of split files want
        return struct.pack("<I" + value[0], {"H": 2, "i": 5}[value[0]], value[1])
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    kinds = {str: (8, _text), int: (5, lambda v: struct.pack("<i", v)), float: (6, lambda v: struct.pack("<f", v))}
    kind, pack = kinds[type(value[0])]
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(pack(v) for v in value)


def _vocabulary():
    """<unk>, <s>, </s>, the 256 bytes, the two words of the chat template, the letters."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + ["<|im_start|>", "<|im_end|>"]
    types = [2, 3, 3] + [6] * 256 + [3, 3]
    letters = ["\u2581"] + [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("ABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'0123456789")
    tokens += letters
    types += [1] * len(letters)
    return tokens, types, [0.0] * len(tokens)


def _q4_0(weights):
    """Blocks of 32: an f16 scale, then 16 bytes; in their low halves the first 16, each 8 too large."""
    blocks = []
    for first in range(0, len(weights), 32):
        block = weights[first : first + 32]
        scale = max(block, key=abs) / -8
        codes = [min(15, int(weight / scale + 8.5)) for weight in block]
        blocks.append(struct.pack("<e16B", scale, *(low | high << 4 for low, high in zip(codes[:16], codes[16:]))))
    return b"".join(blocks)


def _read_q4_0(blocks):
    weights = []
    for first in range(0, len(blocks), 18):
        scale, *codes = struct.unpack_from("<e16B", blocks, first)
        weights += [scale * ((code & 15) - 8) for code in codes] + [scale * ((code >> 4) - 8) for code in codes]
    return weights


def _q8_0(weights):
    """Blocks of 32: an f16 scale, then 32 signed bytes."""
    blocks = []
    for first in range(0, len(weights), 32):
        block = weights[first : first + 32]
        scale = max(map(abs, block)) / 127
        blocks.append(struct.pack("<e32b", scale, *(max(-127, min(127, round(weight / scale))) for weight in block)))
    return b"".join(blocks)


def _f32(weights):
    return struct.pack(f"<{len(weights)}f", *weights)


def _save(path, pairs, tensors):
    """tensors: name, shape, number of the type, bytes. Returns how long the header is."""
    table, data = b"", b""
    for name, shape, kind, packed in tensors:
        table += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += packed + b"\0" * (-len(packed) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    head += b"".join(_text(key) + _value(value) for key, value in pairs.items()) + table
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(head + data)
    return len(head)


def write_lora(path):
    """An adapter of rank 4 for every layer's attn_q and attn_output."""
    generator = random.Random(21)
    tensors = []
    for layer in range(N_LAYERS):
        for name, width, height in (("attn_q", N_EMBD, N_HEADS * HEAD_DIM), ("attn_output", N_HEADS * HEAD_DIM, N_EMBD)):
            for part, shape in (("lora_a", (width, 4)), ("lora_b", (4, height))):
                weights = [generator.gauss(0, 0.3) for _ in range(shape[0] * shape[1])]
                tensors.append((f"blk.{layer}.{name}.weight.{part}", shape, 0, _f32(weights)))
    _save(path, {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 8.0}, tensors)


def _save_split(path, n_files, pairs, tensors):
    """In so many files, next to each other as llama.cpp wants them; `path` ends in -00001-of-0000N.gguf."""
    end = f"-00001-of-{n_files:05}.gguf"
    assert path.endswith(end)
    each = -(-len(tensors) // n_files)
    for i in range(n_files):
        split = {"split.no": ("H", i), "split.count": ("H", n_files), "split.tensors.count": ("i", len(tensors))}
        part = path.removesuffix(end) + f"-{i + 1:05}-of-{n_files:05}.gguf"
        _save(part, {**pairs, **split} if i == 0 else split, tensors[i * each : (i + 1) * each])


def write(path, n_experts=0, n_used=0, decoded=False, matrices="f32", n_files=1, **changed):
    """With experts, each layer has so many, of which each token uses some; `decoded`: the same numbers in f32. `matrices`: the type of those
    of the layers and of the output. `n_files`: split, see _save_split. Keys in `changed` (with __ for .) replace what a key holds; None leaves it out."""
    tokens, types, scores = _vocabulary()
    pairs = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.block_count": N_LAYERS,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": N_EMBD,
        "llama.feed_forward_length": N_FF,
        "llama.attention.head_count": N_HEADS,
        "llama.attention.head_count_kv": N_KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HEAD_DIM,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": TEMPLATE,
    }
    if n_experts:
        pairs.update({"llama.expert_count": n_experts, "llama.expert_used_count": n_used})
    pairs.update({key.replace("__", "."): value for key, value in changed.items()})
    pairs = {key: value for key, value in pairs.items() if value is not None}

    feed_forward = [("ffn_gate", (N_EMBD, N_FF)), ("ffn_up", (N_EMBD, N_FF)), ("ffn_down", (N_FF, N_EMBD))]
    if n_experts:
        feed_forward = [(name + "_exps", (*shape, n_experts)) for name, shape in feed_forward]
        feed_forward.append(("ffn_gate_inp", (N_EMBD, n_experts)))
    shapes = [("token_embd.weight", (N_EMBD, len(tokens)))]
    for layer in range(N_LAYERS):
        for name, shape in (
            ("attn_norm", (N_EMBD,)),
            ("attn_q", (N_EMBD, N_HEADS * HEAD_DIM)),
            ("attn_k", (N_EMBD, N_KV_HEADS * HEAD_DIM)),
            ("attn_v", (N_EMBD, N_KV_HEADS * HEAD_DIM)),
            ("attn_output", (N_HEADS * HEAD_DIM, N_EMBD)),
            ("ffn_norm", (N_EMBD,)),
            *feed_forward,
        ):
            shapes.append((f"blk.{layer}.{name}.weight", shape))
    shapes += [("output_norm.weight", (N_EMBD,)), ("output.weight", (N_EMBD, len(tokens)))]

    generator = random.Random(20)
    tensors = []
    for name, shape in shapes:
        n = 1
        for dim in shape:
            n *= dim
        kind, pack = (2, _q4_0) if "_exps" in name and not decoded else (0, _f32)
        if matrices != "f32" and len(shape) == 2 and not name.startswith("token_embd") and "gate_inp" not in name:
            kind, pack = {"q4_0": (2, _q4_0), "q8_0": (8, _q8_0)}[matrices]
        if name.endswith("norm.weight"):
            weights = [1.0] * n
        else:
            weights = [generator.gauss(0, 0.3 if name.startswith(("token", "output.")) else 0.15) for _ in range(n)]
        if "_exps" in name and decoded:
            weights = _read_q4_0(_q4_0(weights))
        tensors.append((name, shape, kind, pack(weights)))
    return _save(path, pairs, tensors) if n_files == 1 else _save_split(path, n_files, pairs, tensors)
