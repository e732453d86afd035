"""`saccade` on the command line: hands over to the program that the wheel carries."""

import os
import pathlib
import sys


def main():
    program = pathlib.Path(__file__).parent / "bin" / "saccade"
    if not program.exists():
        sys.exit(f"saccade: this package was built without the command: there is no {program}")
    os.execv(program, [str(program), *sys.argv[1:]])
