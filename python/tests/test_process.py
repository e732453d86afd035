"""What a call does to the process around it: signals, other threads, forks, memory."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import saccade


def ones(n, heads=8):
    return np.ones((1, n, heads, 64), np.float32)



# Each by itself would take ten seconds or more.
LONG = {
    "attend": lambda: saccade.attend(ones(40000), ones(40000), ones(40000)),
    "attend with probes": lambda: saccade.attend(ones(40000), ones(40000), ones(40000), probes=["entropy", "rows"]),
    "see": lambda: saccade.see(ones(40000), ones(40000), ["entropy", "column_sums"]),
    "select": lambda: saccade.select(ones(32000), ones(32000), "oracle_topk", fallbacks=False),
    "attend with a selector": lambda: saccade.attend(ones(32000), ones(32000), ones(32000), "oracle_topk"),
    "oracle.attend": lambda: saccade.oracle.attend(ones(4000), ones(4000), ones(4000)),
}


@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_ends_a_long_call_soon(name):
    sent = []

    def press():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        LONG[name]()
    assert time.monotonic() - sent[0] < 5
    q = np.ones((1, 8, 2, 32), np.float32)
    assert np.array_equal(saccade.attend(q, q, q), q)  # of no use otherwise


def test_other_threads_go_on():
    stop, counted = threading.Event(), 0
    q = np.ones((1, 3000, 4, 64), np.float32)
    worker = threading.Thread(target=lambda: (saccade.attend(q, q, q), stop.set()))
    worker.start()
    while not stop.is_set():
        counted += 1
        time.sleep(0.001)
    worker.join()
    assert counted > 3


def test_calls_from_many_threads_take_turns():
    q = np.random.default_rng(1).standard_normal((1, 200, 4, 64), dtype=np.float32)
    expected, wrong = saccade.attend(q, q, q), []

    def work():
        for _ in range(10):
            if not np.array_equal(saccade.attend(q, q, q), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_forked_child_computes():
    code = """
import os, numpy as np, saccade
q = np.ones((1, 100, 4, 64), np.float32)
saccade.attend(q, q, q)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(saccade.attend(q, q, q), q) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run(code)


def test_128k_tokens_in_bounded_memory(capsys):
    """As `python -m saccade.bench --memory` measures it, which takes a dense call too."""
    code = "import json; from saccade import bench; print(json.dumps(bench.memory_row('window(1024)', 131072, 2, 'float32')))"
    row = json.loads(run(code))
    with capsys.disabled():
        print(f"\n131072 tokens, 2 heads of 64: {row['grown_mib']:.0f} MiB beside q, k and v, {row['o_mib']:.0f} of them o")
    assert row["o_mib"] / 2 < row["grown_mib"] < 2 * row["o_mib"]  # a map of 131072 x 131072 would be 64 GiB


def test_a_call_is_cheap():
    q = np.ones((1, 1, 1, 32), np.float32)
    saccade.attend(q, q, q)
    best = min(_time(lambda: [saccade.attend(q, q, q) for _ in range(100)]) for _ in range(20))
    assert best / 100 < 200e-6  # 3 us on an idle machine (docs/python.md); tests run on busy ones


def _time(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
