"""A tour of three ways to look: dense, a window, FlexPrefill, on q, k and v of a real model.

    python examples/tour.py "$(scripts/record qwen2.5-coder-0.5b build/release/bin/record_qkv 8192)/layer12.qkv" -o tour.html

For each it measures what attention visits, how much of dense attention's weight that is, how far the output moves, and how
long it takes; and draws all of it on one page that needs nothing else. Without a recording it shows a text that was made up.
"""

import argparse
import base64
import json
import pathlib
import statistics
import struct
import sys
import time
import zlib

import numpy

import saccade

SPECS = {"dense": "dense", "window": "window(1024)+sink(4)", "flexprefill": "flexprefill"}
CELLS = 256  # a map is drawn so many cells wide
POINTS = 128  # and a curve has so many points


def read_recording(path):
    """One layer as tests/fixtures/record_qkv.cc writes it: a line of JSON, then q in f32, k and v in f16."""
    with open(path, "rb") as file:
        header = json.loads(file.readline())
        heads, kv_heads, dim = header["n_heads"], header["n_kv_heads"], header["head_dim"]

        def read(dtype, length, n):
            return numpy.frombuffer(file.read(length * n * dim * numpy.dtype(dtype).itemsize), dtype).reshape(1, length, n, dim)

        q = read(numpy.float32, header["q_len"], heads)
        k = read(numpy.float16, header["kv_len"], kv_heads)
        v = read(numpy.float16, header["kv_len"], kv_heads)
    name = f"{pathlib.Path(path).resolve().parent.name.rsplit('-', 2)[0]}, layer {header['layer']}, reading a novel"
    return {"name": name, "q": q, "k": k, "v": v, "scale": header["scale"]}


def made_text():
    """A text that nobody wrote, for trying the page out."""
    made = saccade.example("flexprefill", seq_len=2048)
    return {"name": "a made-up text", "q": made["q"], "k": made["k"], "v": made["v"], "scale": made["q"].shape[-1] ** -0.5}


def first_tokens(text, n):
    """The text's beginning. Requires a recording whose queries begin with the text."""
    cut = {name: numpy.ascontiguousarray(text[name][:, :n]) for name in ("q", "k", "v")}
    return text | cut


def visit(text, spec, rounds):
    """Attends by the spec: what came out, and how long it took, the median of some rounds (selection is part of it)."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        o, lse, cost = saccade.attend(text["q"], text["k"], text["v"], spec, scale=text["scale"], return_lse=True, return_cost=True)
        seconds.append(time.perf_counter() - start)
    selection = saccade.select(text["q"], text["k"], spec, scale=text["scale"])
    return {"o": o[0], "lse": lse[0], "cost": cost, "selection": selection, "seconds": statistics.median(seconds)}


def judge(shown, dense):
    """How faithful it is, for each head: the share of dense attention's weight that lies on what was visited, and how far
    the output moved. Both lse are of the same scores, so that their difference is that share's logarithm."""
    kept = numpy.exp(numpy.minimum(shown["lse"].astype(numpy.float64) - dense["lse"], 0.0))  # [seq, heads]
    moved = numpy.linalg.norm(shown["o"].astype(numpy.float64) - dense["o"], axis=(0, 2)) / numpy.linalg.norm(dense["o"].astype(numpy.float64), axis=(0, 2))
    edges = numpy.linspace(0, len(kept), min(POINTS, len(kept)) + 1).astype(int)
    curve = numpy.stack([kept[a:b].mean(axis=0) for a, b in zip(edges, edges[1:])], axis=1)  # [heads, points]
    return {"kept": kept.mean(axis=0), "curve": curve, "moved": moved}


def coverage(selection, head, cells):
    """[cells, cells]: the share of the pairs of each cell that are visited; the ragged ends of a visit count half."""
    n = selection.kv_len
    block = -(-n // cells)
    visits = selection.visits(head, block=block)
    covered = numpy.zeros((cells, cells))
    places = numpy.arange(cells + 1) * block
    for row, (begin, end) in enumerate(zip(visits["begins"], visits["begins"][1:])):
        for (first, last), full in zip(visits["keys"][begin:end], visits["full"][begin:end]):
            inside = numpy.minimum(places[1:], last) - numpy.maximum(places[:-1], first)
            covered[row] += numpy.maximum(inside, 0) / block * (1.0 if full else 0.5)
    return covered


def map_of(text, cells):
    """[heads, cells, cells]: the largest weights of dense attention, scaled to be looked at."""
    n = text["k"].shape[1]
    seen = saccade.see(text["q"], text["k"], {"block_sums": {"n": cells, "text_len": -(-n // cells) * cells}}, scale=text["scale"])
    return numpy.clip(seen["block_sums.largest"][0], 1e-6, 1.0)


def paint(weights, covered):
    """What is visited shines, what was missed is blue, what nobody looks at is dark: indices into PALETTE."""
    bright = numpy.clip(1 + numpy.log10(weights) / 4, 0, 1)  # 1e-4 and less is dark
    level = (bright * 62).astype(numpy.uint8) + 1
    lower = numpy.tril(numpy.ones(weights.shape, bool))
    picture = numpy.where(covered > 0.25, level, level + 64)
    return numpy.where(lower, picture, 0).astype(numpy.uint8)


def _ramp(stops, n):
    places = numpy.linspace(0, 1, len(stops))
    wanted = numpy.linspace(0, 1, n)
    return numpy.stack([numpy.interp(wanted, places, [stop[c] for stop in stops]) for c in range(3)], axis=1)


PALETTE = numpy.concatenate([
    [[11, 12, 16]],  # nobody's: the future
    _ramp([(40, 28, 30), (112, 44, 44), (205, 92, 38), (250, 176, 64), (255, 245, 210)], 64)[:63],  # visited
    [[11, 12, 16]],
    _ramp([(17, 19, 26), (20, 30, 52), (28, 66, 120), (60, 130, 220), (170, 220, 255)], 64)[:63],  # not visited
]).astype(numpy.uint8)


def png(picture):
    """A palette picture as a data URI."""
    height, width = picture.shape
    rows = b"".join(b"\0" + picture[y].tobytes() for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)) + chunk(b"PLTE", PALETTE.tobytes())
    data = b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def tour(text, specs, rounds):
    """Everything the page shows."""
    cells = min(CELLS, text["k"].shape[1])
    weights = map_of(text, cells)
    dense = visit(text, "dense", rounds)
    stops = []
    for name, spec in specs.items():
        shown = dense if spec == "dense" else visit(text, spec, rounds)
        fidelity = judge(shown, dense)
        density = shown["selection"].density[0]
        pictures = [png(paint(weights[head], coverage(shown["selection"], head, cells))) for head in range(len(weights))]
        stops.append({"name": name, "spec": spec, "seconds": shown["seconds"], "times_faster": dense["seconds"] / shown["seconds"],
                      "density": density.tolist(), "kept": fidelity["kept"].tolist(), "moved": fidelity["moved"].tolist(),
                      "curve": numpy.round(fidelity["curve"], 4).tolist(), "pictures": pictures})
    batch, tokens, heads, dim = text["q"].shape
    return {"name": text["name"], "tokens": tokens, "heads": heads, "kv_heads": text["k"].shape[2], "head_dim": dim,
            "threads": saccade.threads(), "cpu": saccade.cpu_targets()[0], "version": saccade.__version__, "stops": stops}


def page(shown):
    template = pathlib.Path(__file__).with_name("tour.html").read_text(encoding="utf-8")
    return template.replace("__TOUR__", json.dumps(shown).replace("</", "<\\/"))


def table(shown):
    lines = [f"{shown['name']}: {shown['tokens']} tokens, {shown['heads']} heads, {shown['threads']} threads, {shown['cpu']}",
             f"{'attn':24} {'visited':>8} {'kept':>8} {'moved':>8} {'ms':>9} {'faster':>7}"]
    for stop in shown["stops"]:
        mean = {name: sum(stop[name]) / len(stop[name]) for name in ("density", "kept", "moved")}
        lines.append(f"{stop['spec']:24} {mean['density']:8.1%} {mean['kept']:8.2%} {mean['moved']:8.2%} {stop['seconds'] * 1e3:9.1f} {stop['times_faster']:6.2f}x")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recording", nargs="?", help="a .qkv file of scripts/record with all queries; none: a made-up text")
    parser.add_argument("-o", "--output", default="tour.html", help="the page [tour.html]")
    parser.add_argument("--tokens", type=int, help="only the text's first tokens")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured [3]")
    given = parser.parse_args()
    text = read_recording(given.recording) if given.recording else made_text()
    if text["q"].shape[1] != text["k"].shape[1]:
        sys.exit(f"tour: {given.recording} has {text['q'].shape[1]} queries for {text['k'].shape[1]} keys: record it with TOKENS")
    if given.tokens:
        text = first_tokens(text, given.tokens)
    shown = tour(text, SPECS, given.rounds)
    pathlib.Path(given.output).write_text(page(shown), encoding="utf-8")
    print(table(shown))
    print(f"page: {given.output}")


if __name__ == "__main__":
    main()
