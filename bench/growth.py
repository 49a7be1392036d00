#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How do the costs of the data structures grow? Counted in instructions, not timed.

    growth.py HMM-BENCH-CORE

Each claim of docs/performance.md is a line of CLAIMS: valgrind's cachegrind counts what one
round takes at several sizes, as the difference of two runs that differ in their rounds only.
Exit status 77: there is no valgrind.
"""

import math
import re
import shutil
import subprocess
import sys

FEW, MANY = 1000, 6000

# what, the size that grows, its values, how the count may grow
CLAIMS = [
    ("hit", "processors", [2, 256], "constant"),
    ("hit", "regions", [1000, 100000], "constant"),
    ("hit", "mirrors", [1, 1000], "constant"),
    ("hit", "threads", [1, 200], "constant"),
    ("miss", "regions", [1000, 10000, 100000], "logarithmic"),
    ("miss", "mirrors", [1, 1000], "constant"),
    ("release", "threads", [1, 200], "linear"),
    ("watch", "mappings", [100, 60000], "logarithmic"),
]
SLACK = 1.25  # trees are not always of the same shape
COLD_LINES = 2.05  # a hit: the index's and the translation's; the rest is another table's edge


def counts(program, what, sizes, rounds):
    """Instructions and first-level data misses of a whole run."""
    names = [f"{name}={value}" for name, value in sizes.items()]
    result = subprocess.run(
        ["valgrind", "--tool=cachegrind", "--cache-sim=yes", "--D1=32768,8,64",
         "--LL=1048576,16,64", "--cachegrind-out-file=/dev/null", program, what, *names,
         f"rounds={rounds}"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        check=True)
    found = {}
    for name in ("I *refs", "D1 *misses"):
        match = re.search(rf"{name}: *([0-9,]+)", result.stderr)
        found[name] = int(match.group(1).replace(",", ""))
    return found["I *refs"], found["D1 *misses"]


def each(program, what, sizes):
    """Of one round."""
    few, many = (counts(program, what, sizes, rounds) for rounds in (FEW, MANY))
    return [(b - a) / (MANY - FEW) for a, b in zip(few, many)]


def allowed(claim, first, size):
    """How many times the count at the first size may there be?"""
    if claim == "constant":
        return 1.1
    if claim == "logarithmic":
        return SLACK * math.log(size) / math.log(first)
    return SLACK * size / first


def main():
    program = sys.argv[1]
    wrong = 0

    if not shutil.which("valgrind"):
        print("skip: valgrind is not installed (apt-get install valgrind)")
        return 77
    for what, name, values, claim in CLAIMS:
        found = [each(program, what, {name: value}) for value in values]
        fits = all(f[0] <= found[0][0] * allowed(claim, values[0], v)
                   for f, v in zip(found, values))
        wrong += not fits
        print(f"{what}, {name}, {claim}: " + ", ".join(
            f"{v}: {f[0]:.0f} instructions, {f[1]:.2f} cold lines"
            for f, v in zip(found, values)) + ("" if fits else ": GROWS FASTER"))
        if (what, name) == ("hit", "regions") and found[-1][1] > COLD_LINES:
            wrong += 1
            print(f"a hit reads {found[-1][1]:.2f} cold lines, not at most 2")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
