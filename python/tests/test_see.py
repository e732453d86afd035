"""Every probe of the catalogue, by name, against its definition in fp64."""

import numpy
import pytest
import rule
import saccade
from saccade import see_oracle

PROBES = [info["name"] for info in saccade.list("see")]
POSITIONS = {"top_keys.positions": "top_keys.weights", "top_keys.head_positions": "top_keys.head_weights"}


def definition_of(name, given, seen, dtype, order):
    """What the probe's definition says of the first sequence, computed in `dtype`."""
    q, k = given["q"][0], given["k"][0]
    map_ = see_oracle.weights(q, k, seen, dtype=dtype, order=order)
    more = {"norms": lambda: {"v": given["v"][0]}, "peaks": lambda: {"scores": see_oracle.scores(q, k, seen, dtype=dtype, order=order)}}
    return see_oracle.define(name, map_, k.shape[0] - q.shape[0], **given["probes"][name], **more.get(name, dict)())


def judge(actual, exact, plain_of, name):
    """One group a head, or all of it where heads are summed: as tests/laws/see_laws.h judges."""
    size = max(1.0, float(numpy.abs(exact).max()))
    flat = lambda array: array.reshape(1 if name == "top_keys.weights" else array.shape[0], -1)
    rule.assert_rows(flat(actual), flat(exact), size, lambda order: flat(plain_of(order)), name)


@pytest.mark.parametrize("attn", ["dense", "window(100)+sink(3)"])
@pytest.mark.parametrize("name", PROBES)
def test_equals_its_definition(name, attn):
    given = saccade.example(name, seq_len=384)
    if name == "rows":
        given["probes"]["rows"]["queries"] = [0, 200, 383]
    selection = saccade.select(given["q"], given["k"], attn)
    seen = numpy.stack([selection.mask(head) for head in range(given["q"].shape[2])])
    actual = saccade.see(**given, attn=attn)
    exact = definition_of(name, given, seen, numpy.float64, 0)
    assert set(actual) == set(exact)
    plain = {}

    def plain_of(order):
        return plain.setdefault(order, definition_of(name, given, seen, numpy.float32, order))

    for part, values in exact.items():
        if part not in POSITIONS:
            judge(actual[part][0], values, lambda order, part=part: plain_of(order)[part], part)
            continue
        assert actual[part][0].shape == values.shape
        differs = actual[part][0] != values  # only where two weights are as good as equal
        weights, exact_weights = actual[POSITIONS[part]][0], exact[POSITIONS[part]]
        assert differs.mean() < 0.01
        assert numpy.abs(weights - exact_weights)[differs].max(initial=0) < 1e-5


def test_all_of_them_at_once_and_each_sequence_by_itself():
    given = saccade.example("entropy", seq_len=200)
    q, k = (numpy.concatenate([given[part], given[part][:, ::-1]]) for part in "qk")
    everything = saccade.see(q, k, v=k)
    assert {name.split(".")[0] for name in everything} == set(PROBES)
    assert set(everything) - set(saccade.see(q, k)) == {"norms"}
    for i in range(2):
        alone = saccade.see(q[i : i + 1], k[i : i + 1], v=k[i : i + 1])
        for name, values in everything.items():
            assert values.shape[0] == 2
            assert numpy.array_equal(values[i], alone[name][0]), name


def test_sequences_of_different_lengths_are_each_alone():
    given = saccade.example("norms", seq_len=400)
    q, k, v = (given[part][0] for part in "qkv")
    q_cuts, k_cuts = [0, 100, 100, 250, 250], [0, 130, 170, 400, 400]
    packed = saccade.see(q[:250], k, v=v, cu_seqlens=q_cuts, cu_seqlens_k=k_cuts)
    assert isinstance(packed, list) and len(packed) == 4
    for i, seen in enumerate(packed):
        mine, theirs = slice(*q_cuts[i : i + 2]), slice(*k_cuts[i : i + 2])
        alone = saccade.see(q[None, mine], k[None, theirs], v=v[None, theirs])
        assert set(seen) == set(alone) and {name.split(".")[0] for name in seen} == set(PROBES)
        for name, values in alone.items():
            assert values.shape[0] == 1 and numpy.array_equal(seen[name], values[0]), name
    assert packed[0]["entropy"].shape == (4, 100) and packed[1]["entropy"].shape == (4, 0)
    same = saccade.see(k, k, "entropy", cu_seqlens=k_cuts)
    assert [seen["entropy"].shape[1] for seen in same] == [130, 40, 230, 0]


@pytest.mark.parametrize("attn", ["dense", "window(40)+sink(2)", "flexprefill(min_budget=128)"])
def test_attention_tells_on_the_way_what_see_tells(attn):
    given = saccade.example("norms", seq_len=300)
    q, k, v = (given[part] for part in "qkv")
    probes = {"entropy": {}, "distance": {"clip": 20}, "diagonals": {"offsets": [1, 96]}, "class_masses": {"spans": [(0, 4), (50, 90)]},
              "norms": {}, "peaks": {}, "rows": {"queries": [7, 299]}, "column_sums": {}, "top_keys": {"k": 3, "per_head": True}}  # fmt: skip
    plain, lse = saccade.attend(q, k, v, attn, precision="f32", return_lse=True)
    o, seen = saccade.attend(q, k, v, attn, precision="f32", probes=probes)
    alone = saccade.see(q, k, probes, attn, v=v)
    assert numpy.array_equal(o, plain) and numpy.array_equal(seen["peaks.lse"][0], lse[0].T)
    assert set(seen) == set(alone) and all(numpy.array_equal(seen[name], alone[name]) for name in alone)
    o, lse_too, cost, seen = saccade.attend(q, k, v, attn, precision="f32", probes="entropy", return_lse=True, return_cost=True)
    assert numpy.array_equal(o, plain) and numpy.array_equal(lse_too, lse) and cost.pairs_visited > 0
    assert numpy.array_equal(seen["entropy"], alone["entropy"]), "whatever else was asked"


@pytest.mark.parametrize("precision", ["auto", "i16", "bf16"])
def test_probes_change_no_bit_in_any_precision(precision):
    given = saccade.example("norms", seq_len=200)
    q, k, v = (given[part].astype(numpy.float16) for part in "qkv")
    try:
        plain = saccade.attend(q, k, v, precision=precision)
    except RuntimeError as error:
        pytest.skip(str(error))
    o, seen = saccade.attend(q, k, v, precision=precision, probes=["entropy", "norms", "rows"])
    assert numpy.array_equal(o, plain)
    in_f32 = saccade.see(q, k, "entropy")["entropy"]
    assert not numpy.array_equal(seen["entropy"], in_f32), "of the weights that the call used"
    assert numpy.abs(seen["entropy"] - in_f32).max() < 0.1


def test_attention_tells_of_each_sequence():
    given = saccade.example("entropy", seq_len=300)
    q, k = given["q"][0], given["k"][0]
    o, seen = saccade.attend(q, k, k, cu_seqlens=[0, 100, 300], probes=["entropy", "rows"])
    alone = saccade.see(q, k, ["entropy", "rows"], cu_seqlens=[0, 100, 300])
    assert len(seen) == 2 and numpy.array_equal(o, saccade.attend(q, k, k, cu_seqlens=[0, 100, 300]))
    assert all(numpy.array_equal(mine[name], theirs[name]) for mine, theirs in zip(seen, alone) for name in theirs)


def test_whoever_sees_everything_looks_at_everything():
    given = saccade.example("rows", seq_len=64)
    q, k = given["q"], given["k"]
    rows = saccade.see(q, k, {"rows": {"queries": [0, 20]}}, causal=False)["rows"][0]
    assert rows.shape == (4, 2, 64) and (rows > 0).all()
    masked = saccade.see(q, k, {"rows": {"queries": [0, 20]}}, causal=False, mask=numpy.arange(64)[None].repeat(64, 0) < 40)["rows"][0]
    assert (masked[:, :, 40:] == 0).all() and (masked[:, :, :40] > 0).all()
    assert numpy.allclose(masked.sum(axis=2), 1, atol=1e-5)


def test_specs_and_dicts_say_the_same():
    given = saccade.example("top_keys", seq_len=150)
    q, k = given["q"], given["k"]
    by_spec = saccade.see(q, k, ["top_keys(3,per_head=on)", "entropy"])
    by_dict = saccade.see(q, k, {"top_keys": {"k": 3, "per_head": True}, "entropy": {}})
    assert set(by_spec) == set(by_dict)
    assert all(numpy.array_equal(by_spec[name], by_dict[name]) for name in by_spec)
    assert by_spec["top_keys.head_positions"].shape == (1, 4, 150, 3)


def test_a_block_mask_says_who_is_looked_at():
    given = saccade.example("rows", seq_len=96)
    documents = saccade.mask_mod(lambda b, h, q, kv: q // 32 == kv // 32, 96, 96, block=32)
    rows = saccade.see(given["q"], given["k"], {"rows": {"queries": [40]}}, documents, causal=False)["rows"][0, :, 0]
    assert (rows[:, :32] == 0).all() and (rows[:, 64:] == 0).all() and (rows[:, 32:64] > 0).all()
    causal = saccade.see(given["q"], given["k"], {"rows": {"queries": [40]}}, documents)["rows"][0, :, 0]
    assert (causal[:, 41:] == 0).all() and (causal[:, 32:41] > 0).all()


@pytest.mark.parametrize("probes, line", [
    ("entropi", "entropy"),
    ("top_keys(j=3)", "unknown parameter"),
    ("top_keys(k=0)", "k must be >= 1"),
    ({"rows": {"queries": [900]}}, "rows were asked of query 900"),
    ({"rows": {"queries": "x"}}, "queries must be a list of positions"),
    ({"diagonals": {"offsets": [-1]}}, "offsets must be >= 0"),
    ({"block_sums": {"text_len": 0}}, "text_len must be >= 1"),
    ({"class_masses": {"spans": [1, 2]}}, "spans must be a list of"),
    ("entropy+rows", "one probe at a time"),
    ("norms", "norms looks at values: give v"),
])
def test_bad_input_gets_one_line(probes, line):
    given = saccade.example("entropy", seq_len=64)
    with pytest.raises(ValueError, match=line) as caught:
        saccade.see(given["q"], given["k"], probes)
    assert "\n" not in str(caught.value)
