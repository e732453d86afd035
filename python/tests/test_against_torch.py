"""attend() against torch's scaled_dot_product_attention over a grid of shapes, masks, layouts and dtypes."""

import numpy as np
import pytest
import tolerance

import saccade

torch = pytest.importorskip("torch")
sdpa = torch.nn.functional.scaled_dot_product_attention

LENGTHS = [1, 2, 7, 31, 64, 65, 127, 128, 129, 200, 257]
HEADS = [(1, 1), (2, 1), (4, 2), (3, 3), (7, 1), (8, 2)]
DIMS = [32, 40, 64, 80, 96, 128]
MASKS = ["causal", "none", "bool", "float", "bool of heads", "float of heads", "causal and bool"]
N_CASES = 560


def make(seed):
    """One case: everything about it follows from its number."""
    rng = np.random.default_rng(seed)
    pick = lambda options: options[rng.integers(len(options))]
    case = {
        "q_len": pick(LENGTHS), "kv_len": pick(LENGTHS), "heads": pick(HEADS), "dim": pick(DIMS),
        "batch": pick([1, 1, 2, 3]), "mask": MASKS[seed % len(MASKS)],
        "dtype": pick([torch.float32, torch.bfloat16]), "scale": pick([None, None, 0.3]), "gain": pick([1.0, 1.0, 3.0]),
        "heads_first": bool(rng.integers(2)),
    }  # fmt: skip
    case["dim_v"] = pick([case["dim"], 64])
    return case, rng


def tensor(rng, case, length, heads, dim, gain=1.0):
    """[batch, length, heads, dim], in memory with positions or heads first."""
    shape = (case["batch"], heads, length, dim) if case["heads_first"] else (case["batch"], length, heads, dim)
    made = torch.from_numpy(rng.standard_normal(shape) * gain).to(case["dtype"])
    return made.transpose(1, 2) if case["heads_first"] else made


def mask_of(case, rng):
    """What attend() gets, and the same as one additive mask [batch or 1, heads or 1, q_len, kv_len] in f64."""
    q_len, kv_len, n_heads, kind = case["q_len"], case["kv_len"], case["heads"][0], case["mask"]
    shape = (case["batch"], n_heads if "heads" in kind else 1, q_len, kv_len)
    given = None
    added = torch.zeros(shape, dtype=torch.float64)
    if "bool" in kind:
        given = torch.from_numpy(rng.random(shape) < 0.7)
        added = added.masked_fill(~given, -torch.inf)
    elif "float" in kind:
        given = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        given[torch.from_numpy(rng.random(shape) < 0.2)] = -torch.inf
        added = given.double()
    if "causal" in kind:
        later = torch.arange(kv_len)[None, :] > torch.arange(q_len)[:, None] + kv_len - q_len
        added = added.masked_fill(later, -torch.inf)
    return given, added


@pytest.mark.parametrize("seed", range(N_CASES))
def test_grid(seed):
    case, rng = make(seed)
    n_heads, n_kv_heads = case["heads"]
    q = tensor(rng, case, case["q_len"], n_heads, case["dim"], case["gain"])
    k = tensor(rng, case, case["kv_len"], n_kv_heads, case["dim"])
    v = tensor(rng, case, case["kv_len"], n_kv_heads, case["dim_v"])
    given, added = mask_of(case, rng)
    o, lse = saccade.attend(q, k, v, causal="causal" in case["mask"], mask=given, scale=case["scale"], return_lse=True)
    assert o.dtype == case["dtype"] and o.shape == (*q.shape[:3], case["dim_v"])

    def torchs(dtype):
        first = [x.transpose(1, 2).to(dtype) for x in (q, k, v)]
        return sdpa(*first, attn_mask=added.to(dtype), scale=case["scale"], enable_gqa=True).transpose(1, 2)

    blind = (added == -torch.inf).all(-1).expand(case["batch"], n_heads, -1).transpose(1, 2)
    assert torch.equal(lse == -torch.inf, blind)
    assert (o[blind] == 0).all()
    exact, plain = torchs(torch.float64), torchs(case["dtype"])
    sees = ~blind
    where = sees.nonzero()
    kept = [(t.contiguous().float() if t.dtype == torch.bfloat16 else t).numpy() for t in (q, k, v)]

    def plain_again(row, order):
        b, i, h = where[row].tolist()
        bias = added[min(b, added.shape[0] - 1), min(h, added.shape[1] - 1), i].float().numpy()
        g = h * n_kv_heads // n_heads
        scale = case["scale"] or case["dim"] ** -0.5
        return tolerance.plain_row(kept[0][b, i, h], kept[1][b, :, g], kept[2][b, :, g], bias, scale, order)

    precision = "f32" if case["dtype"] == torch.float32 else "bf16"
    rows = [t[sees].double().numpy() for t in (o, exact, plain)]
    tolerance.judge(*rows, v.abs().max().item(), tolerance.EPS[precision], plain_again)
