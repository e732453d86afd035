"""One class for each way in which a score becomes a weight, made from the catalogue: weigh.Softmax(), weigh.Softcap(30).

`weigh=` takes one where it takes a spec; str() of it is that spec.
"""

from . import _objects, _saccade


class Weigher(_objects.Mechanism):
    """One way to weigh; its parameters are attributes."""

    _check = staticmethod(_saccade.softcap_of)


_classes = _objects.classes_of("weigh", Weigher, __name__)
globals().update(_classes)
__all__ = ["Weigher", *_classes]
