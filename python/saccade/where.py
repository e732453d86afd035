"""One class for each mechanism a spec may name, made from the catalogue: where.Window(n=1024) + where.Sink(4).

str() of an object is its spec; + unites and & intersects. Wrong names and values are told when an object is made.
"""

from . import _objects, _saccade
from ._objects import spec_of


class Attn(_objects.Spelt):
    """What + and & join: anything that has a spec."""

    def __add__(self, other):
        return Joined(f"{self}+{spec_of(other)}")

    def __and__(self, other):
        return Joined("&".join(f"({part})" if isinstance(part, Joined) else spec_of(part) for part in (self, other)))


class Joined(Attn):
    """Mechanisms joined by + or &."""

    name = None

    def __init__(self, spec):
        self._spec = spec

    def __str__(self):
        return self._spec


class Mechanism(_objects.Mechanism, Attn):
    """One mechanism; its parameters are attributes."""

    _check = staticmethod(_saccade.Plan)


_classes = _objects.classes_of("where", Mechanism, __name__)
globals().update(_classes)
__all__ = ["Attn", "Joined", "Mechanism", "spec_of", *_classes]
