"""One class for each mechanism a spec may name, made from the catalogue: where.Window(n=1024) + where.Sink(4).

str() of an object is its spec; + unites and & intersects. Wrong names and values are told when the spec is read.
"""

from . import _saccade


class Attn:
    """What + and & join: anything that has a spec."""

    def __add__(self, other):
        return Joined(f"{self}+{spec_of(other)}")

    def __and__(self, other):
        return Joined("&".join(f"({part})" if isinstance(part, Joined) else spec_of(part) for part in (self, other)))

    def __eq__(self, other):
        return isinstance(other, Attn) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    def __repr__(self):
        return f"<saccade.where {self}>"


class Joined(Attn):
    """Mechanisms joined by + or &."""

    name = None

    def __init__(self, spec):
        self._spec = spec

    def __str__(self):
        return self._spec


class Mechanism(Attn):
    """One mechanism; its parameters are attributes."""

    name = None
    params = ()

    def __init__(self, *values, **named):
        if len(values) > len(self.params):
            raise TypeError(f"{type(self).__name__} takes at most {len(self.params)} values, got {len(values)}")
        for param, value in zip(self.params, values):
            if param in named:
                raise TypeError(f"{type(self).__name__}: {param} is given twice")
            named[param] = value
        _saccade.Plan(_spec(self.name, named))  # an unknown parameter or a wrong value is told here
        self.__dict__.update(named)

    def __str__(self):
        return _spec(self.name, {param: self.__dict__[param] for param in self.params if param in self.__dict__})


def _typed(value):
    """A parameter's value as one would type it in a spec."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _spec(name, params):
    args = ",".join(f"{param}={_typed(value)}" for param, value in params.items())
    return f"{name}({args})" if args else name


def spec_of(attn):
    """The spec of a mechanism: a string as it is, an object of this module, or any object whose `name` is a mechanism's
    and whose attributes are its parameters."""
    if isinstance(attn, (str, Attn)):
        return str(attn)
    names = [param["name"] for param in _saccade.show(attn.name)["params"]]
    return _spec(attn.name, {name: getattr(attn, name) for name in names if hasattr(attn, name)})


def _make(info):
    params = tuple(param["name"] for param in info["params"])
    lines = [f"{param['name']}: {param['help']} (default {param['default']})" for param in info["params"]]
    doc = "\n\n".join([info["sentence"], *lines, f"Source: {info['source']}"])
    title = "".join(part.capitalize() for part in info["name"].split("_"))
    return type(title, (Mechanism,), {"__doc__": doc, "name": info["name"], "params": params, "__module__": __name__})


__all__ = ["Attn", "Joined", "Mechanism", "spec_of"]
for _info in _saccade.list("where"):
    _class = _make(_info)
    globals()[_class.__name__] = _class
    __all__.append(_class.__name__)
