"""Writes the type stubs of the modules whose classes are made from the catalogue: write_stubs.py FOLDER, with the extension
on the path. Nothing else has to be there: a wheel is built without NumPy."""

import keyword
import pathlib
import sys

import _saccade

HEADS = {
    "where": '''
class Attn:
    """What + and & join: anything that has a spec."""

    def __add__(self, other: Attn | str) -> Joined: ...
    def __and__(self, other: Attn | str) -> Joined: ...

class Joined(Attn):
    """Mechanisms joined by + or &."""

    def __init__(self, spec: str) -> None: ...

class Mechanism(Attn):
    """One mechanism; its parameters are attributes."""

    name: str
    params: tuple[str, ...]

def spec_of(mechanism: typing.Any) -> str: ...
''',
    "weigh": '''
class Weigher:
    """One way to weigh; its parameters are attributes."""

    name: str
    params: tuple[str, ...]
''',
}


BASES = {"where": "Mechanism", "weigh": "Weigher"}


def stub_of(word):
    lines = ["import typing", HEADS[word]]
    for info in _saccade.list(word):
        title = "".join(part.capitalize() for part in info["name"].split("_"))
        if keyword.iskeyword(title):  # None is reached by getattr, which no stub can tell
            continue
        params = [param["name"] for param in info["params"]]
        lines += [f"class {title}({BASES[word]}):", f'    """{info["sentence"]}"""', ""]
        lines += [f"    {param}: typing.Any" for param in params]
        arguments = "".join(f", {param}: typing.Any = ..." for param in params)
        lines += [f"    def __init__(self{arguments}) -> None: ...", ""]
    return "\n".join(lines)


folder = pathlib.Path(sys.argv[1])
for word in HEADS:
    (folder / f"{word}.pyi").write_text(stub_of(word))
