"""A report of made-up attention, of any size, in the form that `saccade inspect` writes: made_report.py N_TOKENS OUT.html

Heads look at the first token, at their neighbours, at a planted line, or everywhere; so that the page can be opened,
timed and looked at without a model.
"""

import base64
import json
import os
import sys
import zlib

import numpy as np

ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "apps", "saccade", "inspect")
SCRIPTS = ("base.js", "colour.js", "heads.js", "map.js", "text.js", "lists.js", "proof.js", "main.js")
WORDS = """it is a truth universally acknowledged that a single man in possession of a good fortune must be in want of a wife
however little known the feelings or views of such may on his first entering neighbourhood this so well fixed minds
surrounding families he considered rightful property some one other their daughters""".split()
N_LAYERS, N_HEADS, N_CHOSEN, K = 24, 14, 16, 8


def packed(codes, code, steps):
    data = zlib.compress(np.ascontiguousarray(codes, np.uint8).tobytes(), 6)
    return {"shape": list(codes.shape), "code": code, "steps": steps, "zlib": base64.b64encode(data).decode()}


def log2(values, steps, least=-63):
    with np.errstate(divide="ignore"):
        exponent = np.log2(np.maximum(values, 0))
    codes = np.clip(255 + np.round(exponent * steps), 1, 255)
    codes[exponent < max(least, -254 / steps)] = 0
    return packed(codes, "log2", steps)


class Head:
    """weight(query, key), up to a factor for each query: a sink, a decaying neighbourhood, a planted span, the rest."""

    def __init__(self, rng, n, needle):
        self.n, self.needle = n, needle
        kind = rng.random(4) ** 3 * np.array([3, 1.5, 0.6, 0.4])
        self.sink, self.local, self.copy, self.flat = kind / kind.sum()
        self.reach = 2 ** rng.uniform(0, 9)
        self.period = rng.integers(40, 400)

    def rows(self, queries, keys):
        q, k = np.asarray(queries, float)[:, None], np.asarray(keys, float)[None, :]
        back = q - k
        near = np.exp(-np.maximum(back, 0) / self.reach) / self.reach * (1 + np.cos(k * 6.2832 / self.period))
        weight = self.local * near + self.flat / (q + 1) * (1 + 0.8 * np.sin(k / 37))
        inside = (k >= self.needle[0]) & (k < self.needle[1])
        weight = weight + self.copy * inside / (self.needle[1] - self.needle[0]) * (0.1 + 0.9 * (q > 0.97 * self.n))
        weight = np.where(k == 0, self.sink + self.local * (q == 0), weight)
        return np.where(back >= 0, weight, 0)


def map_of(head, n, size):
    centres = (np.arange(size) + 0.5) * n / size
    weight = head.rows(centres, centres)
    weight[:, 0] = head.sink / (n / size)
    mass = weight * n / size
    return mass[np.tril_indices(size)] / np.maximum(mass.sum(1).max(), 1)


def document(n_tokens, seed=1):
    rng = np.random.default_rng(seed)
    n_prompt, n_answer = n_tokens - 12, 13
    needle = (int(0.62 * n_tokens), int(0.62 * n_tokens) + 10)
    heads = [[Head(rng, n_tokens, needle) for _ in range(N_HEADS)] for _ in range(N_LAYERS)]
    chosen = [(int((i + 0.5) * N_LAYERS / N_CHOSEN), int(i * 5 % N_HEADS)) for i in range(N_CHOSEN)]
    pieces = ["<|im_start|>", "user", "\n"] + [" " + WORDS[i] for i in rng.integers(0, len(WORDS), n_tokens - 3)]
    for i in rng.integers(3, n_tokens, n_tokens // 60):
        pieces[i] = ".\n"
    pieces[needle[0] : needle[1]] = " The secret number of the old lighthouse is 47 11".split(" ")[1:]
    pieces = [p if p.startswith((" ", "<", ".", "\n", "user")) else " " + p for p in pieces]
    keys = np.arange(n_tokens)
    rows = [n_prompt - 1 + i for i in range(n_answer)]
    looked, answer_bins, bin_len = [], [], (n_tokens + 2047) // 2048
    chosen_rows = {}
    for layer in range(N_LAYERS):
        full = np.stack([head.rows(rows, keys) for head in heads[layer]])
        full /= full.sum(2, keepdims=True)
        looked.append(full.mean(0))
        edges = np.arange(0, n_tokens, bin_len)
        answer_bins.append(log2(np.stack([np.add.reduceat(full[:, 0], edges, 1), np.add.reduceat(full.mean(1), edges, 1)]), 8, -20))
        for one_layer, head in chosen:
            if one_layer == layer:
                chosen_rows[(layer, head)] = full[head]
    top_layers = []
    for layer in range(N_LAYERS):
        back = np.minimum(np.sort(rng.geometric(0.02, (K, n_tokens)), 0), keys + 1)
        back[0] = 0
        weight = np.sort(rng.random((K, n_tokens)) ** 4, 0)[::-1] * 0.6
        planes = np.stack([back & 255, back >> 8])
        top_layers.append({"keys": packed(planes, "plain", 1), "weights": log2(weight, 6, -16)})
    received = np.stack([np.where(keys == 0, 0.5, (0.3 + rng.random(n_tokens)) ** 3 / n_tokens) for _ in range(N_LAYERS)])
    spread = np.clip(rng.normal(0.6, 0.08, (N_LAYERS, n_tokens)) + 0.2 * np.sin(np.arange(N_LAYERS))[:, None], 0, 1)
    distance = np.minimum(keys, 2 ** rng.uniform(3, 11, (N_LAYERS, 1)) * (1 + 0.3 * rng.random(n_tokens)))
    n_large = min(n_prompt, 1024)
    linear = lambda values: packed(np.round(values * 255), "linear", 255)
    log1p = lambda values: packed(np.round(np.log2(1 + values) * 12), "log2(1+x)", 12)
    metric = lambda key, name, unit, scale, of: {
        "key": key, "name": name, "unit": unit, "scale": scale, "help": name,
        "values": [[float(of(h)) for h in row] for row in heads]}
    return {
        "format": "saccade inspect 1",
        "model": {"name": "made-up 24 x 14", "n_layers": N_LAYERS, "n_heads": N_HEADS, "n_kv_heads": 2},
        "text": {"question": "What is the secret number of the old lighthouse?", "answer": " The secret number is 4711.",
                 "answer_rest": "", "n_prompt": n_prompt, "n_tokens": n_tokens, "begin": 3, "end": n_prompt - 20},
        "pieces": pieces, "control": [0],
        "rows": [{"position": p, "kind": "answer", "chooses": c} for p, c in
                 zip(rows, " The| secret| number| of| the| old| light|house| is| 4|7|1|1".split("|"), strict=True)],
        "chosen": [{"layer": layer, "head": head} for layer, head in chosen],
        "heads": {
            "metrics": [metric("entropy", "spread", "", "linear", lambda h: 0.2 + 0.7 * h.flat + 0.3 * h.local),
                        metric("distance", "mean distance", "tokens", "log", lambda h: h.local * h.reach + h.flat * n_tokens / 2),
                        metric("sink", "on the first token", "mass", "linear", lambda h: h.sink),
                        metric("previous", "on the previous token", "mass", "linear", lambda h: h.local / h.reach)],
            "classes": [["sink" if h.sink > 0.5 else "local" if h.local > 0.5 else "global" for h in row] for row in heads]},
        "maps": {"size": min(128, n_prompt), "layers": [log2(np.stack([map_of(h, n_prompt, min(128, n_prompt)) for h in row]), 6, -16) for row in heads]},
        "large": {"size": n_large, "heads": [log2(map_of(heads[a][b], n_prompt, n_large), 4, -18) for a, b in chosen]},
        "top_keys": {"k": K, "layers": top_layers},
        "looked": {"all": log2(np.mean(looked, 0), 4, -19), "layers": [log2(x, 4, -19) for x in looked],
                   "heads": [log2(chosen_rows[one], 4, -19) for one in chosen]},
        "answer_bins": {"n_bins": (n_tokens + bin_len - 1) // bin_len, "bin_len": bin_len, "layers": answer_bins},
        "received": {"all": log2(received.mean(0), 6, -24), "layers": [log2(x, 6, -24) for x in received], "heads": [log2(received[a], 6, -24) for a, _ in chosen]},
        "entropy": {"all": linear(spread.mean(0)), "layers": [linear(x) for x in spread], "heads": [linear(spread[a]) for a, _ in chosen]},
        "distance": {"layers": [log1p(x) for x in distance]},
        "sinks": {"epsilon": 0.3, "rate": 0.69, "rate_early": 0.8, "n_early": 64, "tokens": [{"position": 0, "heads": 231, "mean": 0.51}, {"position": 41, "heads": 9, "mean": 0.02}]},
        "plan": '{"default": {"attn": "dense"}}',
        "facts": [["model", "made-up"], ["prompt", f"{n_prompt:,} tokens"], ["heads", "24 × 14"], ["attention", "dense"]],
        "run": [{"name": "Time", "rows": [["prefill", "1.0 s"], ["answer", "0.2 s"]]}],
    }


def page(doc):
    def read(name):
        with open(os.path.join(ASSETS, name), encoding="utf-8") as file:
            return file.read()

    html = read("page.html")
    for mark, part in (("@STYLE@", read("style.css")), ("@SCRIPT@", "".join(read(name) for name in SCRIPTS)),
                       ("@REPORT@", json.dumps(doc).replace("<", "\\u003c"))):
        html = html.replace(mark, part)
    return html


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write(page(document(int(sys.argv[1]))))
