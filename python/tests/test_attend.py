"""attend() and decode(): every argument against the fp64 definition."""

import numpy as np
import pytest
import tolerance
from hypothesis import given, settings
from hypothesis import strategies as st

import saccade

SPECS = ["dense", "window(9)", "window(20)+sink(2)", "dilated(stride=3)", "window(40)&dense", "none+window(1)"]


def plain(q, k, v, visible, scale):
    """A loop in f32 over [q_len, heads, dim]; visible [q_len, kv_len]."""
    group = q.shape[1] // k.shape[1]
    o = np.zeros((*q.shape[:2], v.shape[2]), np.float32)
    for head in range(q.shape[1]):
        scores = np.float32(scale) * (q[:, head] @ k[:, head // group].T)
        scores = np.where(visible, scores, -np.inf)
        with np.errstate(invalid="ignore"):
            weights = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
            sums = weights.sum(axis=1, keepdims=True)
            o[:, head] = np.where(visible.any(1)[:, None], weights @ v[:, head // group] / sums, 0)
    return o


def check(q, k, v, o, exact, eps="f32"):
    """Judges [batch, seq, heads, dim] against exact, with a dense f32 loop's error as the measure of plain."""
    causal = np.arange(k.shape[1])[None] <= np.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1]
    rows = (-1, exact.shape[-1])
    loop = np.stack([plain(*x, causal, q.shape[-1] ** -0.5) for x in zip(q, k, v)])
    dense = saccade.oracle.attend(q, k, v)[0]
    tolerance.judge(o.reshape(rows), exact.reshape(rows), (exact + np.abs(loop - dense)).reshape(rows),
                    np.abs(v).max(initial=0), tolerance.EPS[eps])  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_shape_and_pattern(data):
    draw = data.draw
    n_kv_heads = draw(st.integers(1, 3))
    heads = n_kv_heads * draw(st.sampled_from([1, 2, 7]))
    batch, q_len, kv_len = draw(st.integers(1, 2)), draw(st.integers(0, 70)), draw(st.integers(0, 140))
    dim, dim_v = draw(st.sampled_from([32, 40, 64, 128])), draw(st.sampled_from([32, 64, 72]))
    spec = draw(st.sampled_from(SPECS))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    q, k, v = (rng.standard_normal(s, dtype=np.float32) for s in (
        (batch, q_len, heads, dim), (batch, kv_len, n_kv_heads, dim), (batch, kv_len, n_kv_heads, dim_v)))  # fmt: skip
    o, lse, cost = saccade.attend(q, k, v, spec, return_lse=True, return_cost=True)
    exact, exact_lse = saccade.oracle.attend(q, k, v, spec)
    assert o.shape == exact.shape and o.dtype == np.float32 and lse.shape == (batch, q_len, heads)
    assert np.array_equal(np.isinf(lse), np.isinf(exact_lse))
    assert 0 <= cost.density <= 1 or q_len * kv_len == 0
    if spec == "dense" and q_len * kv_len > 0:
        assert cost.density == 1.0
    check(q, k, v, o, exact)


def test_a_batch_is_its_sequences(make):
    q, k, v = make(3, 40, 4, 64), make(3, 90, 2, 64), make(3, 90, 2, 64)
    o, lse = saccade.attend(q, k, v, "window(30)", return_lse=True)
    for i in range(3):
        one, one_lse = saccade.attend(q[i : i + 1], k[i : i + 1], v[i : i + 1], "window(30)", return_lse=True)
        assert np.array_equal(o[i], one[0]) and np.array_equal(lse[i], one_lse[0])


@pytest.mark.parametrize("ints", [np.int32, np.int64, list])
def test_sequences_of_different_lengths(make, ints):
    q_cuts, k_cuts = [0, 5, 5, 60], [0, 9, 12, 100]
    q, k, v = make(60, 4, 32), make(100, 2, 32), make(100, 2, 64)
    as_ints = (lambda cuts: cuts) if ints is list else (lambda cuts: np.array(cuts, ints))
    o, lse = saccade.attend(q, k, v, cu_seqlens=as_ints(q_cuts), cu_seqlens_k=as_ints(k_cuts), return_lse=True)
    for i in range(3):
        mine, theirs = slice(*q_cuts[i : i + 2]), slice(*k_cuts[i : i + 2])
        one, one_lse = saccade.attend(q[None, mine], k[None, theirs], v[None, theirs], return_lse=True)
        assert np.array_equal(o[mine], one[0]) and np.array_equal(lse[mine], one_lse[0])
    same = saccade.attend(k, k, v, cu_seqlens=as_ints(k_cuts))
    assert np.array_equal(same, saccade.attend(k, k, v, cu_seqlens=as_ints(k_cuts), cu_seqlens_k=as_ints(k_cuts)))


def test_more_queries_than_keys(make):
    q, k = make(1, 9, 2, 32), make(1, 4, 2, 32)
    o, lse = saccade.attend(q, k, k, return_lse=True)
    assert (o[:, :5] == 0).all() and (lse[:, :5] == -np.inf).all()
    assert np.array_equal(o[:, 5:], saccade.attend(q[:, 5:], k, k))
    _, lse = saccade.attend(q, k, k, sink_scores=[1.5, 2.5], return_lse=True)
    assert (lse[0, :5] == [1.5, 2.5]).all()


def test_strides_are_read_where_they_lie(make):
    q, k, v = make(2, 50, 4, 64), make(2, 50, 4, 64), make(2, 50, 4, 64)
    expected = saccade.attend(q, k, v)
    heads_first = [np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2) for x in (q, k, v)]
    assert np.array_equal(saccade.attend(*heads_first), expected)
    fused = np.concatenate([q, k, v], axis=-1)
    assert np.array_equal(saccade.attend(*np.split(fused, 3, axis=-1)), expected)
    one_for_all = np.broadcast_to(k[:, :, :1], k.shape)
    assert np.array_equal(saccade.attend(q, one_for_all, v), saccade.attend(q, one_for_all.copy(), v))
    frozen = q.copy()
    frozen.flags.writeable = False
    assert np.array_equal(saccade.attend(frozen, k, v), expected)
    backwards = q[:, ::-1]
    assert np.array_equal(saccade.attend(backwards, k, v), saccade.attend(backwards.copy(), k, v))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits(make, dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    q, k, v = (make(1, 80, 2, 64).astype(dtype) for _ in range(3))
    o = saccade.attend(q, k, v)
    assert o.dtype == dtype
    wide = np.empty(o.shape, np.float32)
    assert saccade.attend(q, k, v, out=wide) is wide
    assert np.array_equal(wide.astype(dtype), o)  # rounded once, as NumPy rounds
    exact, _ = saccade.oracle.attend(q, k, v)
    check(*(x.astype(np.float32) for x in (q, k, v)), o.astype(np.float64), exact,
          "f16" if dtype == np.float16 and saccade.cpu_targets()[0] != "AMX" else "bf16")  # fmt: skip
    exact32 = saccade.attend(*(x.astype(np.float32) for x in (q, k, v)), precision="f32")
    assert np.array_equal(saccade.attend(q, k, v, precision="f32", out=wide), exact32)


def test_rounding_to_f16_at_its_ends():
    # One key: o is that key's value, whatever it is.
    values = np.array([0.0, -0.0, 6e-8, 2.9e-8, 3e-8, 6.1e-5, 6.0e-5, 1.00048828125, 1.0014648, 65504, 65519, 65520, 1e9,
                       -1e9, np.inf, -np.inf, np.nan, 5.9604645e-8, 8.940697e-08] + [0.1] * 13, np.float32)  # fmt: skip
    q, v = np.ones((1, 1, 1, 32), np.float32), values.reshape(1, 1, 1, 32)
    o = saccade.attend(q, q, v, out=np.empty(v.shape, np.float16), allow_nan=True)
    with np.errstate(over="ignore"):
        assert np.array_equal(o, v.astype(np.float16), equal_nan=True)


@pytest.mark.parametrize("args", [
    {"weigh": "softcap(2)"}, {"weigh": "softcap(c=0.5)"}, {"scale": 0.7}, {"sink_scores": [0.5, -1.0, 2.0, -np.inf]},
    {"q_begin": 3}, {"q_begin": 200}, {"causal": False}, {"attn": "window(7)", "q_begin": 20},
    {"attn": {"attn": "window(5)+sink(1)"}}, {"attn": {"heads": "1-2", "attn": "window(3)"}},
    {"attn": {"heads": "1", "steer": "uniform"}, "sink_scores": [0.5, -1.0, 2.0, -np.inf]},
    {"attn": {"rows": [{"heads": "2", "steer": "scale_head(0.5)"}, {"heads": "3", "steer": "uniform"}]}, "mask": "of heads"},
    {"attn": {"default": {"attn": "window(4)"}, "rows": [{"layers": "2", "attn": "dense"}]}, "layer": 2},
])  # fmt: skip
def test_every_argument_by_definition(make, args):
    q, k, v = make(2, 30, 4, 32), make(2, 64, 2, 32), make(2, 64, 2, 32)
    if "mask" in args:
        args = args | {"mask": make(1, 4, 30, 64)}
    o, lse = saccade.attend(q, k, v, return_lse=True, **args)
    exact, exact_lse = saccade.oracle.attend(q, k, v, **args)
    check(q, k, v, o, exact)
    finite = np.isfinite(exact_lse)
    assert np.array_equal(np.isfinite(lse), finite)
    assert np.abs(lse - exact_lse)[finite].max() <= 8 * tolerance.EPS["f32"] * max(1, np.abs(exact_lse[finite]).max())


@pytest.mark.parametrize("shape", [(30, 64), (1, 1, 30, 64), (2, 1, 30, 64), (1, 4, 30, 64), (2, 4, 30, 64)])
@pytest.mark.parametrize("kind", ["bool", "float32", "float16", "float32 strided", "bfloat16"])
@pytest.mark.parametrize("attn", ["dense", "window(40)"])
def test_masks(make, rng, shape, kind, attn):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    q, k, v = make(2, 30, 4, 32), make(2, 64, 2, 32), make(2, 64, 2, 32)
    hides = rng.random(shape) < 0.3
    if kind == "bool":
        mask, added = ~hides, np.where(hides, -np.inf, 0.0)
    else:
        dtype = ml_dtypes.bfloat16 if kind == "bfloat16" else kind.split()[0]
        mask = np.where(hides, -np.inf, rng.standard_normal(shape)).astype(dtype)
        added = mask.astype(np.float32)
    if "strided" in kind:
        mask = np.repeat(mask, 2, axis=-1)[..., ::2]
    o = saccade.attend(q, k, v, attn, mask=mask)
    whole = np.broadcast_to(added.astype(np.float32).reshape((1, 1, 30, 64) if len(shape) == 2 else shape), (2, 4, 30, 64))
    exact, _ = saccade.oracle.attend(q, k, v, attn, mask=np.ascontiguousarray(whole))
    check(q, k, v, o, exact)
    slopes = [0.0, 1.0, 0.25, 2.0]
    if kind == "float32":
        o = saccade.attend(q, k, v, attn, mask=mask, slopes=slopes)
        check(q, k, v, o, saccade.oracle.attend(q, k, v, attn, mask=mask, slopes=slopes)[0])


def test_decode_is_attend_with_one_query(make):
    q, k, v = make(4, 1, 4, 64), make(4, 90, 2, 64), make(4, 90, 2, 64)
    lens = np.array([90, 1, 0, 37])
    o, lse = saccade.decode(q, k, v, "window(20)+sink(1)", lens, return_lse=True)
    for i, n in enumerate(lens):
        one, one_lse = saccade.attend(q[i : i + 1], k[i : i + 1, :n], v[i : i + 1, :n], "window(20)+sink(1)", return_lse=True)
        assert np.array_equal(o[i], one[0]) and np.array_equal(lse[i], one_lse[0])
    flat, flat_lse = saccade.decode(q[:, 0], k, v, "window(20)+sink(1)", lens, return_lse=True)
    assert np.array_equal(flat, o[:, 0]) and np.array_equal(flat_lse, lse[:, 0])
    assert np.array_equal(saccade.decode(q, k, v), saccade.attend(q, k, v))


def test_merge_joins_any_split(make):
    q, k, v = make(2, 1, 4, 64), make(2, 90, 2, 64), make(2, 90, 2, 64)
    whole, whole_lse = saccade.attend(q, k, v, return_lse=True)
    for cut in (0, 1, 45, 90):
        a = saccade.attend(q, k[:, :cut], v[:, :cut], causal=False, return_lse=True)
        b = saccade.attend(q, k[:, cut:], v[:, cut:], causal=False, return_lse=True)
        o, lse = saccade.merge(*a, *b)
        exact, exact_lse = saccade.oracle.merge(*a, *b)
        assert np.abs(o - exact).max() <= 4 * tolerance.EPS["f32"] * np.abs(v).max()
        assert np.abs(lse - exact_lse).max() <= 4 * tolerance.EPS["f32"] * max(1, np.abs(exact_lse).max())
        check(q, k, v, o, saccade.oracle.attend(q, k, v)[0])
        if cut == 0:
            assert np.array_equal(o, b[0]) and np.array_equal(lse, b[1])


def test_selectors_run_and_tell_what_they_did(make):
    q, k = make(1, 512, 2, 64), make(1, 2048, 2, 64)
    o, cost = saccade.attend(q, k, k, "random(density=0.1)", return_cost=True)
    exact, _ = saccade.oracle.attend(q, k, k, "random(density=0.1)")
    check(q, k, k, o, exact)
    assert cost.heads_chosen == 2 and 0.05 < cost.density < 0.3


def test_the_same_call_gives_the_same_bits(make):
    q, k, v = make(1, 300, 4, 64), make(1, 300, 2, 64), make(1, 300, 2, 64)
    first = saccade.attend(q, k, v, "window(100)")
    assert all(np.array_equal(saccade.attend(q, k, v, "window(100)"), first) for _ in range(5))


def test_out_of_any_layout(make):
    q, k, v = make(2, 20, 4, 32), make(2, 20, 4, 32), make(2, 20, 4, 32)
    expected = saccade.attend(q, k, v)
    room = np.full((2, 20, 4, 64), np.nan, np.float32)
    assert saccade.attend(q, k, v, out=room[..., :32]).base is room
    assert np.array_equal(room[..., :32], expected) and np.isnan(room[..., 32:]).all()


def test_torch_in_torch_out(make):
    torch = pytest.importorskip("torch")
    q, k, v = (torch.from_numpy(make(1, 40, 2, 64)) for _ in range(3))
    o, lse = saccade.attend(q, k, v, return_lse=True)
    assert isinstance(o, torch.Tensor) and isinstance(lse, torch.Tensor)
    expected = saccade.attend(*(x.numpy() for x in (q, k, v)))
    assert np.array_equal(o.numpy(), expected)
    out = torch.empty_like(q)
    assert saccade.attend(q, k, v, out=out) is out and np.array_equal(out.numpy(), expected)
    with torch.no_grad():
        assert np.array_equal(saccade.attend(q.requires_grad_(), k, v).numpy(), expected)
