"""Is saccade.attend faster than torch's attention, and by how much?  python -m saccade.bench [--threads N] [--json]
How much memory does it take on a long text?                          python -m saccade.bench --memory

Both sides run in turn on the same tensors, in one process with the same number of threads. A row is printed only after
its result was compared with fp64 on sampled rows. Times are medians; ratios are of the medians. Memory is the most that the
process ever held (Linux) less what it held before the call.
"""

import argparse
import json
import os
import statistics
import sys
import time

import numpy as np

import saccade

HEADS = 4
N_SAMPLED = 16


def _median_and_spread(times):
    return statistics.median(times), max(times) - min(times)


def _in_turn(calls, seconds, least):
    """Times of each call, taken in turn until `seconds` are spent, `least` rounds at the least; the first is not counted."""
    times = [[] for _ in calls]
    for call in calls:
        call()
    end = time.monotonic() + seconds
    while len(times[0]) < least or time.monotonic() < end:
        for call, taken in zip(calls, times):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return times


def _attend_row(q, k, v, row, head, window, dtype):
    """One row of causal attention in `dtype`, from the values as they are stored."""
    first = 0 if window is None else max(0, row + 1 - window)
    scores = k[first : row + 1, head].astype(dtype) @ q[row, head].astype(dtype) / np.sqrt(dtype(q.shape[-1]))
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ v[first : row + 1, head].astype(dtype)


def _check(o, q, k, v, window, eps):
    """The largest error of sampled rows against fp64; ends the program where the tolerance rule does not hold: at most
    twice the error of a plain f32 row plus 4 eps max|v|. Arrays of NumPy, [seq, heads, head_dim]."""
    rng = np.random.default_rng(1)
    worst, most_v = 0.0, float(np.abs(v).max())
    for row, head in zip(rng.integers(0, q.shape[0], N_SAMPLED), rng.integers(0, q.shape[1], N_SAMPLED)):
        exact, plain = (_attend_row(q, k, v, row, head, window, dtype) for dtype in (np.float64, np.float32))
        error, allowed = np.abs(o[row, head] - exact).max(), 2 * np.abs(plain - exact).max() + 4 * eps * most_v
        if not error <= allowed:
            sys.exit(f"saccade.bench: an error of {error:.3g} where {allowed:.3g} is allowed: nothing is reported")
        worst = max(worst, float(error))
    return worst


def _window(attn):
    """n of window(n); None: every key."""
    return None if attn == "dense" else int(attn[len("window(") : -1])


def _row(name, n, head_dim, dtype, attn, precision, seconds, least=3):
    import torch

    generator = torch.Generator().manual_seed(7)
    q, k, v = (torch.randn(1, n, HEADS, head_dim, generator=generator).to(dtype) for _ in range(3))
    window = _window(attn)

    def ours():
        return saccade.attend(q, k, v, attn, precision=precision)

    def theirs():
        return torch.nn.functional.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                                                is_causal=True)

    def check(o):
        return _check(*(x[0].float().numpy() for x in (o, q, k, v)), window, torch.finfo(dtype).eps)

    error = check(ours())
    if window is None:
        check(theirs().transpose(1, 2))
    mine, peers = (_median_and_spread(t) for t in _in_turn([ours, theirs], seconds, least))
    flop = 4.0 * HEADS * head_dim * n * (n + 1) / 2
    return {"row": name, "n": n, "head_dim": head_dim, "heads": HEADS, "dtype": str(dtype).split(".")[1], "attn": attn,
            "precision": precision, "saccade_s": mine[0], "saccade_spread_s": mine[1], "torch_s": peers[0],
            "torch_spread_s": peers[1], "ratio": peers[0] / mine[0], "torch_gflops": flop / peers[0] / 1e9,
            "error": error}


def _overhead():
    """The shortest call there is, over and over: what a call costs beside its arithmetic."""
    x = np.zeros((1, 1, 1, 32), np.float32)
    for _ in range(1000):
        saccade.attend(x, x, x)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(100):
            saccade.attend(x, x, x)
        times.append((time.perf_counter() - start) / 100)
    median, spread = _median_and_spread(times)
    return {"row": "overhead of a call", "saccade_us": median * 1e6, "saccade_spread_us": spread * 1e6}


def _mib(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what)) / 1024


def memory_row(attn, n, heads, dtype, head_dim=64):
    """One call on n tokens: the most memory that it took beside q, k and v, in MiB, o among it."""
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal((1, n, heads, head_dim), dtype=np.float32).astype(dtype) for _ in range(3))
    saccade.attend(q[:, :64], k[:, :64], v[:, :64])
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the peak begins anew
    before, start = _mib("VmRSS"), time.perf_counter()
    o, cost = saccade.attend(q, k, v, attn, return_cost=True)
    seconds, grown = time.perf_counter() - start, _mib("VmHWM") - before
    o, q, k, v = (x[0].astype(np.float32) for x in (o, q, k, v))
    error = _check(o, q, k, v, _window(attn), np.finfo(dtype).eps)
    return {"row": f"memory {n // 1024}K", "n": n, "heads": heads, "head_dim": head_dim, "dtype": dtype, "attn": attn,
            "precision": "i16" if cost.pairs_i16 > 0 else "bf16" if cost.pairs_bf16 > 0 else "f32", "saccade_s": seconds,
            "grown_mib": grown, "o_mib": o.size * np.dtype(dtype).itemsize / 2**20, "error": error}


def memory_rows():
    yield memory_row("window(1024)", 131072, 2, "float32")
    yield memory_row("dense", 131072, 1, "float16")


def rows(seconds):
    import torch

    yield _overhead()
    for head_dim in (64, 128):
        yield _row("bf16 8K", 8192, head_dim, torch.bfloat16, "dense", "auto", seconds)
        yield _row("f32 8K", 8192, head_dim, torch.float32, "dense", "f32", seconds)
    for head_dim in (64, 128):
        yield _row("window 32K", 32768, head_dim, torch.float32, "window(1024)", "f32", seconds, least=1)


def _line(row):
    if "saccade_us" in row:
        return f"{row['row']:14} {row['saccade_us']:8.2f} us  (spread {row['saccade_spread_us']:.2f})"
    if "grown_mib" in row:
        return (f"{row['row']:14} head_dim {row['head_dim']:3} {row['dtype']:8} {row['attn']:12} {row['precision']:4}  heads "
                f"{row['heads']}  {row['saccade_s']:7.2f} s  {row['grown_mib']:.0f} MiB beside q, k and v, {row['o_mib']:.0f} of "
                f"them o")
    return (f"{row['row']:14} head_dim {row['head_dim']:3} {row['dtype']:8} {row['attn']:12} {row['precision']:4}  saccade "
            f"{row['saccade_s']:7.3f} s  torch {row['torch_s']:7.3f} s  {row['ratio']:6.2f}x  ({row['torch_gflops']:.0f} "
            f"GFLOP/s in torch)")


def _set_up_torch(threads):
    """Its version."""
    try:
        import torch
    except ImportError:
        sys.exit("saccade.bench: torch is not installed: there is nothing to compare with")
    torch.set_num_threads(threads)
    return torch.__version__


def main():
    parser = argparse.ArgumentParser(prog="python -m saccade.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=4.0, help="spent on each row, at the least")
    parser.add_argument("--memory", action="store_true", help="memory on a long text, and no torch")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, got {options.threads}")
    about = {"saccade": saccade.__version__, "threads": options.threads, "cpu_targets": list(saccade.cpu_targets())}
    if not options.memory:
        about["torch"] = _set_up_torch(options.threads)
    saccade.set_threads(options.threads)

    done = []
    for row in memory_rows() if options.memory else rows(options.seconds):
        done.append(row)
        print(_line(row), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(json.dumps(about | {"rows": done}, indent=2))


if __name__ == "__main__":
    main()
