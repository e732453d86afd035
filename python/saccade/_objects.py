"""Mechanisms as objects: parameters are attributes, and str() is what one would type. `where` and `weigh` hold them."""

from . import _saccade


class Spelt:
    """Anything that can be typed."""

    def __eq__(self, other):
        return isinstance(other, Spelt) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    def __repr__(self):
        return f"<{type(self).__module__} {self}>"


class Mechanism(Spelt):
    """One mechanism; its parameters are attributes. An unknown parameter or a wrong value is told at once."""

    name = None
    params = ()
    _check = None  # raises ValueError for a spec that is none

    def __init__(self, *values, **named):
        if len(values) > len(self.params):
            raise TypeError(f"{type(self).__name__} takes at most {len(self.params)} values, got {len(values)}")
        for param, value in zip(self.params, values):
            if param in named:
                raise TypeError(f"{type(self).__name__}: {param} is given twice")
            named[param] = value
        self._check(_typed_spec(self.name, named))
        self.__dict__.update(named)

    def __str__(self):
        return _typed_spec(self.name, {param: self.__dict__[param] for param in self.params if param in self.__dict__})


def spec_of(mechanism):
    """The spec of a mechanism: a string as it is, an object of `where` or `weigh`, or any object whose `name` is a
    mechanism's and whose attributes are its parameters."""
    if isinstance(mechanism, (str, Spelt)):
        return str(mechanism)
    names = [param["name"] for param in _saccade.show(mechanism.name)["params"]]
    return _typed_spec(mechanism.name, {name: getattr(mechanism, name) for name in names if hasattr(mechanism, name)})


def classes_of(word, base, module):
    """One class for each mechanism of the word, by the name of its class."""
    classes = [_class_of(info, base, module) for info in _saccade.list(word)]
    return {made.__name__: made for made in classes}


def _class_of(info, base, module):
    params = tuple(param["name"] for param in info["params"])
    lines = [f"{param['name']}: {param['help']} (default {param['default']})" for param in info["params"]]
    doc = "\n\n".join([info["sentence"], *lines, f"Source: {info['source']}"])
    title = "".join(part.capitalize() for part in info["name"].split("_"))
    return type(title, (base,), {"__doc__": doc, "name": info["name"], "params": params, "__module__": module})


def _typed(value):
    """A parameter's value as one would type it in a spec."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _typed_spec(name, params):
    args = ",".join(f"{param}={_typed(value)}" for param, value in params.items())
    return f"{name}({args})" if args else name
