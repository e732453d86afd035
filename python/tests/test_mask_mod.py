"""Predicates as FlexAttention writes them, compiled to blocks and checked against attention with the whole mask."""

import tracemalloc

import numpy
import pytest
import rule
import saccade

RULES = {
    "causal": lambda b, h, q, kv: q >= kv,
    "everything": lambda b, h, q, kv: (q >= 0) | (kv >= 0),
    "nothing": lambda b, h, q, kv: q < 0,
    "window both ways": lambda b, h, q, kv: abs(q - kv) < 40,
    "documents": lambda b, h, q, kv: q // 70 == kv // 70,
    "prefix": lambda b, h, q, kv: (kv < 50) | (q >= kv),
    "future": lambda b, h, q, kv: q < kv,
    "by head": lambda h, q, kv: (q - kv) % (h + 2) == 0,
    "by sequence": lambda b, h, q, kv: kv < 100 * (b + 1),
}


def whole(fn, batch, heads, q_len, kv_len):
    """bool [batch, heads, q_len, kv_len], asked all at once."""
    q, kv = numpy.arange(q_len)[:, None], numpy.arange(kv_len)[None, :]
    ask = fn if fn.__code__.co_argcount == 4 else lambda b, h, q, kv: fn(h, q, kv)
    return numpy.stack([[numpy.broadcast_to(ask(b, h, q, kv), (q_len, kv_len)) for h in range(heads)] for b in range(batch)])


def random_call(q_len, kv_len, batch=2, heads=4, kv_heads=2, dim=32):
    rng = numpy.random.default_rng(q_len * 1000 + kv_len)
    return [rng.normal(size=(batch, n, h, dim)).astype(numpy.float32) for n, h in ((q_len, heads), (kv_len, kv_heads), (kv_len, kv_heads))]


@pytest.mark.parametrize("shape", [(1, 1, 128), (200, 200, 64), (130, 257, 32), (97, 300, 128)])
@pytest.mark.parametrize("name", RULES)
def test_equals_attention_with_the_whole_mask(name, shape):
    q_len, kv_len, block = shape
    fn = RULES[name]
    q, k, v = random_call(q_len, kv_len)
    mask = saccade.mask_mod(fn, q_len, kv_len, block, batch=2, heads=4)
    seen = whole(fn, 2, 4, q_len, kv_len)
    assert mask.pairs == seen.sum()
    assert all(numpy.array_equal(mask.mask(head, b), seen[b, head]) for b in range(2) for head in range(4))
    for causal in (False, True):
        shown = seen & (numpy.arange(kv_len) <= numpy.arange(q_len)[:, None] + kv_len - q_len) if causal else seen
        o = saccade.attend(q, k, v, mask, causal=causal, precision="f32")
        exact = saccade.oracle.attend(q, k, v, mask=shown, causal=False)[0]
        for b in range(2):
            plain = lambda order, b=b: rule.plain_attention(q[b], k[b], v[b], shown[b], order)
            rule.assert_rows(o[b], exact[b], rule.sizes(v[b], shown[b]), plain, f"{name}, causal={causal}")


def test_one_mask_serves_all_heads_and_sequences():
    q, k, v = random_call(150, 150)
    fn = lambda b, h, q, kv: abs(q - kv) < 30
    one = saccade.attend(q, k, v, saccade.mask_mod(fn, 150, 150), causal=False)
    each = saccade.attend(q, k, v, saccade.mask_mod(fn, 150, 150, batch=2, heads=4), causal=False)
    assert numpy.array_equal(one, each)


def test_causal_documents_are_what_dense_attention_of_each_is():
    q, k, v = random_call(256, 256)
    mask = saccade.mask_mod(lambda b, h, q, kv: q // 128 == kv // 128, 256, 256)
    o = saccade.attend(q, k, v, mask, precision="f32")
    parts = [saccade.attend(q[:, at : at + 128], k[:, at : at + 128], v[:, at : at + 128], precision="f32") for at in (0, 128)]
    assert numpy.allclose(o, numpy.concatenate(parts, axis=1), rtol=1e-5, atol=1e-6)


def test_keeps_bits_only_of_ragged_blocks():
    causal = saccade.mask_mod(lambda h, q, kv: q >= kv, 1024, 1024)
    assert (causal.n_partial, causal.n_full) == (8, 28)
    assert causal.nbytes == 36 * 8 + 8 * 128 * 128 // 8
    assert repr(causal) == "BlockMask(batch=1, heads=1, q_len=1024, kv_len=1024, block=128)"


def test_never_holds_all_pairs():
    n = 16384  # 2^28 pairs: 256 MiB as bytes
    tracemalloc.start()
    mask = saccade.mask_mod(lambda h, q, kv: (q >= kv) & (q - kv < 1024), n, n)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.pairs == n * 1024 - 1024 * 1023 // 2
    assert most < 64 << 20
    assert mask.nbytes < 1 << 20


def test_torch_predicates():
    torch = pytest.importorskip("torch")
    doc = torch.arange(200) // 60
    mask = saccade.mask_mod(lambda b, h, q, kv: torch.logical_and(doc[q] == doc[kv], q >= kv), 200, 200, 64, xp=torch)
    doc = doc.numpy()
    assert numpy.array_equal(mask.mask(), (doc[:, None] == doc) & numpy.tri(200, dtype=bool))


@pytest.mark.parametrize("call, error, line", [
    (lambda: saccade.mask_mod(lambda h, q, kv: q >= kv, 64, 64, 48), ValueError, "multiple of 32"),
    (lambda: saccade.mask_mod(lambda h, q, kv: q >= kv, -1, 64), ValueError, "lengths must be >= 0"),
    (lambda: saccade.mask_mod(lambda h, q, kv: q >= kv, 64, 64, heads=0), ValueError, "heads must be >= 1"),
    (lambda: saccade.mask_mod(lambda q, kv: q >= kv, 64, 64), TypeError, "got 2 arguments"),
    (lambda: saccade.mask_mod(lambda h, q, kv: q - kv, 64, 64), TypeError, "answer with booleans"),
    (lambda: saccade.attend(*random_call(100, 100), saccade.mask_mod(lambda h, q, kv: q >= kv, 64, 64)), ValueError, "q_len"),
    (lambda: saccade.attend(*random_call(64, 64), saccade.mask_mod(lambda h, q, kv: q >= kv, 64, 64, heads=3)), ValueError, "3 heads"),
    (lambda: saccade.mask_mod(lambda h, q, kv: q >= kv, 64, 64).mask(1), ValueError, "no sequence 0 with a head 1"),
])
def test_bad_input_gets_one_line(call, error, line):
    with pytest.raises(error, match=line) as caught:
        call()
    assert "\n" not in str(caught.value)
