"""A selector's choice as arrays."""

import numpy
import pytest
import saccade

N = 640


@pytest.fixture(scope="module")
def text():
    given = saccade.example("flexprefill", seq_len=N)
    return given["q"], given["k"], given["v"]


def from_lists(lists, width_of, n):
    """The mask that lists of blocks (or, of width 1, tokens) describe, causal."""
    numbers = lists["blocks"] if lists["kind"] == "blocks" else lists["tokens"]
    mask = numpy.zeros((n, n), bool)
    for i, (begin, end) in enumerate(zip(lists["begins"], lists["begins"][1:])):
        q_block = lists["first_q_block"] + i
        for number in numbers[begin:end]:
            rows = slice(q_block * lists["block_q"], (q_block + 1) * lists["block_q"])
            mask[rows, number * width_of : (number + 1) * width_of] = True
    return mask & numpy.tri(n, dtype=bool)


def from_lines(lines, n):
    mask = numpy.zeros((n, n), bool)
    mask[:, lines["columns"]] = True
    for u in range(0, n, lines["block"]):
        for distance in lines["diagonals"]:
            mask[u : u + lines["block"], max(0, u - distance) : max(0, u - distance + lines["block"])] = True
    return mask & numpy.tri(n, dtype=bool)


def from_visits(selection, head, block):
    """What is visited, and what of it is visited in full."""
    visited, full = (numpy.zeros((selection.q_len, selection.kv_len), bool) for _ in range(2))
    visits = selection.visits(head, block=block)
    ends = numpy.append(visits["q_begins"][1:], selection.q_begin + selection.q_len)
    for i, (q_begin, q_end) in enumerate(zip(visits["q_begins"], ends)):
        rows = slice(q_begin - selection.q_begin, q_end - selection.q_begin)
        for j in range(visits["begins"][i], visits["begins"][i + 1]):
            visited[rows, slice(*visits["keys"][j])] = True
            full[rows, slice(*visits["keys"][j])] |= visits["full"][j]
    return visited, full


@pytest.mark.parametrize("attn, kind", [
    ("flexprefill(min_budget=128)", "blocks"), ("xattention(tau=0.7)", "blocks"), ("random", "blocks"), ("oracle_topk", "tokens"),
    ("minference(vertical_size=40,slash_size=120)", "vertical_slash"), ("window(100)+sink(4)", "visits"), ("moba(chunk=64)", "visits"),
])
def test_arrays_mask_visits_and_pairs_agree(text, attn, kind):
    q, k, _ = text
    selection = saccade.select(q, k, attn, fallbacks=False)
    assert (selection.batch, selection.heads, selection.q_len, selection.kv_len, selection.q_begin) == (1, 4, N, N, 0)
    for head in range(4):
        arrays, mask = selection.arrays(head), selection.mask(head)
        assert arrays["kind"] == kind
        if kind in ("blocks", "tokens"):
            assert numpy.array_equal(from_lists(arrays, arrays.get("block_k", 1), N), mask)
        if kind == "vertical_slash":
            assert numpy.array_equal(from_lines(arrays, N), mask)
        for block in (64, 50):
            visited, full = from_visits(selection, head, block)
            assert (visited | ~mask).all() and (mask | ~full).all()
        assert not numpy.triu(mask, 1).any()
        assert selection.pairs[0, head] == mask.sum()
        assert selection.density[0, head] == mask.sum() / (N * (N + 1) / 2)


def test_a_batch_is_its_sequences(text):
    q, k, v = (numpy.concatenate([part, part[:, ::-1]]) for part in text)
    both = saccade.select(q, k, "flexprefill(min_budget=128)")
    for i in range(2):
        alone = saccade.select(q[i : i + 1], k[i : i + 1], "flexprefill(min_budget=128)")
        for head in range(4):
            assert numpy.array_equal(both.mask(head, sequence=i), alone.mask(head))
    assert both.pairs.shape == both.density.shape == (2, 4)
    chosen = saccade.attend(q, k, v, both)
    assert numpy.array_equal(chosen, saccade.attend(q, k, v, "flexprefill(min_budget=128)"))


def test_cost_scope_and_decode(text):
    q, k, _ = text
    step = saccade.select(q[:, -1:], k, "quest(budget=128,share=0,dense_layers=0)")
    assert (step.q_begin, step.q_len, step.scope) == (N - 1, 1, "kv_head")
    assert step.cost["flop"] > 0 and step.cost["bytes"] > 0
    assert numpy.array_equal(step.mask(0), step.mask(1))  # one choice a KV head
    prompt = saccade.select(q, k, "quest")
    assert prompt.cost["heads_dense_by_rule"] == 4 and (prompt.density == 1).all()
    pattern = saccade.select(q, k, "window(64)")
    assert pattern.scope == "layer" and pattern.cost["flop"] == 0


def test_a_plan_gives_each_head_its_own(text):
    q, k, _ = text
    plan = {"default": {"attn": "dense"}, "rows": [{"layers": "3", "heads": "1-2", "attn": "window(32)"}]}
    assert (saccade.select(q, k, plan, layer=2).density == 1).all()
    density = saccade.select(q, k, plan, layer=3).density[0]
    assert (density[[0, 3]] == 1).all() and (density[[1, 2]] < 0.2).all()


def test_later_queries_know_their_place(text):
    q, k, _ = text
    late = saccade.select(q[:, -100:], k, "window(64)")
    assert late.q_begin == N - 100
    assert numpy.array_equal(late.mask(0), saccade.select(q, k, "window(64)").mask(0)[-100:])


@pytest.mark.parametrize("attn", ["flexprefill(min_budget=128)", "window(64)+sink(4)", "random"])
def test_sequences_of_different_lengths_are_each_alone(text, attn):
    q, k, v = (part[0] for part in text)
    q_cuts, k_cuts = [0, 100, 100, 356], [0, 300, 340, 640]
    packed = saccade.select(q[:356], k, attn, cu_seqlens=q_cuts, cu_seqlens_k=k_cuts)
    assert (packed.q_len, packed.kv_len, packed.q_begin) == ((100, 0, 256), (300, 40, 300), (200, 40, 44))
    assert packed.batch == 3 and packed.pairs.shape == (3, 4)
    flop = 0
    for i in range(3):
        mine, theirs = slice(*q_cuts[i : i + 2]), slice(*k_cuts[i : i + 2])
        alone = saccade.select(q[None, mine], k[None, theirs], attn)
        flop += alone.cost["flop"]
        assert numpy.array_equal(packed.pairs[i], alone.pairs[0]) and numpy.array_equal(packed.density[i], alone.density[0])
        for head in range(4):
            assert numpy.array_equal(packed.mask(head, sequence=i), alone.mask(head))
    assert packed.cost["flop"] == flop
    cuts = {"cu_seqlens": q_cuts, "cu_seqlens_k": k_cuts}
    assert numpy.array_equal(saccade.attend(q[:356], k, v, packed, **cuts), saccade.attend(q[:356], k, v, attn, **cuts))
    with pytest.raises(ValueError, match="attn was made for q_len 0 and kv_len 40, got 100 and 40"):
        saccade.attend(q[:356], k, v, packed, cu_seqlens=[0, 100, 200, 356], cu_seqlens_k=k_cuts)
    same = saccade.select(k, k, attn, cu_seqlens=k_cuts)
    assert same.q_begin == (0, 0, 0) and same.q_len == same.kv_len == (300, 40, 300)


@pytest.mark.parametrize("call, line", [
    (lambda q, k: saccade.select(q, k, "windw"), "window"),
    (lambda q, k: saccade.select(q[0], k, "dense"), "q must be"),
    (lambda q, k: saccade.select(q, k, "dense").mask(4), "no sequence 0 with a head 4"),
    (lambda q, k: saccade.select(q, k, "dense").visits(0, block=0), "block must be >= 1"),
    (lambda q, k: saccade.select(q, k, saccade.select(q, k, "dense")), "a choice that was made"),
    (lambda q, k: saccade.select(q, k, "dense", q_begin=-1), "q_begin must be >= 0"),
])
def test_bad_input_gets_one_line(text, call, line):
    with pytest.raises(ValueError, match=line) as caught:
        call(*text[:2])
    assert "\n" not in str(caught.value)


def test_what_measures_with_values_asks_for_them():
    given = saccade.example("within")
    with pytest.raises(ValueError, match="where/within: measures with values, and here there are only queries and keys"):
        saccade.select(given["q"], given["k"], given["attn"])
    chosen = saccade.select(given["q"], given["k"], given["attn"], v=given["v"])
    assert chosen.density.min() < chosen.density.max(), "each head gets what it needs"


def test_a_nan_is_one_line(text):
    q, k, v = (part.copy() for part in text)
    k[0, 300, 1, 5] = numpy.nan
    with pytest.raises(ValueError, match="select: k holds a NaN at row 300, head 1; allow_nan=True"):
        saccade.select(q, k, "sparge")
    saccade.select(q, k, "sparge", allow_nan=True)
    q[0, 7, 2, 0] = numpy.nan
    with pytest.raises(ValueError, match="select: q holds a NaN at row 7, head 2"):
        saccade.select(q, k, "sparge")
