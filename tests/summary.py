#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Says in one line how a run of "meson test" ended, and above it why tests were skipped."""

import glob
import json
import os
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP", "IGNORED"}


def reason(test):
    """The last thing that a skipped test said that speaks of skipping, or just the last."""
    lines = [line.strip() for line in
             (test.get("stdout", "") + "\n" + test.get("stderr", "")).splitlines()]
    lines = [line for line in lines if line]
    told = [line for line in lines if "skip" in line.lower()]
    return (told or lines or ["it gave no reason"])[-1]


def main():
    folder, base = sys.argv[1:3]
    results = []
    for log in glob.glob(os.path.join(folder, base + "*.json")):
        with open(log, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                results.append(json.loads(line))

    passed = [t for t in results if t["result"] in PASSED]
    skipped = [t for t in results if t["result"] in SKIPPED]
    failed = [t for t in results if t["result"] not in PASSED | SKIPPED]
    print()
    for test in skipped:
        print(f"skipped {test['name'].split(' / ')[-1]}: {reason(test)}")
    for test in failed:
        print(f"failed  {test['name'].split(' / ')[-1]}: {test['result'].lower()}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not passed + skipped else 0


if __name__ == "__main__":
    sys.exit(main())
