# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is run in a guest, step by step, and with which limits of time?

A step is a shell command. What it prints, and how it ended, comes back in files. The tests
among them are meson's own, with the arguments and the environment that meson has for them.
"""

import json
import os
import shlex
import subprocess

from common import LabError, drivers

# A processor in software is so many times slower than the one that meson's limits are for.
SLOWER = 10

DRIVERS = ",".join(drivers())
# Of a change that revokes and of one that cuts memory off: with what comes before and after.
SHORT_CHECK = ["--change", "munmap,punch", "--way", "libc", "--device", DRIVERS]
CI_CHECK = ["--change", "munmap", "--way", "libc", "--device", DRIVERS]
NOBODY_CHECK = CI_CHECK + ["--kind", "anon,file-shared,dax-shared:ext4,dax-shared:xfs"]
SHORT_TESTS = ["ref", "as-watch", "uring-stale"]
# The conformance suite is hmm check in settings that are no other in another kernel.
LONG_SUITES = ["unit", "uring", "inject"]
TORTURE = {"ci": 5, "short": 5, "long": 300}
# Every change by every way; a race and a deadlock hunt of the length that fits.
LONG_CHECK = ["--only", "all", "--race", "500", "--deadlock", "5", "--timeout", "300"]
# All eight variants of a cell where only the lab has the memory, else two (--brief).
DAX_KINDS = [f"dax-{kind}:{place}" for kind in ("private", "shared", "sync", "ro", "shared-ro",
                                                "sparse", "huge")
             for place in ("ext4", "xfs")] + ["devdax"]
DAX_CHECK = LONG_CHECK + ["--kind", ",".join(DAX_KINDS), "--device", DRIVERS]
HOUR = 3600


class Step:
    def __init__(self, name, command, limit, kind="test"):
        self.name, self.command, self.limit, self.kind = name, command, limit, kind


def shell(arguments, env=None):
    setting = [f"{name}={value}" for name, value in (env or {}).items()]
    return shlex.join((["env"] + setting if setting else []) + list(arguments))


def meson_tests(build):
    listed = subprocess.run(["meson", "introspect", "--tests", build], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, check=False)
    if listed.returncode:
        raise LabError(f"meson can't list the tests of {build}: {listed.stderr.strip()}")
    return json.loads(listed.stdout)


def test_steps(build, wanted):
    steps = []
    for test in meson_tests(build):
        if wanted(test):
            where = ["-C", test["workdir"]] if test.get("workdir") else []
            command = shell((["env", *where] if where else []) + test["cmd"], test["env"])
            steps.append(Step(test["name"], command, test["timeout"] * SLOWER))
    return steps


def in_suites(test, suites):
    return any(suite.split(":")[-1] in suites for suite in test["suite"])


def make(build, how):
    """The steps of a run: ci, short, or long."""
    hmm = os.path.join(build, "cli/hmm")
    torture = os.path.join(build, "tests/torture/torture")
    check = [hmm, "check", "--quiet", "--json"]
    seconds = TORTURE[how]
    torture_args = ["--seconds", str(seconds), "--devices", "ref,uring,stage,slow"]
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    steps = [Step("info", shell([hmm, "info", "--json"]), 60, "info")]
    # Last of the mapped files: their file systems are unmounted and mounted again.
    durable = [os.path.join(os.path.dirname(__file__), "durable.sh"),
               os.path.join(build, "tests/vm/durable")]
    steps.append(Step("durable", shell(durable), 300))
    if how != "long":
        asked = CI_CHECK if how == "ci" else SHORT_CHECK
        steps.append(Step("check", shell(check + asked), 600, "check"))
        steps.append(Step("check-nobody", shell(nobody + check + NOBODY_CHECK), 300, "nobody"))
        steps += test_steps(build, lambda test: test["name"] in SHORT_TESTS)
    else:
        brief = check + LONG_CHECK + ["--brief"]
        steps.append(Step("check-dax", shell(check + DAX_CHECK), 3 * HOUR, "check"))
        steps.append(Step("check", shell(brief), 3 * HOUR, "check"))
        steps.append(Step("check-nobody", shell(nobody + brief + ["--device", "uring"]),
                          HOUR, "nobody"))
        steps += test_steps(build, lambda test: in_suites(test, LONG_SUITES))
        steps.append(Step("torture-raw", shell([torture, "--raw"] + torture_args),
                          seconds * 3 + 120))
    steps.append(Step("torture", shell([torture] + torture_args), seconds * 3 + 120))
    return steps


def chosen(wanted, steps):
    """Those whose names begin with one of the words of "a,b,c"; None: all."""
    if not wanted:
        return steps
    words = wanted.split(",")
    unknown = {word for word in words if not any(step.name.startswith(word) for step in steps)}
    if unknown:
        raise LabError(f"no step is called {', '.join(sorted(unknown))}; there are "
                       f"{', '.join(step.name for step in steps)}")
    return [step for step in steps if step.name.startswith(tuple(words))]


def script(steps):
    """All steps in one command: each leaves NAME.out, NAME.err, NAME.status and NAME.seconds.

    They are written where it is fast, and copied out one by one: what ran before the guest
    died is there afterwards.
    """
    lines = ["work=/run/steps", "mkdir $work", "failed=0",
             "step()", "{",
             "\tstart=$(cut -d ' ' -f 1 /proc/uptime)",
             '\techo "$1" >/run/lab/running',
             '\ttimeout -k 10 "$2" sh -c "$3" >"$work/$1.out" 2>"$work/$1.err"',
             "\trc=$?",
             # busybox's timeout ends as the signal does that it sent.
             '\t[ "$rc" != 143 ] || rc=124',
             "\tend=$(cut -d ' ' -f 1 /proc/uptime)",
             '\techo "$start $end" >"$work/$1.seconds"',
             '\techo "$rc" >"$work/$1.status"',
             '\tcp "$work/$1".* /run/lab/',
             '\techo "$1 $rc"',
             '\t[ "$rc" = 0 ] || [ "$rc" = 77 ] || failed=1',
             "}"]
    lines += [shlex.join(["step", step.name, str(step.limit), step.command]) for step in steps]
    return "\n".join(lines + ["rm -f /run/lab/running", "exit $failed"])
