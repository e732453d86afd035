"""PyTorch's attention call, answered by Saccade: CPU, inference only."""

import torch

import saccade

_STEP = 8  # the kernels take head dimensions that are multiples of this, from _LEAST on
_LEAST = 32


def _padded(x):
    """x with its last dimension filled up with zeros to one that the kernels take; x itself where it is one already."""
    dim = x.shape[-1]
    wanted = max(_LEAST, -(-dim // _STEP) * _STEP)
    if wanted == dim and x.stride(-1) == 1:
        return x
    return torch.nn.functional.pad(x, (0, wanted - dim)).contiguous()


def _four_dims(x, name):
    """[..., heads, len, dim] as [batch, heads, len, dim]; what has no heads gets one."""
    if x.dim() < 2:
        raise ValueError(f"scaled_dot_product_attention: {name} must have at least 2 dimensions, got {x.dim()}")
    while x.dim() < 4:
        x = x.unsqueeze(0)
    return x.flatten(0, -4)


def _check(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa):
    place = "scaled_dot_product_attention: "
    for name, x in (("query", query), ("key", key), ("value", value)):
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"{place}{name} must be a torch.Tensor, got {type(x).__name__}")
        if x.dtype != query.dtype:
            raise TypeError(f"{place}query, key and value must have one dtype, got {query.dtype} and {x.dtype}")
        if x.dim() != query.dim():
            raise ValueError(f"{place}query, key and value must have as many dimensions each")
    if dropout_p != 0.0:
        raise ValueError(f"{place}dropout_p must be 0 (inference only), got {dropout_p}")
    if is_causal and attn_mask is not None:
        raise ValueError(f"{place}attn_mask must be None where is_causal is set")
    if query.dim() >= 3 and not enable_gqa and key.shape[-3] != query.shape[-3]:
        raise ValueError(f"{place}key has {key.shape[-3]} heads, query {query.shape[-3]}: set enable_gqa")


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
                                 enable_gqa=False, *, attn="dense", precision="auto"):
    """torch.nn.functional.scaled_dot_product_attention with the same arguments and the same meaning.

    Shapes    query [..., heads, q_len, head_dim]; key [..., heads, kv_len, head_dim]; value [..., heads, kv_len,
              head_dim_v]; attn_mask broadcasts to [..., heads, q_len, kv_len]: bool (True takes part) or added to the
              scores. enable_gqa: key and value may have fewer heads, a divisor of query's
    is_causal the upper left triangle, as torch aligns it: query i sees keys 0 to i (with unequal lengths that differs
              from saccade.attend, whose last query sees the last key)
    attn      beyond torch: any pattern or selector of saccade.list(), with is_causal; precision as in saccade.attend
    Returns   [..., heads, q_len, head_dim_v] in query's dtype; a row that sees nothing is zero, as in torch
    Errors    ValueError, TypeError, one line; tensors that want a gradient: there is no backward yet; dropout
    Accuracy  saccade.attend's. Cost: saccade.attend's; tensors are read where they lie, but a head dimension below 32
              or no multiple of 8 is copied
    """
    _check(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    head_dim, head_dim_v = query.shape[-1], value.shape[-1]
    if scale is None:
        scale = head_dim**-0.5 if head_dim else 1.0
    q, k, v = (_four_dims(_padded(x), name) for x, name in ((query, "query"), (key, "key"), (value, "value")))
    mask = None
    if attn_mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        mask = attn_mask if attn_mask.dim() <= 2 else _four_dims(attn_mask.expand(*shape[:-3], -1, *shape[-2:]), "attn_mask")
        mask = mask.expand(*mask.shape[:-2], *shape[-2:])
        # Keys must lie side by side; a mask that is one column for all keys does not.
        mask = mask if mask.stride(-1) == 1 else mask.contiguous()
    o = saccade.attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn, causal=is_causal, scale=scale,
                       mask=mask, q_begin=0 if is_causal else None, precision=precision, allow_nan=True)
    return o.transpose(1, 2)[..., :head_dim_v].reshape(*query.shape[:-1], head_dim_v)
