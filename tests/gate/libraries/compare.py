#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How do exportgate's exports of C libraries compare with what was built of them?

usage: compare.py EXPORTGATE [--limit PERCENT] [--show N] [SOURCE...]

Reads what fetch.sh put into the cache. Built: the dynamic symbols that the shared objects
of the binary packages define (readelf). Found: the exports that `exportgate scan --json`
reports of the source package, in the first run, without a policy. A symbol is `missed` if
it is built and not found, `false` if it is found and not built. `other`: found and not built,
and exportgate says that it is not in every configuration.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
TOP = CACHE / "exportgate" / "libraries"


def dynamic_symbols(path):
    """The names that a shared object defines for others, without versions."""
    out = subprocess.run(["readelf", "--dyn-syms", "-W", path], capture_output=True, text=True)
    names = set()
    for line in out.stdout.splitlines():
        f = line.split()
        if len(f) < 8 or not f[0].endswith(":") or f[0] == "Num:":
            continue
        kind, bind, visibility, index = f[3], f[4], f[5], f[6]
        if index in ("UND", "ABS") or bind == "LOCAL" or visibility in ("HIDDEN", "INTERNAL"):
            continue
        name = f[7].split("@")[0]
        if name not in ("_init", "_fini", "__bss_start", "_edata", "_end"):
            names.add(name)
    return names


def built_symbols(folder):
    """{symbol: set of objects} over all shared objects of the packages."""
    found = {}
    for path in sorted(folder.rglob("*.so*")):
        if path.is_symlink() or not path.is_file() or path.read_bytes()[:4] != b"\x7fELF":
            continue
        for name in dynamic_symbols(path):
            found.setdefault(name, set()).add(path.name)
    return found


def compare(tool, source, args):
    tree = TOP / source / "src"
    run = subprocess.run([tool, "-n", "--json", "scan", tree], capture_output=True, text=True)
    if not run.stdout.startswith("{"):
        print(f"{source}: {run.stderr.strip()[:300]}")
        return None
    report = json.loads(run.stdout)
    places = {}
    for e in report["exports"]:
        places.setdefault(e["symbol"], e)
    found = set(places)
    built = built_symbols(TOP / source / "bin")
    # mangled names are those of C++, whose exports are not listed
    built = {n: o for n, o in built.items() if not n.startswith("_Z")}
    missed, false = set(built) - found, found - set(built)
    good = len(set(built) & found)
    # what depends on the configuration need not be in this one
    maybe = {n for n in false if places[n].get("conditional")}
    false -= maybe
    print(f"{source:14} {len(built):6} {len(found):6} {100 * good / max(1, len(built)):7.2f} % "
          f"{100 * len(false) / max(1, len(found)):7.2f} %  {len(missed):5} {len(false):5} {len(maybe):5}")
    for name in sorted(missed)[: args.show]:
        print(f"    missed {name} of {', '.join(sorted(built[name]))}")
    for name in sorted(false)[: args.show]:
        e = places[name]
        print(f"    false {name} {e['file']}:{e['line']} {e['via']} {e['modules']}")
    if args.show:
        for line in run.stderr.splitlines()[: 2 * args.show]:
            print(f"    said: {line}")
    return 100 * good / max(1, len(built)), 100 * len(false) / max(1, len(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("--limit", type=float, help="fail beyond this share of errors")
    parser.add_argument("--show", type=int, default=0, help="so many of the differences")
    parser.add_argument("sources", nargs="*")
    args = parser.parse_intermixed_args()
    sources = args.sources or sorted(p.parent.name for p in TOP.glob("*/.complete"))
    if not sources:
        print(f"skip: no source package in {TOP}; tests/gate/libraries/fetch.sh gets them")
        return 77
    print(f"{'source':14} {'built':>6} {'found':>6} {'found':>9} {'false':>9}  missed false other")
    bad = 0
    for source in sources:
        result = compare(args.tool, source, args)
        if args.limit is not None:
            bad += not result or result[0] < 100 - args.limit or result[1] > args.limit
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
