"""What the folders beside this file share: run `saccade bench`, print its answer as a markdown table ready for docs/speed.md.

Every run stops, with saccade's one line and exit code 3, when a result breaks its law: then there is nothing to report.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Bench:
    """A question's command line: -b names the program; everything it does not know goes on to `saccade bench`."""

    def __init__(self, question):
        parser = argparse.ArgumentParser(description=question, epilog="Other arguments go on to `saccade bench`.")
        parser.add_argument("-b", "--binary", default=str(ROOT / "build/release/bin/saccade"), help="the program")
        self.options, self.more = parser.parse_known_args()
        if not pathlib.Path(self.options.binary).exists():
            parser.exit(2, f"run: no program at {self.options.binary}; build it, or name it with -b\n")
        self.headed = False

    def rows(self, *args):
        """The rows of one `saccade bench ARGS MORE`; its command, and once the machine, are printed as a heading."""
        command = ["bench", *args, *self.more]
        done = subprocess.run([self.options.binary, *command, "--json"], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.returncode)
        report = json.loads(done.stdout)
        if not self.headed:
            print(f"{report['cpu']}, {report['n_cores']} cores, targets {' '.join(report['targets'])}, commit {report['commit']}, "
                  f"ggml {report['ggml']}, threads: {report['team']}.")
            self.headed = True
        print(f"\n```\nsaccade {shlex.join(command)}\n```\n\nMedian of {report['repetitions']}, in turns (least-most).\n")
        return report["rows"]


def number(value, digits=3):
    """Three significant digits, without an exponent."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{max(0, digits - whole)}f}"


def times(row):
    return f"{number(row['ms'])} ({number(row['ms_min'])}-{number(row['ms_max'])})"


def table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |")


def groups(rows, *keys):
    """Rows with the same values of the keys, in order: [(values, rows)]."""
    found = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return list(found.items())


def one(rows, **wanted):
    """The row that has these values; None when there is none."""
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)
