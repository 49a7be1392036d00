#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Do symbol map, header, man pages and the library as built say the same?

    exports.py SOURCE MANDIR MAP LIBRARY HEADER=NODE...

Every name that a header declares HMM_API is in the map's node that begins with NODE and in
no other; the library exports exactly the map's names, each with its version, and, without
a version, what MAP's neighbour NAME.interposed lists; every one has a man page.
"""

import glob
import os
import re
import subprocess
import sys

failures = 0


def complain(text):
    global failures
    failures += 1
    print(text)


def compare(what, have, where, want):
    for name in sorted(want - have):
        complain(f"{name}: in {where}, not in {what}")
    for name in sorted(have - want):
        complain(f"{name}: in {what}, not in {where}")


def without_comments(path):
    with open(path, encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)


def read_map(path):
    """{node: names}"""
    nodes = {}
    for node, text in re.findall(r"(\w[\w.]*)\s*\{(.*?)\}", without_comments(path), re.DOTALL):
        text = re.sub(r"local:.*", "", text, flags=re.DOTALL).replace("global:", "")
        nodes[node] = {name.strip() for name in text.split(";") if name.strip()}
    return nodes


def read_header(path):
    """What it declares HMM_API: functions, and objects that are "extern"."""
    text = re.sub(r"^#.*$", "", without_comments(path), flags=re.MULTILINE)
    names = set()
    for declaration in re.findall(r"\bHMM_API\b([^;]*);", text):
        function = re.match(r"[^()]*?(\w+)\s*\(", declaration)
        names.add(function.group(1) if function else declaration.split()[-1].strip("*"))
    return names


def exported(library):
    """{name: version or ""} of what a shared library defines."""
    output = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                            check=True, capture_output=True, text=True).stdout
    symbols = {}
    for line in output.splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":
            name, _, version = name.partition("@")
            symbols[name] = version.lstrip("@")
    return symbols


def read_interposed(path):
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as file:
        return {line.strip() for line in file if line.strip() and not line.startswith("#")}


def man_names(mandir):
    names = set()
    for page in glob.glob(os.path.join(mandir, "*.3")):
        with open(page, encoding="utf-8") as file:
            names |= set(re.findall(r"^\.Nm (\w+)", file.read(), re.MULTILINE))
    return names


def main():
    source, mandir, map_path, library = sys.argv[1:5]
    nodes = read_map(map_path)
    declared = {}
    for argument in sys.argv[5:]:
        header, node = argument.split("=")
        declared.setdefault(node, set()).update(
            read_header(os.path.join(source, "include/hmm", header)))
    for node, names in declared.items():
        matching = [n for n in nodes if n.startswith(node)]
        if len(matching) != 1:
            complain(f"{map_path}: {len(matching)} nodes are called {node}...")
            continue
        compare("the headers", names, f"{matching[0]} of the map", nodes[matching[0]])
    if len(nodes) != len(declared):
        complain(f"{map_path} has the nodes {sorted(nodes)}: name a header for each")

    versions = {name: node for node, names in nodes.items() for name in names}
    built = exported(library)
    interposed = read_interposed(re.sub(r"\.map$", ".interposed", map_path))
    compare("the library", set(built), "the map", set(versions) | interposed)
    for name, version in built.items():
        if version != versions.get(name, ""):
            complain(f"{name}: exported with version '{version}'")
    compare("the man pages", man_names(mandir) & set(versions), "the map", set(versions))
    print(f"{len(versions)} names in {len(nodes)} nodes, {len(interposed)} interposed")
    return 1 if failures or not versions else 0


if __name__ == "__main__":
    sys.exit(main())
