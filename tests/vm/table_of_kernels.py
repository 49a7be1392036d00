# SPDX-License-Identifier: LGPL-2.1-or-later
"""What works on which kernel? Writes docs/kernels.md from `hmm info --json` of each."""

import os

from common import TREE, LabError, say

HEAD = """\
<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<!-- Written by ./run lab --docs from what `hmm info --json` says in each kernel. -->
# What works on which kernel

These are Debian's kernels, in the [lab](lab.md), as root. Nothing is asked of a version:
each feature is tried at run time, and the best of the rest is used. *on* is in use, *off*
could be had (`hmm info` says how), *missing* is not there. On a machine of your own,
`hmm info` says the same about that machine. Other processors: [ppc64le](kernels-ppc64le.md),
[arm64](kernels-arm64.md).
"""
OTHER_HEAD = """\
<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<!-- Written by ./run lab --arch {0} --docs from what `hmm info --json` says there. -->
# What works on {0}

This is Debian's kernel for it under full-system emulation, in the [lab](lab.md), as root;
[kernels.md](kernels.md) explains the words. What emulation can't show is in the lab's page.
"""
GROUPS = {"source": "How a change of the address space is noticed",
          "state": "How mappings and pages are read",
          "mode": "How memory is made reachable",
          "driver": "Devices"}


def features(run):
    info = run.outcomes[0].json
    return {(item["group"], item["name"]): item for item in info["features"]}


def lines(runs):
    """One table a group, then why something is not on, and what to do."""
    known = [features(run) for run in runs]
    keys = list(dict.fromkeys(key for table in known for key in table))
    for group in dict.fromkeys(group for group, _ in keys):
        yield f"\n## {GROUPS.get(group, group)}\n"
        yield "| | " + " | ".join(run.version for run in runs) + " | what it gives |"
        yield "| --- " * (len(runs) + 2) + "|"
        for key in (key for key in keys if key[0] == group):
            states = [table[key]["state"] if key in table else "-" for table in known]
            detail = next(table[key]["detail"] for table in known if key in table)
            yield f"| {key[1]} | " + " | ".join(states) + f" | {detail} |"
    yield "\n## What is not in use, and why\n"
    yield "| | kernel | why | what to do |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        yield from reasons(key, runs, known)


def reasons(key, runs, known):
    """The kernels that have the same reason share a row."""
    told = {}
    for run, table in zip(runs, known):
        item = table.get(key)
        if item and item["state"] != "on":
            told.setdefault((item["reason"], item["remedy"]), []).append(run.series)
    for (reason, remedy), series in told.items():
        yield f"| {key[1]} | {', '.join(series)} | {reason} | {remedy} |"


def write(runs, arch=None):
    """docs/kernels.md, or that of another processor."""
    path = os.path.join(TREE, "docs", f"kernels-{arch}.md" if arch else "kernels.md")
    head = OTHER_HEAD.format(arch) if arch else HEAD
    try:
        with open(path, "w", encoding="utf-8") as page:
            page.write(head + "\n".join(lines(runs)) + "\n")
    except OSError as error:
        raise LabError(f"{path} can't be written: {error.strerror}") from None
    say(f"wrote {os.path.relpath(path)}")
