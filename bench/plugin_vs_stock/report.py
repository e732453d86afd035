"""Medians of llama-bench's JSON lines, stock beside plug-in, in tokens per second."""

import json
import statistics
import sys

runs = [json.loads(line) for line in sys.stdin if line.startswith("{")]


def speeds(who: str, generated: bool) -> list[float]:
    return [r["avg_ts"] for r in runs if r["who"] == who and (r["n_gen"] > 0) == generated]


print(f"{'':8}{'stock tok/s':>24}{'plug-in tok/s':>24}{'ratio':>8}")
for name, generated in (("pp512", False), ("tg32", True)):
    stock, plugin = speeds("stock", generated), speeds("plugin", generated)
    cells = [f"{statistics.median(s):.2f} ({min(s):.2f}-{max(s):.2f})" for s in (stock, plugin)]
    ratio = statistics.median(plugin) / statistics.median(stock)
    print(f"{name:8}{cells[0]:>24}{cells[1]:>24}{ratio:>8.2f}")
