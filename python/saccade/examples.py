"""The inputs that each mechanism needs, defined once: `attend(**example("moba"))`, `see(**example("entropy"))`."""

import numpy

from . import _saccade

# What a mechanism is run with where its defaults, made for long texts, would leave nothing out of a short one. A mechanism
# that is not named here runs with its defaults.
_SPECS = {
    "dilated": "dilated(stride=4)",
    "flexprefill": "flexprefill(min_budget=256)",
    "floor": "window(128)+floor(mass=0.5)",
    "minference": "minference(vertical_size=64,slash_size=256)",
    "moba": "moba(chunk=64)",
    "power": "power(block=32)",
    "scale_head": "scale_head(0.5)",
    "skip_softmax": "window(128)+skip_softmax",
    "softcap": "softcap(5)",
    "quest": "quest(budget=128,share=0,dense_layers=0)",
    "sparge": "sparge(tau=0.9,theta=0.3)",
    "streaming": "streaming(window=256)",
    "strided": "strided(block=32)",
    "window": "window(256)",
    "within": "xattention+within(0.2)",
}

# What a probe is given beside its parameters.
_GIVEN = {
    "rows": {"queries": [0, 500, 1023]},
    "diagonals": {"offsets": [0, 1, 96]},
    "class_masses": {"spans": [(0, 4), (100, 400), (0, 1024)]},
    "block_sums": {"n": 32},
    "top_keys": {"k": 4, "per_head": True},
}


def example(name, seq_len=1024, seed=1):
    """What the mechanism `name` runs on: the arguments of `attend`, of a probe those of `see`.

    q  f32 [1, seq_len, 4, 64]; k, v  f32 [1, seq_len, 2, 64]. Each of the four heads looks in a way of its own: at its
    neighbourhood, at a few keys that everybody looks at, at the passages about its own topic, and at the place 96 tokens
    back; all of them at the first four. A mechanism for decode steps gets one query at the end; what edits heads edits the middle two.

    Errors  ValueError for a name that `list` does not have; it names the nearest
    """
    info = _saccade.show(name)
    q, k, v = _text(seq_len, seed)
    if info["word"] == "see":
        given = {"q": q, "k": k, "probes": {name: dict(_GIVEN.get(name, {}))}}
        return given | ({"v": v} if name == "norms" else {})
    if info["word"] == "weigh":
        return {"q": q, "k": k, "v": v, "weigh": _SPECS.get(name, name)}
    if info["word"] == "steer":
        return {"q": q, "k": k, "v": v, "attn": {"rows": [{"heads": "1-2", "attn": "dense", "steer": _SPECS.get(name, name)}]}}
    if info["goes_by"] == "data" and not info["prefill"]:
        q = q[:, -1:]
    return {"q": q, "k": k, "v": v, "attn": _SPECS.get(name, name)}


_HEADS, _KV_HEADS, _DIM = 4, 2, 64
_BACK = 96  # how far back the last head looks
_TOPICS = 8


def _text(n, seed):
    """q, k and v of a made-up text: keys say where they stand, what they are about and whether they stand out; what each
    head's queries ask for differs."""
    rng = numpy.random.default_rng(seed)
    place = _waves(numpy.arange(n))  # [n, 24]
    topic = _topics(n, rng)
    about = numpy.eye(_TOPICS)[topic] * 3.0
    stands_out = numpy.zeros((n, 2))
    stands_out[:4, 0] = 1.0
    stands_out[rng.choice(numpy.arange(4, n), max(1, n // 64), replace=False), 1] = 1.0

    keys = numpy.concatenate([place, about, stands_out], axis=1)
    nothing = numpy.zeros_like
    sink = numpy.tile([2.0, 0.0], (n, 1))
    wants = [
        numpy.concatenate([8.0 * place, nothing(about), sink], axis=1),
        numpy.concatenate([nothing(place), nothing(about), sink + [0.0, 48.0]], axis=1),
        numpy.concatenate([0.5 * place, 4.0 * about, sink], axis=1),
        numpy.concatenate([6.0 * _waves(numpy.arange(n) - _BACK), nothing(about), sink], axis=1),
    ]
    q = numpy.stack([_noisy(want, rng) for want in wants], axis=1)
    k = numpy.stack([_noisy(keys, rng) for _ in range(_KV_HEADS)], axis=1)
    v = rng.normal(size=(n, _KV_HEADS, _DIM)) + about[:, None, :1]
    return tuple(numpy.ascontiguousarray(x[None], dtype=numpy.float32) for x in (q, k, v))


def _waves(positions):
    """Positions whose products are large where they are near: cosines of twelve lengths."""
    angles = positions[:, None] * 2 * numpy.pi / numpy.geomspace(16, 4096, 12)
    return numpy.concatenate([numpy.cos(angles), numpy.sin(angles)], axis=1)


def _topics(n, rng):
    """The topic of each token: passages of 32 to 128 tokens."""
    lengths = rng.integers(32, 129, n // 32 + 1)
    return numpy.repeat(rng.integers(0, _TOPICS, len(lengths)), lengths)[:n]


def _noisy(features, rng):
    """[n, head_dim]: the features, and noise everywhere."""
    out = rng.normal(scale=0.3, size=(len(features), _DIM))
    out[:, : features.shape[1]] += features
    return out
