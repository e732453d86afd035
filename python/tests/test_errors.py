"""Bad input: one clear line, and the right kind of exception."""

import numpy as np
import pytest

import saccade

Q = np.ones((1, 8, 4, 32), np.float32)
K = np.ones((1, 8, 2, 32), np.float32)


@pytest.mark.parametrize("call, kind, line", [
    (lambda: saccade.attend(Q[0], K, K), ValueError, "attend: q must be [batch, seq, heads, head_dim], got shape [8, 4, 32]"),
    (lambda: saccade.attend(Q, K[:, :5], K), ValueError, "attend: k and v must have the same length and heads"),
    (lambda: saccade.attend(Q[:, :, :3], K, K), ValueError, "attend: q's heads must be a multiple of k's, got 3 and 2"),
    (lambda: saccade.attend(np.repeat(Q, 2, 0), K, K), ValueError, "attend: q, k and v must have one batch size, got 2, 1 and 1"),
    (lambda: saccade.attend(Q[..., :16], K, K), ValueError, "attend: head_dim and head_dim_v must be multiples of 8"),
    (lambda: saccade.attend(Q, Q[..., :2, ::2], K), ValueError, "attend: k's last dimension must be contiguous, got a stride of 2"),
    (lambda: saccade.attend(Q.astype(np.float64), K, K), TypeError, "attend: q must be f32, f16 or bf16, got f64"),
    (lambda: saccade.attend(Q, K.astype(np.int32), K), TypeError, "attend: k must be f32, f16 or bf16, got i32"),
    (lambda: saccade.attend([[1.0]], K, K), TypeError, "attend: q must be a NumPy array or a CPU tensor"),
    (lambda: saccade.attend(Q, None, K), TypeError, "got NoneType"),
    (lambda: saccade.attend(Q, K, K, "windw(4)"), ValueError, 'unknown mechanism "windw"; did you mean "window"?'),
    (lambda: saccade.attend(Q, K, K, "window(m=4)"), ValueError, 'unknown parameter "m"'),
    (lambda: saccade.attend(Q, K, K, "window(0)"), ValueError, "where/window: n must be >= 1, got 0"),
    (lambda: saccade.attend(Q, K, K, {"atn": "dense"}), ValueError, 'did you mean "attn"?'),
    (lambda: saccade.attend(Q, K, K, 7), TypeError, "attn must be a spec, a Plan, a dict"),
    (lambda: saccade.attend(Q, K, K, {"heads": "9", "attn": "window(3)"}), ValueError, "names head 9, but the model has 4 (0-3)"),
    (lambda: saccade.attend(Q, K, K, weigh="softcp(3)"), ValueError, 'did you mean "softcap"?'),
    (lambda: saccade.attend(Q, K, K, weigh="softcap(-1)"), ValueError, "weigh/softcap: c must be >= 0"),
    (lambda: saccade.attend(Q, K, K, weigh="softcap(d=1)"), ValueError, 'unknown parameter "d"'),
    (lambda: saccade.attend(Q, K, K, weigh="softmax(1)"), ValueError, "weigh/softmax"),
    (lambda: saccade.attend(Q, K, K, weigh="softmax+softcap"), ValueError, "weigh: it is one mechanism, such as softmax or softcap(30)"),
    (lambda: saccade.attend(Q, K, K, weigh="window(4)"), ValueError, 'unknown way to weigh "window"'),
    (lambda: saccade.attend(Q, K, K, weigh=30), TypeError, "weigh must be a spec, a dict or an object with a name, got int"),
    (lambda: saccade.attend(Q, K, K, weigh={"wiegh": "softmax"}), ValueError, 'weigh: unknown key "wiegh"; did you mean "weigh"?'),
    (lambda: saccade.attend(Q, K, K, weigh={"layers": "2"}), ValueError, 'weigh: the row has no "weigh"'),
    (lambda: saccade.attend(Q, K, K, weigh={"heads": "2", "weigh": "softmax"}), ValueError, "weigh: the heads of a layer all weigh alike"),
    (lambda: saccade.attend(Q, K, K, weigh={"layers": "2-x", "weigh": "softmax"}), ValueError, "weigh.layers must be numbers and ranges"),
    (lambda: saccade.attend(Q, K, K, weigh={"layers": [2], "weigh": "softmax"}), ValueError, "weigh: layers must be numbers and ranges"),
    (lambda: saccade.weigh.Softcap(-1), ValueError, "weigh/softcap: c must be >= 0"),
    (lambda: saccade.weigh.Softcap(d=1), ValueError, 'unknown parameter "d"'),
    (lambda: saccade.weigh.Softcap(1, 2), TypeError, "Softcap takes at most 1 values, got 2"),
    (lambda: saccade.attend(Q, K, K, "softcap(3)"), ValueError, 'unknown mechanism "softcap"'),
    (lambda: saccade.attend(Q, K, K, probes="entropi"), ValueError, "entropy"),
    (lambda: saccade.attend(Q, K, K, probes=3), TypeError, "see: probes must be names, or a dict of what each is given, got int"),
    (lambda: saccade.attend(Q, K, K, probes=[3]), TypeError, "see: a probe's name must be a string, got int"),
    (lambda: saccade.see(Q, K, {"rows": 3}), TypeError, "see: what rows is given must be a dict, got int"),
    (lambda: saccade.see(Q, K, {"rows": {3: 4}}), ValueError, "see/rows: takes no parameters, got 3=4"),
    (lambda: saccade.attend(Q, K[:, :3], K[:, :3], probes="entropy"), ValueError, "attend: probes: each query needs a key of its own"),
    (lambda: saccade.attend(Q, K, K, probes="entropy", mask=np.ones((1, 4, 8, 8), bool)), ValueError, "the mask has heads of its own"),
    (lambda: saccade.see(Q, K[:, :3]), ValueError, "see: each query needs a key of its own, or q_begin, got 8 queries and 3 keys"),
    (lambda: saccade.see(Q[0], K[0], cu_seqlens=[0, 9]), ValueError, "see: cu_seqlens must end with the total length 8, got 9"),
    (lambda: saccade.see(Q, K, "entropy", "window(3)", causal=False), ValueError, "attend: without causal, attn must be dense"),
    (lambda: saccade.select(Q, K[:, :3], "dense"), ValueError, "select: each query needs a key of its own"),
    (lambda: saccade.select(Q[0], K[0], "dense", cu_seqlens=[0, 5, 3, 8]), ValueError, "select: cu_seqlens must never fall"),
    (lambda: saccade.attend(Q, K, K, precision="f8"), ValueError, "precision: must be auto, f32, i16 or bf16"),
    (lambda: saccade.attend(Q, K, K, scale=np.nan), ValueError, "attend: scale must be finite"),
    (lambda: saccade.attend(Q, K, K, q_begin=-1), ValueError, "attend: q_begin must be >= 0, got -1"),
    (lambda: saccade.attend(Q, K, K, "window(3)", causal=False), ValueError, "attend: without causal, attn must be dense"),
    (lambda: saccade.attend(Q, K, K, mask=np.ones((8, 7), bool)), ValueError, "attend: mask must be [8, 8] or"),
    (lambda: saccade.attend(Q, K, K, mask=np.ones((8, 8), int)), TypeError, "attend: mask must be f32, f16 or bf16, got i64"),
    (lambda: saccade.attend(Q, K, K, slopes=[1.0] * 4), ValueError, "attend: slopes multiply a mask, and there is none"),
    (lambda: saccade.attend(Q, K, K, sink_scores=[1.0]), ValueError, "attend: sink_scores must have one entry per query head (4), got 1"),
    (lambda: saccade.attend(Q, K, K, sink_scores=["a"] * 4), TypeError, "attend: sink_scores must hold numbers"),
    (lambda: saccade.attend(Q[0], K[0], K[0], cu_seqlens=[0, 9]), ValueError, "attend: cu_seqlens must end with the total length 8, got 9"),
    (lambda: saccade.attend(Q[0], K[0], K[0], cu_seqlens=[1, 8]), ValueError, "attend: cu_seqlens must begin with 0, got 1"),
    (lambda: saccade.attend(Q[0], K[0], K[0], cu_seqlens=[0, 5, 3, 8]), ValueError, "attend: cu_seqlens must never fall, got 3 after 5"),
    (lambda: saccade.attend(Q[0], K[0], K[0], cu_seqlens=np.array([0.0, 8])), TypeError, "attend: cu_seqlens must hold whole numbers"),
    (lambda: saccade.attend(Q, K, K, cu_seqlens_k=[0, 8]), ValueError, "attend: cu_seqlens_k needs cu_seqlens too"),
    (lambda: saccade.decode(Q[:, 0], K, K, kv_lens=[9]), ValueError, "decode: kv_lens must be in [0, kv_len] (8), got 9"),
    (lambda: saccade.decode(Q[:, 0], K, K, kv_lens=[1, 2]), ValueError, "decode: kv_lens must have one entry a sequence (1), got 2"),
    (lambda: saccade.attend(Q, K, K, out=np.empty((1, 8, 4, 31), np.float32)), ValueError, "attend: out must have shape [1, 8, 4, 32]"),
    (lambda: saccade.attend(Q, K, K, out=np.empty(Q.shape)), TypeError, "attend: out must be f32, f16 or bf16, got f64"),
    (lambda: saccade.merge(Q, Q[..., 0], Q, Q), ValueError, "merge: lse_b must have merge: o_b's shape without the last dimension"),
    (lambda: saccade.merge(Q, Q[..., 0].astype(np.float64), Q, Q[..., 0]), TypeError, "merge: lse_a must be f32, f16 or bf16, got f64"),
    (lambda: saccade.Plan.load("no/such.json"), ValueError, 'plan: there is no file "no/such.json"'),
], ids=lambda value: value[:40] if isinstance(value, str) else "")  # fmt: skip
def test_one_clear_line(call, kind, line):
    with pytest.raises(kind) as caught:
        call()
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_an_out_that_nobody_may_write():
    out = np.empty(Q.shape, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="attend: out must be writable"):
        saccade.attend(Q, K, K, out=out)


def test_tensors_that_cannot_be_taken():
    torch = pytest.importorskip("torch")
    q = torch.ones(1, 8, 4, 32)
    with pytest.raises(ValueError, match="attend: k requires grad and there is no backward yet"):
        saccade.attend(q, q.clone().requires_grad_(), q)
    with pytest.raises(TypeError, match="attend: v must be on the CPU, got a tensor on meta"):
        saccade.attend(q, q, q.to("meta"))
    with pytest.raises(TypeError, match="attend: q must be"):
        saccade.attend(q.to_sparse(), q, q)
    with pytest.raises(TypeError, match="attend: q must be f32, f16 or bf16, got complex64"):
        saccade.attend(q.to(torch.complex64), q, q)


def test_another_device_is_named():
    class OnAnotherDevice:
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, **_):
            raise BufferError("not on the CPU")

    with pytest.raises(TypeError, match="attend: q must be a NumPy array or a CPU tensor.*got OnAnotherDevice"):
        saccade.attend(OnAnotherDevice(), K, K)


def test_nan_stays_in_the_rows_that_look_at_it():
    q, k, v = (np.random.default_rng(1).standard_normal((1, 40, 2, 32), dtype=np.float32) for _ in range(3))
    expected = saccade.attend(q, k, v, "window(5)")
    k[0, 20, 1] = np.nan
    o = saccade.attend(q, k, v, "window(5)", allow_nan=True)
    touched = np.isnan(o).any(-1)[0]
    assert touched[20:25, 1].all() and touched.sum() == 5
    assert np.array_equal(o[0][~touched], expected[0][~touched])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_nan_is_an_error_that_says_where(dtype):
    q, k, v = (np.random.default_rng(1).standard_normal((2, 40, 2, 32)).astype(dtype) for _ in range(3))
    v[1, 20, 1, 5] = np.nan
    with pytest.raises(ValueError, match="attend: o has NaN, first in sequence 1, query 20, head 1: it looks at NaN"):
        saccade.attend(q, k, v)
    with pytest.raises(ValueError, match="decode: o has NaN, first in sequence 1, query 0, head 1"):
        saccade.decode(q[:, -1], k, v)
    assert np.isfinite(saccade.decode(q[:, -1], k, v, kv_lens=[40, 20])).all()
    k[1, 30, 0] = np.nan
    with pytest.raises(ValueError, match="see: o has NaN, first in sequence 1, query 30, head 0"):
        saccade.see(q, k, "entropy")
    seen = saccade.see(q, k, "entropy", allow_nan=True)["entropy"]
    assert np.isnan(seen[1, 0, 30:]).all() and np.isfinite(seen[0]).all() and np.isfinite(seen[1, 1]).all()
