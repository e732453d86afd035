"""examples/tour.py, small: a recording in, a table and a page out."""

import json
import pathlib
import re
import subprocess
import sys

import numpy
import pytest
import saccade

TOUR = pathlib.Path(__file__).parents[2] / "examples" / "tour.py"
TOKENS = 512


def write_recording(path):
    """A made-up text as tests/fixtures/record_qkv.cc would write it."""
    made = saccade.example("flexprefill", seq_len=TOKENS)
    header = {"layer": 7, "q_len": TOKENS, "kv_len": TOKENS, "n_heads": 4, "n_kv_heads": 2, "head_dim": 64, "q_begin": 0, "scale": 0.125}
    k, v = (made[part].astype(numpy.float16).tobytes() for part in "kv")
    path.write_bytes(json.dumps(header).encode() + b"\n" + made["q"].tobytes() + k + v)


def run(*arguments):
    return subprocess.run([sys.executable, str(TOUR), *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small-model-abc-512")
    write_recording(folder / "layer7.qkv")
    done = run(folder / "layer7.qkv", "-o", folder / "tour.html", "--rounds", 1)
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "tour.html").read_text(encoding="utf-8")


def test_prints_what_each_visits_keeps_and_takes(toured):
    table, _ = toured
    assert f"layer 7, reading a novel: {TOKENS} tokens, 4 heads" in table
    dense = next(line for line in table.splitlines() if line.startswith("dense"))
    assert dense.split()[1:4] == ["100.0%", "100.00%", "0.00%"]
    assert "window(1024)+sink(4)" in table and "flexprefill" in table


def test_the_page_holds_everything_and_asks_for_nothing(toured):
    _, page = toured
    shown = json.loads(re.search(r'<script type="application/json" id="tour">(.*?)</script>', page, re.DOTALL)[1])
    assert [stop["name"] for stop in shown["stops"]] == ["dense", "window", "flexprefill"]
    for stop in shown["stops"]:
        assert len(stop["pictures"]) == len(stop["kept"]) == len(stop["density"]) == len(stop["curve"]) == 4
        assert all(picture.startswith("data:image/png;base64,") for picture in stop["pictures"])
        assert all(0 <= kept <= 1 for kept in stop["kept"])
        assert stop["seconds"] > 0
    assert shown["stops"][0]["density"] == [1.0] * 4 and shown["stops"][0]["moved"] == [0.0] * 4
    assert "__TOUR__" not in page
    assert not re.search(r'(src|href)="?https?:', page)


def test_a_recording_of_a_few_queries_is_refused(tmp_path):
    header = {"layer": 0, "q_len": 1, "kv_len": 2, "n_heads": 1, "n_kv_heads": 1, "head_dim": 32, "q_begin": 1, "scale": 1.0}
    (tmp_path / "few.qkv").write_bytes(json.dumps(header).encode() + b"\n" + bytes(32 * 4 + 2 * 2 * 32 * 2))
    done = run(tmp_path / "few.qkv", "-o", tmp_path / "tour.html")
    assert done.returncode == 1 and "record it with TOKENS" in done.stderr and "Traceback" not in done.stderr
