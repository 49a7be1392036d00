#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Do the parts use only what the architecture lets them use? Asked of what was built.

    layers.py SOURCE BUILD

By symbols: what each archive and library leaves undefined may be defined only by the parts
that stand below it. By headers: what each object was compiled from (ninja's record of its
dependencies) may lie only in the folders that its part may see. And in some folders no file
may need, through others, one that needs it.

A folder of rooms (gate/) says in each room's README.md, in the paragraph that begins with
"May use:", which other rooms it may use. That is held against headers and symbols, and the
arrows may form no circle.
"""

import glob
import os
import re
import subprocess
import sys

# The core is tested without a kernel, so of libc it uses only what needs none.
CORE_LIBC = re.compile(
    r"mem(cpy|set|move|cmp)|strlen|strn?(case)?cmp|strchr|strspn|strcspn|v?snprintf|__v?snprintf_chk"
    r"|__mem\w+_chk|qsort|bsearch|pthread_\w+|clock_gettime|abort|__assert_fail|__tls_get_addr"
    r"|malloc|calloc|free|fwrite|stderr"
    r"|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(a|t|ub)san_\w+")

# The two calls of the application API that a device holds its reference by: they belong to
# whoever makes the struct hmm, which is src/linux.
CORE_SEAM = {"hmm_get", "hmm_close"}

# part: (archive, parts whose symbols it may use)
ARCHIVES = {
    "sys": ("src/libhmm_sys.a", set()),
    "util": ("src/libhmm_util.a", {"sys"}),
    "core": ("src/libhmm_core.a", {"util"}),
    "linux": ("src/libhmm_linux.a", {"core", "util", "sys"}),
}

# folder of an object's source: folders of this tree that it may include from
SEES = {
    # Every wrapper can be made to fail, by the debug switches.
    "src/sys/": ["src/sys/", "src/util/debug.h", "include/hmm/hmm.h"],
    "src/util/": ["src/util/", "src/sys/", "include/hmm/hmm.h"],
    "src/core/": ["src/core/", "src/util/", "include/hmm/hmm.h", "include/hmm/driver.h"],
    "src/linux/": ["src/linux/", "src/core/source.h", "src/util/", "src/sys/",
                   "include/hmm/hmm.h"],
    # A system call past libc is written in one place, for whoever makes one.
    "kit/": ["kit/", "src/sys/raw.h", "include/hmm/"],
    "cli/": ["cli/", "kit/", "src/sys/raw.h", "include/hmm/"],
    # The address-space side's readers are measured alone.
    "bench/": ["bench/", "src/", "cli/table.h", "cli/cli.h", "kit/place.h", "kit/raw.h", "include/hmm/"],
    "examples/": ["examples/", "include/hmm/"],
    "gate/": ["gate/"],
}
# The application side stands on the application API: the driver's is not for it.
NO_DRIVER_API = ("kit/", "cli/", "examples/")
HAVE_A_DRIVER = ("cli/check/case_deadlock.c",  # one whose release frees
                 "kit/use.c",                 # an access by a driver's move
                 "examples/card/driver.c", "examples/toy.c")

# Folders in which files form no circle by the symbols that they use.
NO_CIRCLES = ("kit/*.p", "drivers/*-debug.a.p", "bench/*.p")

# Folders of rooms.
ROOMED = ("gate",)

failures = 0


def complain(text):
    global failures
    failures += 1
    print(text)


def symbols(path, *options):
    lines = subprocess.run(["nm", *options, path], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    found = (line.split()[-1].split("@")[0] for line in lines
             if line and not line.endswith(":"))
    return set(found)


def check_archives(build, interposed):
    defined = {}
    for part, (archive, _) in ARCHIVES.items():
        defined[part] = symbols(os.path.join(build, archive), "--defined-only",
                                "--extern-only")
    for part, (archive, below) in ARCHIVES.items():
        path = os.path.join(build, archive)
        used = symbols(path, "--undefined-only") - defined[part]
        used -= CORE_SEAM if part == "core" else set()
        for other in set(ARCHIVES) - below - {part}:
            for name in sorted(used & defined[other] - interposed):
                complain(f"src/{part} uses {name}, which is of src/{other}")
        if part == "core":
            rest = used - set().union(*(defined[p] for p in below))
            for name in sorted(rest):
                if not CORE_LIBC.fullmatch(name):
                    complain(f"src/core uses {name}: it may know neither the kernel nor a "
                             "device")
    return len(ARCHIVES)


def check_drivers(build):
    core = symbols(os.path.join(build, "src/libhmm.so"), "-D", "--defined-only")
    private = set()
    for archive, _ in ARCHIVES.values():
        private |= symbols(os.path.join(build, archive), "--defined-only", "--extern-only")
    libraries = {}
    for path in glob.glob(os.path.join(build, "drivers/libhmm-*.so")):
        libraries[os.path.basename(path)] = path
    defined = {n: symbols(p, "-D", "--defined-only") for n, p in libraries.items()}
    for name, path in libraries.items():
        used = symbols(path, "-D", "--undefined-only")
        for symbol in sorted(used & (private - core)):
            complain(f"{name} uses {symbol}, which libhmm.so does not export")
        for other in defined:
            if other != name:
                for symbol in sorted(used & (defined[other] - defined[name] - core)):
                    complain(f"{name} uses {symbol} of {other}")
        needed = subprocess.run(["readelf", "-d", path], check=True, capture_output=True,
                                text=True).stdout
        for other in re.findall(r"NEEDED.*\[(libhmm-[^]]*)\]", needed):
            complain(f"{name} is linked with {other}: drivers do not know each other")
    return len(libraries)


def find_circle(uses):
    """One circle of the graph {name: names it uses}, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        path.append(name)
        for other in sorted(uses[name]):
            circle = visit(other)
            if circle:
                return circle
        done.add(path.pop())
        return None

    return next(filter(None, map(visit, sorted(uses))), None)


def check_circles(what, paths):
    """No file may need, through others, one that needs it."""
    objects = {os.path.basename(path)[:-2]: path for path in paths}
    defined = {n: symbols(p, "--defined-only", "--extern-only") for n, p in objects.items()}
    uses = {}
    for name, path in objects.items():
        used = symbols(path, "--undefined-only")
        uses[name] = {o for o in objects if o != name and used & defined[o]}
    circle = find_circle(uses)
    if circle:
        complain(f"{what}: a circle of files: {' -> '.join(circle)}")


def check_targets(build, pattern):
    """Each archive of a driver by itself; a folder's targets together."""
    targets = glob.glob(os.path.join(build, pattern))
    groups = [[t] for t in targets] if pattern.startswith("drivers/") else [targets]
    for group in groups:
        objects = [o for target in group for o in glob.glob(os.path.join(target, "*.o"))]
        check_circles(os.path.relpath(group[0], build) if group else pattern, objects)
        if not objects and os.path.exists(os.path.join(build, "cli/hmm")):
            complain(f"{pattern}: no object was found")


def check_includes(source, build):
    """Every object that ninja built, by its own record of what it was made from."""
    deps = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True,
                          capture_output=True, text=True).stdout
    made = os.path.relpath(build, source) + "/"
    objects = 0
    for block in deps.split("\n\n"):
        paths = [os.path.relpath(os.path.normpath(os.path.join(build, line.strip())), source)
                 for line in block.splitlines() if line.startswith(" ")]
        paths = [p for p in paths if not p.startswith(("..", made))]
        if not paths or not paths[0].endswith(".c"):
            continue
        unit, headers = paths[0], paths[1:]
        driver = re.match(r"drivers/\w+/", unit)
        if driver:
            seen = [driver.group(0), "include/hmm/"]
        else:
            seen = next((s for folder, s in SEES.items() if unit.startswith(folder)), None)
        if seen is None:
            continue
        objects += 1
        for header in headers:
            if not header.startswith(tuple(seen)):
                complain(f"{unit} includes {header}")
            elif (unit.startswith(NO_DRIVER_API) and unit not in HAVE_A_DRIVER
                  and header.endswith("hmm/driver.h")):
                complain(f"{unit} includes {header}: the driver API is for drivers")
    return objects


def rooms_may_use(source, folder):
    """room: the other rooms that its head file lets it use"""
    may = {}
    for path in glob.glob(os.path.join(source, folder, "*", "README.md")):
        with open(path, encoding="utf-8") as file:
            said = re.search(r"^May use: ([^.]*)\.$", file.read(), re.M)
        room = os.path.basename(os.path.dirname(path))
        if not said:
            complain(f"{folder}/{room}/README.md: no line 'May use: ROOM, ROOM.'")
        rooms = said.group(1).replace("\n", " ").split(", ") if said else []
        may[room] = {r for r in rooms if r != "no other room"}
    for room, others in may.items():
        for other in sorted(others - set(may)):
            complain(f"{folder}/{room}/README.md lets it use {other}, which is no room")
            others.discard(other)
    return may


def room_units(source, build, folder):
    """[(source file, headers it includes, symbols it leaves undefined, those it defines)]"""
    deps = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True,
                          capture_output=True, text=True).stdout
    units = {}
    for block in deps.split("\n\n"):
        lines = block.strip().splitlines()
        paths = [os.path.relpath(os.path.normpath(os.path.join(build, line.strip())), source)
                 for line in lines[1:]]
        if not paths or not paths[0].startswith(folder + "/"):
            continue
        obj = os.path.join(build, lines[0].split(": #deps")[0])
        if os.path.exists(obj) and os.path.exists(os.path.join(source, paths[0])):
            headers = [p for p in paths[1:] if p.startswith(folder + "/")]
            units[paths[0]] = (paths[0], headers, symbols(obj, "--undefined-only"),
                               symbols(obj, "--defined-only", "--extern-only"))
    return list(units.values())


def room_complaints(folder, may, units):
    """What breaks the rooms' arrows, one line each."""
    found = []
    circle = find_circle(may)
    if circle:
        found.append(f"{folder}: a circle of rooms: {' -> '.join(circle)}")
    home = {}
    for unit, _, _, defined in units:
        room = unit.split("/")[1]
        if unit.count("/") != 2 or room not in may:
            found.append(f"{unit} is in no room with a README.md")
        home.update({symbol: room for symbol in defined})
    for unit, headers, used, _ in units:
        room = unit.split("/")[1]
        sees = may.get(room, set()) | {room}
        for header in headers:
            if header.split("/")[1] not in sees:
                found.append(f"{unit} includes {header}, but {room} may not use that room")
        for symbol in sorted(used):
            if home.get(symbol, room) not in sees:
                found.append(f"{unit} uses {symbol}, but {room} may not use {home[symbol]}")
    return found


def check_rooms(source, build):
    for folder in ROOMED:
        units = room_units(source, build, folder)
        if units:  # it may not be built here
            for line in room_complaints(folder, rooms_may_use(source, folder), units):
                complain(line)


def main():
    source, build = (os.path.realpath(p) for p in sys.argv[1:3])
    if not os.path.exists(os.path.join(build, "src/libhmm.so")):
        print("skip: libhmm.so is not built here")
        return 77
    with open(os.path.join(source, "src/libhmm.interposed"), encoding="utf-8") as file:
        interposed = {line.strip() for line in file if not line.startswith("#")}
    archives = check_archives(build, interposed)
    drivers = check_drivers(build)
    if not drivers and os.path.exists(os.path.join(build, "cli/hmm")):
        complain("no driver was found")
    for pattern in NO_CIRCLES:
        check_targets(build, pattern)
    check_rooms(source, build)
    objects = check_includes(source, build)
    print(f"{archives} archives, {drivers} drivers, {objects} objects looked at")
    return 1 if failures or not objects else 0


if __name__ == "__main__":
    sys.exit(main())
