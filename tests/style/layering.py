"""Fails when a source includes what its folder may not see: layering.py ROOT.

base < kernel < {combine, linear} < {where, weigh, see, steer} < attend < plan < {judge, report} < {capi, plugins} < {apps,
python}; oracle sees only base, and only apps and python see it: they judge what they measure, or hand it out. Folders on one level
do not see one another. Tests (*_test.cc, tests/) may include anything; nothing else may include tests/.
"""

import pathlib
import re
import sys

LEVELS = [
    ["base"],
    ["kernel"],
    ["combine", "linear"],
    ["where", "weigh", "see", "steer"],
    ["attend"],
    ["plan"],
    ["judge", "report"],
    ["capi", "plugins"],
    ["apps", "python"],
]
LEVEL = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
INCLUDE = re.compile(
    r'^\s*#\s*include\s+"((?:saccade/\w+|capi|plugins|apps|python|tests|bench|examples)/[^"]+)"', re.MULTILINE
)


def folder_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "saccade" else parts[0]


def may_include(source, target):
    mine, theirs = folder_of(source), folder_of(target)
    if mine == theirs:
        return True
    if mine == "oracle":
        return theirs == "base"
    if theirs == "oracle":
        return mine in ("apps", "python")
    return mine in LEVEL and theirs in LEVEL and LEVEL[theirs] < LEVEL[mine]


def faults(root):
    for top in ("saccade", "capi", "plugins", "apps", "python"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cc") or path.name.endswith("_test.cc"):
                continue
            source = path.relative_to(root).as_posix()
            for target in INCLUDE.findall(path.read_text(encoding="utf-8")):
                if not may_include(source, target):
                    yield f"{source}: {folder_of(source)} may not include {target}"


if __name__ == "__main__":
    found = list(faults(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "every include points downwards")
    sys.exit(1 if found else 0)
