"""Every mechanism there is runs by its name on its example, and equals the definition on what it chose; a new one is picked
up by itself, or fails here until it has an example in which it finds something."""

import numpy
import pytest
import rule
import saccade
from saccade import see_oracle

PLACES = [info["name"] for info in saccade.list("where")]
# Whose result is not attention over fewer keys: all of them, none of them.
SEES_ALL, SEES_NOTHING = {"dense"}, {"none"}


def test_every_word_is_tested():
    assert {info["word"] for info in saccade.list()} == {"where", "see", "steer", "weigh"}  # see: test_see.py


def uniform(o, v, seen):
    values = numpy.repeat(v, o.shape[1] // v.shape[1], axis=1).astype(numpy.float64)
    return ((seen / seen.sum(axis=1, keepdims=True)) @ values.transpose(1, 0, 2)).transpose(1, 0, 2)


# By its own definition: of the unedited output [seq, heads, dim], v and who sees whom, all in fp64.
EDITED = {"uniform": uniform, "scale_head": lambda o, v, seen: 0.5 * o}


@pytest.mark.parametrize("name", [info["name"] for info in saccade.list("steer")])
def test_an_edit_does_what_its_definition_says_to_its_heads_alone(name):
    given = saccade.example(name, seq_len=256)
    q, k, v = (given[part] for part in "qkv")
    o = saccade.attend(**given, precision="f32")[0]
    plain = saccade.attend(q, k, v, precision="f32")[0]
    assert numpy.array_equal(o[:, [0, 3]], plain[:, [0, 3]])
    seen = numpy.tri(256, dtype=bool)
    exact = EDITED[name](saccade.oracle.attend(q, k, v)[0][0], v[0], seen)[:, 1:3]
    size = rule.sizes(v[0], numpy.broadcast_to(seen, (4, 256, 256)))[:, 1:3]
    shown = numpy.broadcast_to(seen, (4, 256, 256))
    plain_of = lambda order: EDITED[name](rule.plain_attention(q[0], k[0], v[0], shown, order), v[0].astype(numpy.float32), seen)[:, 1:3]
    rule.assert_rows(o[:, 1:3], exact, size, plain_of, name)


@pytest.mark.parametrize("name", [info["name"] for info in saccade.list("weigh")])
def test_a_way_to_weigh_equals_its_definition(name):
    given = saccade.example(name, seq_len=256)
    q, k, v = (given[part] for part in "qkv")
    o = saccade.attend(**given, precision="f32")
    assert (name == "softmax") == numpy.array_equal(o, saccade.attend(q, k, v, precision="f32"))
    seen = numpy.broadcast_to(numpy.tri(256, dtype=bool), (4, 256, 256))
    softcap = saccade._saccade.softcap_of(given["weigh"])
    weights = see_oracle.weights(q[0], k[0], seen, softcap=softcap)
    values = numpy.repeat(v[0], 2, axis=1).astype(numpy.float64)
    exact = (weights @ values.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert numpy.allclose(saccade.oracle.attend(**given)[0][0], exact, rtol=0, atol=1e-12)
    plain_of = lambda order: rule.plain_attention(q[0], k[0], v[0], seen, order, softcap=softcap)
    rule.assert_rows(o[0], exact, rule.sizes(v[0], seen), plain_of, name)


def heads_seen(selection, n_heads):
    return numpy.stack([selection.mask(head) for head in range(n_heads)])


@pytest.mark.parametrize("name", PLACES)
def test_equals_the_definition_on_its_own_selection(name):
    given = saccade.example(name)
    q, k, v = (given[part] for part in "qkv")
    o, lse = saccade.attend(**given, precision="f32", return_lse=True)
    selection = saccade.select(q, k, given["attn"], v=v)
    seen = heads_seen(selection, q.shape[2])
    exact, exact_lse = saccade.oracle.attend(q, k, v, mask=seen[None], causal=False)
    rule.assert_rows(o[0], exact[0], rule.sizes(v[0], seen), lambda order: rule.plain_attention(q[0], k[0], v[0], seen, order), name)
    empty = ~seen.any(axis=2).T
    assert (o[0][empty] == 0).all()
    assert numpy.allclose(lse, exact_lse, rtol=1e-5, atol=1e-5)
    again = saccade.attend(q, k, v, selection, precision="f32")
    assert numpy.array_equal(again, o), "a selection that was made gives the bits of one that is made"


@pytest.mark.parametrize("name", PLACES)
def test_finds_something_in_its_example(name):
    given = saccade.example(name)
    selection = saccade.select(given["q"], given["k"], given["attn"], v=given["v"])
    density = selection.density
    if name in SEES_ALL:
        assert (density == 1).all()
    elif name in SEES_NOTHING:
        assert (density == 0).all()
    else:
        assert (density > 0).all()
        assert density.min() < 0.9, f"{name} leaves nothing out: give it parameters in python/saccade/examples.py"
    assert selection.cost["heads_dense_by_rule"] == 0, f"{name} does not select here: see its card, and python/saccade/examples.py"


@pytest.mark.parametrize("name", [info["name"] for info in saccade.list("where") if info["goes_by"] == "data"])
def test_a_selector_keeps_more_than_chance(name):
    if name == "random":
        pytest.skip("it is chance")
    given = saccade.example(name)
    q, k, v = (given[part] for part in "qkv")
    chosen = saccade.select(q, k, given["attn"], v=v)
    kept = kept_mass(q, k, v, chosen)
    assert kept.mean() > 0.75 or (kept.mean() > chosen.density.mean() + 0.2), f"{name}: {kept} of the weight on {chosen.density}"


def kept_mass(q, k, v, selection):
    """[heads]: the share of dense attention's weight on what was chosen: exp of a difference of lse."""
    some = saccade.attend(q, k, v, selection, precision="f32", return_lse=True)[1]
    whole = saccade.attend(q, k, v, precision="f32", return_lse=True)[1]
    return numpy.exp(some.astype(numpy.float64) - whole)[0]


def test_an_example_is_the_same_every_time_and_a_typo_is_told():
    first, second = saccade.example("moba"), saccade.example("moba")
    assert all(numpy.array_equal(first[part], second[part]) for part in "qkv")
    assert first["attn"] == second["attn"]
    with pytest.raises(ValueError, match="window"):
        saccade.example("windw")
