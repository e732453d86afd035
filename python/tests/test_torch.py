"""saccade.torch.scaled_dot_product_attention has torch's own meaning."""

import pytest
import torch

from saccade.torch import scaled_dot_product_attention as ours

theirs = torch.nn.functional.scaled_dot_product_attention


def tensors(*shapes, dtype=torch.float32, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator).to(dtype) for shape in shapes]


def check(query, key, value, **call):
    """Ours is as near to fp64 as torch is, and in torch's shape and dtype."""
    wide = {name: x.double() if torch.is_tensor(x) and x.is_floating_point() else x for name, x in call.items()}
    exact = theirs(query.double(), key.double(), value.double(), **wide)
    expected, got = theirs(query, key, value, **call), ours(query, key, value, **call)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    eps = torch.finfo(query.dtype).eps
    allowed = 2 * (expected.double() - exact).abs().max() + 4 * eps * value.abs().max()
    assert (got.double() - exact).abs().max() <= allowed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("q_len, kv_len", [(1, 1), (1, 77), (50, 50), (33, 90), (90, 33)])
def test_lengths_and_alignment(dtype, is_causal, q_len, kv_len):
    check(*tensors((2, 3, q_len, 64), (2, 3, kv_len, 64), (2, 3, kv_len, 64), dtype=dtype), is_causal=is_causal)


@pytest.mark.parametrize("shape", [(7, 64), (3, 7, 64), (2, 3, 7, 64), (2, 2, 3, 7, 64)])
def test_any_number_of_dimensions(shape):
    check(*tensors(shape, shape, shape), is_causal=True)


@pytest.mark.parametrize("head_dim, head_dim_v", [(64, 128), (20, 20), (33, 40), (80, 8)])
def test_any_head_dimension(head_dim, head_dim_v):
    check(*tensors((1, 2, 9, head_dim), (1, 2, 11, head_dim), (1, 2, 11, head_dim_v)))


@pytest.mark.parametrize("shape", [(9, 11), (1, 11), (9, 1), (2, 1, 9, 11), (1, 4, 9, 11), (2, 4, 9, 11), (4, 9, 11), (2, 1, 1, 11)])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks_broadcast(shape, kind):
    query, key, value, bias = tensors((2, 4, 9, 32), (2, 4, 11, 32), (2, 4, 11, 32), shape)
    check(query, key, value, attn_mask=bias > -1 if kind == "bool" else bias)


def test_a_row_that_sees_nothing_is_zero():
    query, key, value = tensors((1, 1, 3, 32), (1, 1, 5, 32), (1, 1, 5, 32))
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    assert ours(query, key, value, attn_mask=mask)[0, 0, 1].abs().max() == 0
    check(query, key, value, attn_mask=mask)


def test_grouped_heads_want_their_flag():
    query, key, value = tensors((1, 6, 8, 32), (1, 2, 8, 32), (1, 2, 8, 32))
    check(query, key, value, enable_gqa=True, is_causal=True)
    with pytest.raises(ValueError, match="enable_gqa"):
        ours(query, key, value)


def test_scale_and_strides():
    query, key, value = (x.transpose(1, 2) for x in tensors((2, 40, 3, 64), (2, 40, 3, 64), (2, 40, 3, 64)))
    check(query, key, value, scale=0.3, is_causal=True)


def test_patterns_beyond_torch():
    query, key, value = tensors((1, 2, 200, 64), (1, 2, 200, 64), (1, 2, 200, 64))
    near = torch.ones(200, 200, dtype=torch.bool).tril().triu(-15)
    expected = theirs(query, key, value, attn_mask=near)
    torch.testing.assert_close(ours(query, key, value, is_causal=True, attn="window(16)"), expected)


@pytest.mark.parametrize("change, error, words", [
    (dict(dropout_p=0.1), ValueError, "dropout_p must be 0"),
    (dict(is_causal=True, attn_mask=torch.ones(4, 4, dtype=torch.bool)), ValueError, "attn_mask must be None"),
    (dict(attn="windw(3)", is_causal=True), ValueError, "window"),
])
def test_bad_calls(change, error, words):
    query, key, value = tensors((1, 1, 4, 32), (1, 1, 4, 32), (1, 1, 4, 32))
    with pytest.raises(error, match=words):
        ours(query, key, value, **change)


def test_no_backward_yet():
    query, key, value = tensors((1, 1, 4, 32), (1, 1, 4, 32), (1, 1, 4, 32))
    query.requires_grad_()
    with pytest.raises(ValueError, match="no backward yet"):
        ours(query, key, value)
    with torch.no_grad():
        ours(query, key, value)
