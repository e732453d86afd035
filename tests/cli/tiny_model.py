"""Writes a small model of random weights that llama.cpp runs: two layers, 64 channels, 4 heads of 16... It answers noise,
quickly, which is all that a test of the command line needs. Or the same with a mixture of experts in q4_0."""

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


def _f32(weights):
    return struct.pack(f"<{len(weights)}f", *weights)


def write(path, n_experts=0, n_used=0, decoded=False, **changed):
    """With experts, each layer has so many, of which each token uses some; `decoded`: the same numbers in f32. Keys in `changed` (with __ for .) replace what a key holds; None leaves it out."""
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
    table, data = b"", b""
    for name, shape in shapes:
        n = 1
        for dim in shape:
            n *= dim
        kind, pack = (2, _q4_0) if "_exps" in name and not decoded else (0, _f32)
        table += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        if name.endswith("norm.weight"):
            weights = [1.0] * n
        else:
            weights = [generator.gauss(0, 0.3 if name.startswith(("token", "output.")) else 0.15) for _ in range(n)]
        if "_exps" in name and decoded:
            weights = _read_q4_0(_q4_0(weights))
        data += pack(weights)
        data += b"\0" * (-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs))
    head += b"".join(_text(key) + _value(value) for key, value in pairs.items()) + table
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(head + data)
    return len(head)
