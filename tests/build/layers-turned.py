#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does layers.py see an arrow between rooms that is turned round?

    layers-turned.py SOURCE BUILD

For each arrow "A may use B" of a folder of rooms, a file of B that includes a header of A
is compiled, and one that uses a function of A; both must be complained of, and a turned line
in a README must show as a circle. The tree as it is must be right.
"""

import os
import re
import subprocess
import sys
import tempfile

import layers


def compiled(source, folder, room, text):
    """The unit that the text would be as a file of that room."""
    with tempfile.TemporaryDirectory() as scratch:
        path, obj, deps = (os.path.join(scratch, n) for n in ("t.c", "t.o", "t.d"))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-I", os.path.join(source, folder),
                        "-MMD", "-MF", deps, "-c", "-o", obj, path], check=True)
        with open(deps, encoding="utf-8") as file:
            headers = re.findall(r"\S*\.h", file.read())
        headers = [os.path.relpath(os.path.realpath(h), source) for h in headers]
        return (f"{folder}/{room}/turned.c", [h for h in headers if h.startswith(folder + "/")],
                layers.symbols(obj, "--undefined-only"),
                layers.symbols(obj, "--defined-only", "--extern-only"))


def turned_arrows(source, folder, may, units):
    """Each arrow turned round, once by a header and once by a function: what was not seen."""
    missed, tried = [], 0
    for upper, others in sorted(may.items()):
        own = [u for u in units if u[0].startswith(f"{folder}/{upper}/")]
        headers = sorted({h for u in own for h in u[1] if h.startswith(f"{folder}/{upper}/")})
        functions = sorted(set().union(*(u[3] for u in own)) - {"main"})
        texts = [f'#include "{h[len(folder) + 1:]}"\nint turned;\n' for h in headers[:1]]
        texts += [f"void {f}(void);\nvoid (*turned)(void) = {f};\n" for f in functions[:1]]
        for lower in sorted(others):
            for text in texts:
                unit = compiled(source, folder, lower, text)
                tried += 1
                if not any(line.startswith(unit[0]) for line in
                           layers.room_complaints(folder, may, units + [unit])):
                    missed.append(f"{lower} using {upper} is not seen:\n{text}")
            loop = {**may, lower: may[lower] | {upper}}
            if not any("circle" in line for line in
                       layers.room_complaints(folder, loop, [])):
                missed.append(f"{upper} and {lower} may use each other: not seen")
    return missed, tried


def main():
    source, build = (os.path.realpath(p) for p in sys.argv[1:3])
    missed, tried = [], 0
    for folder in layers.ROOMED:
        units = layers.room_units(source, build, folder)
        if not units:
            continue
        may = layers.rooms_may_use(source, folder)
        missed += layers.room_complaints(folder, may, units)
        lines, n = turned_arrows(source, folder, may, units)
        missed += lines
        tried += n
    if not tried:
        print("skip: no folder of rooms is built here")
        return 77
    print("\n".join(missed + [f"{tried} turned arrows looked at"]))
    return 1 if missed or layers.failures else 0


if __name__ == "__main__":
    sys.exit(main())
