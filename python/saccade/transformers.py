"""Hugging Face transformers with Saccade's attention: importing this module registers the name "saccade".

    import saccade.transformers
    model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="saccade")
    model.config.saccade = "flexprefill"    # optional: a spec, or a plan (a dict, a saccade.Plan) with rows by layer and head

Windows of the model's own (sliding_window) are kept under any plan; layers without a causal mask run dense.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import bidirectional_mask_function, causal_mask_function, sdpa_mask

import saccade

NAME = "saccade"


def _window_of(config, local_size):
    """How many keys a query sees at most by the model's own design, None for all, 0 for "not a plain window"."""
    if local_size is None:
        return None
    return local_size if local_size == getattr(config, "sliding_window", None) else 0


def _padding(attention_mask, kv_length, kv_offset):
    """The 2-D padding mask over the keys at hand, or None where nothing is padded."""
    if attention_mask is None:
        return None
    mask = torch.nn.functional.pad(attention_mask, (0, max(0, kv_offset + kv_length - attention_mask.shape[-1])))
    mask = mask[:, kv_offset : kv_offset + kv_length].bool()
    return None if mask.all() else mask


def _has_one_run(padding):
    """Whether the tokens of every sequence lie side by side, padded only before and after."""
    rises = (padding[:, 1:] & ~padding[:, :-1]).sum(1) + padding[:, 0]
    return bool((rises <= 1).all())


def mask(batch_size, q_length, kv_length, q_offset=0, kv_offset=0, mask_function=causal_mask_function,
         attention_mask=None, local_size=None, allow_is_causal_skip=True, allow_is_bidirectional_skip=False,
         config=None, **more):
    """What a model hands to `attention` as its mask, without a q_length x kv_length tensor where a few words say it.

    None: causal (or nothing hidden, in an encoder). A 2-D mask of padding, with the model's window as its attribute
    `saccade_window`. Anything else (packed sequences, static caches, overlays): transformers' own 4-D boolean mask.
    """
    q_offset, window = int(q_offset), _window_of(config, local_size)
    padding = _padding(attention_mask, kv_length, kv_offset)
    by_end = q_offset + q_length == kv_offset + kv_length
    causal = allow_is_causal_skip and by_end and (mask_function is causal_mask_function or local_size is not None)
    encoder = mask_function is bidirectional_mask_function and local_size is None
    if window == 0 or not (causal or encoder) or (padding is not None and not _has_one_run(padding)):
        return sdpa_mask(batch_size, q_length, kv_length, q_offset, kv_offset, mask_function, attention_mask, local_size,
                         allow_is_causal_skip=False, allow_is_bidirectional_skip=False, **more)
    if window is not None and window >= kv_length:
        window = None
    if padding is None and window is None:
        return None
    if padding is None:
        padding = torch.ones(batch_size, kv_length, dtype=torch.bool)
    padding.saccade_window = window
    return padding


def _spec(config, window):
    """The plan of a model's config, within the model's own window."""
    plan = getattr(config, NAME, None) or "dense"
    if window is None:
        return plan
    if plan == "dense":
        return f"window({window})"
    if not isinstance(plan, str):
        raise ValueError("saccade: a layer with a sliding window takes a spec, not a plan with rows")
    return f"({plan}) & window({window})"


def _attend_padded(q, k, v, padding, causal, **call):
    """Each sequence of a batch over its own tokens; queries of padding get zeros where attention is causal."""
    o = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=q.dtype)
    n_before = k.shape[1] - q.shape[1]
    for i, row in enumerate(padding):
        at = row.nonzero()
        if not len(at):
            continue
        first, end = int(at[0]), int(at[-1]) + 1
        queries = slice(max(0, first - n_before), max(0, end - n_before)) if causal else slice(None)
        if causal:
            call["q_begin"] = max(0, n_before - first)
        keys = slice(first, end)
        o[i : i + 1, queries] = saccade.attend(q[i : i + 1, queries], k[i : i + 1, keys], v[i : i + 1, keys],
                                               causal=causal, **call)
    return o


def _refuse(dropout, known):
    if dropout:
        raise ValueError(f"saccade: dropout must be 0 (inference only), got {dropout}: call model.eval()")
    for name in ("position_bias", "cache"):
        if known.get(name) is not None:
            raise ValueError(f"saccade: {name} is not supported")


def attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, is_causal=None, softcap=None,
              s_aux=None, **more):
    """An attention function of transformers: query [batch, heads, q_len, head_dim], key and value with their own heads.

    Returns   o [batch, q_len, heads, head_dim_v] and None: weights are never stored (saccade.see looks at them)
    Errors    ValueError, one line: dropout, position biases, a plan beside a 4-D mask, gradients
    """
    _refuse(dropout, more)
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    call = {"scale": scaling, "allow_nan": True, "layer": getattr(module, "layer_idx", None) or 0}
    if softcap is not None:
        call["weigh"] = f"softcap({softcap})"
    if s_aux is not None:
        call["sink_scores"] = s_aux
    config = getattr(module, "config", None)
    if attention_mask is not None and attention_mask.dim() == 4:
        if _spec(config, None) != "dense":
            raise ValueError("saccade: a plan needs a plain causal mask; this batch (static cache, packed sequences, "
                             "padding with gaps) has a 4-D one")
        return saccade.attend(q, k, v, causal=False, mask=attention_mask[..., : k.shape[1]], **call), None
    if not causal and attention_mask is None:
        return saccade.attend(q, k, v, causal=False, **call), None
    if attention_mask is not None and not hasattr(attention_mask, "saccade_window"):
        raise ValueError("saccade: a 2-D mask must come from saccade.transformers.mask")
    window = getattr(attention_mask, "saccade_window", None)
    call["attn"] = _spec(config, window) if causal else "dense"
    if attention_mask is None or bool(attention_mask.all()):
        return saccade.attend(q, k, v, causal=causal, **call), None
    return _attend_padded(q, k, v, attention_mask, causal, **call), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, mask)
