#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs `hmm check` in one of its settings and says whether it ended as it has to.

conformance.py SETTING COMMAND [ARGUMENT...], COMMAND with semicolons between its words:

  holds     everything passes, or is a limit that docs/contract.md has
  nobody    the same as user nobody without capabilities
  late      the same, with events alone: the program's calls are not interposed
  preload   the same, with the program's calls interposed although it is not linked
  no-perf   the same, where mprotect by raw system call cannot be seen
  usual     the device without libhmm fails, wherever a registration goes stale
  drivers   loadable drivers: good ones pass, bad ones are found out
  inside    in each situation that the launcher (the first argument) makes, or the library
            LOCKED_SO: `hmm demo` and `hmm check` end as the table in docs/contract.md (the
            second one) says
  list      docs/contract.md (the second argument) has what `hmm check --list` prints
"""

import collections
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
BRIEF = ["--only", "all", "--race", "2000", "--deadlock", "2", "--seconds", "1"]
failures = 0


def complain(text):
    global failures
    failures += 1
    print("FAIL:", text)


def run(command, env=None, limit=900):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **(env or {})}, timeout=limit, check=False,
                          stdin=subprocess.DEVNULL)
    if done.stderr:
        print(done.stderr.strip()[-2000:])
    return done


def check(command, *arguments, env=None):
    """The exit status and the JSON of a run."""
    done = run([*command, "--quiet", "--json", *arguments], env)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        complain(f"no JSON, exit status {done.returncode}: {done.stdout[:500]}")
        sys.exit(1)


def tell(result):
    """What was skipped and why, what failed, in few lines."""
    reasons = collections.Counter()
    for cell in result["cells"]:
        if cell["status"] == "skip":
            reasons[cell.get("detail", "")] += 1
        elif cell["status"] not in ("pass", "limit"):
            print(f"  {cell['status']}: {cell['cell']}: {cell.get('detail', '')}")
    for reason, count in reasons.items():
        print(f"  skipped {count}: {reason}")
    print(" ", result["counts"], "interposed" if result["interposed"] else "not interposed")


def allowed_limit(cell, interposed, perf):
    """May this cell be a limit? See the limits in docs/contract.md."""
    if cell["limit"] == "L4":
        case = str(cell.get("case"))
        return case.startswith("pairs") or (case == "churn" and not interposed)
    unseen = cell.get("way") == "raw" or (cell.get("way") == "libc" and not interposed)
    changes = {"L1": ["guard"],
               "L2": ["mprotect-ro", "mprotect-none", "mprotect-rw", "pkey-mprotect"],
               "L3": ["shmat-over"]}[cell["limit"]]
    return unseen and cell.get("change") in changes and (cell["limit"] == "L1" or not perf)


def holds(command, arguments, interposed, perf, env=None):
    status, result = check(command, *BRIEF, *arguments, env=env)
    tell(result)
    if status not in (0, SKIP):
        complain(f"exit status {status}")
    if result["interposed"] != interposed:
        complain(f"the calls are {'not ' if interposed else ''}interposed")
    cells = collections.defaultdict(list)
    for cell in result["cells"]:
        cells[cell["device"]].append(cell["status"])
        if cell["status"] not in ("pass", "skip", "limit"):
            complain(cell["cell"])
        if cell["status"] == "skip" and not cell.get("detail"):
            complain(f"{cell['cell']} is skipped without a reason")
        if cell["status"] == "limit" and not allowed_limit(cell, interposed, perf):
            complain(f"{cell['cell']} is no place for {cell['limit']}")
    if not cells:
        complain("nothing was run")
    for device, statuses in cells.items():
        if set(statuses) == {"skip"}:
            print(f"  {device} cannot be had here")
        elif statuses.count("pass") < 550:
            complain(f"only {statuses.count('pass')} cells of {device} passed")
    return result


def has_perf(hmm):
    """By the command's own account: is mprotect by raw system call watched for?"""
    done = run([*hmm, "info", "--json"])
    return done.returncode == 0 and any(
        f["group"] == "source" and "perf" in f["name"] and f["state"] == "on"
        for f in json.loads(done.stdout)["features"])


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIP)


def copied(program, folder):
    """The program and its libraries, where everybody may read (this tree is not)."""
    os.chmod(folder, 0o755)
    wanted = [program]
    for path in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        wanted += glob.glob(os.path.join(path, "libhmm*.so.?"))
    for path in wanted:
        shutil.copy(path, folder)
    return os.path.join(folder, os.path.basename(program))


def nobody(command, arguments):
    if os.geteuid() != 0:
        skip("not root: this user is as good as nobody, and the other tests cover it")
    if not shutil.which("setpriv"):
        skip("no setpriv")
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
            "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
    env = {"TMPDIR": "/var/tmp", "HOME": "/nonexistent"}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        if run([*drop, command[0], "--version"]).returncode:
            command = [copied(command[0], folder), *command[1:]]
            os.environ["LD_LIBRARY_PATH"] = folder
            if run([*drop, command[0], "--version"]).returncode:
                skip(f"user nobody cannot run {command[0]}")
        result = holds([*drop, *command], arguments, True, has_perf([*drop, command[0]]),
                       env)
    if all(c["status"] == "skip" for c in result["cells"]):
        skip("this kernel gives user nobody no source of changes")


STALE = {
    # Each of these is a row of what goes stale where memory is registered once.
    "anon": ["munmap", "mmap-over", "mmap-none", "mremap-move", "mremap-onto",
             "mremap-shrink", "mremap-dontunmap", "dontneed", "dontneed-locked",
             "process-madvise", "guard", "mprotect-ro", "mprotect-none", "pkey-mprotect",
             "shmat-over"],
    "memfd": ["munmap", "mmap-over", "remove", "ftruncate", "punch", "remap-file-pages",
              "mprotect-ro"],
    "sysv": ["shmdt"], "file-private": ["ftruncate", "munmap"], "brk": ["brk"],
    "heap": ["malloc-trim", "brk-trim"], "heap-large": ["free", "realloc"],
    "thread-stack": ["thread-exit"], "thread-cached": ["thread-exit"],
    "library": ["dlclose", "dontneed"], "stack": ["dontneed"], "bss": ["mprotect-none"],
}
FINE = ["none", "spawn", "pageout", "collapse"]
FOR_THE_RIGHT_REASON = ("the CPU has", "where the CPU", "the CPU reads",
                        "device read of the moved")


def usual(command, arguments):
    status, result = check(command, "--device", "usual", "--only", "all", "--race", "100", "--seconds", "1",
                           *arguments)
    if status != 1:
        complain(f"exit status {status}, not 1")
    failed = 0
    for cell in result["cells"]:
        kind, change, detail = cell.get("kind"), cell.get("change"), cell.get("detail", "")
        if cell["status"] == "skip":
            continue
        if change in STALE.get(kind, []) or str(cell.get("case")).startswith(("race", "pairs")):
            failed += cell["status"] == "fail"
            if cell["status"] != "fail":
                complain(f"{cell['cell']} passes without libhmm")
            elif "case" not in cell and not any(w in detail for w in FOR_THE_RIGHT_REASON):
                complain(f"{cell['cell']} fails for another reason: {detail}")
        if change in FINE and cell["status"] != "pass":
            complain(f"{cell['cell']} changes nothing, and fails: {detail}")
    print(f"  {failed} cells fail as they have to")
    if failed < 50:
        complain("far too few")


def driver(command, fault, *arguments, device="bad"):
    return check(command, "--driver", os.environ["BAD_DRIVER_SO"], "--device", device,
                 "--timeout", "3", *arguments, env={"BAD_DRIVER": fault})


def expect_fault(command, fault, words, *arguments, device="bad"):
    """The bad cells fail for the right reason, and the others are run all the same."""
    status, result = driver(command, fault, *arguments, device=device)
    bad = [c for c in result["cells"] if c["status"] == "fail"]
    if status != 1 or not bad:
        complain(f"a driver that does this passes: {fault} ({status})")
    for cell in bad:
        if not any(word in cell.get("detail", "") for word in words):
            complain(f"{fault}: {cell['cell']}: {cell.get('detail')}")
    if result["counts"]["not run"]:
        complain(f"{fault}: {result['counts']['not run']} cells were not run")
    print(f"  {fault}: {len(bad)} of {len(result['cells'])} cells fail: "
          f"{bad[0].get('detail') if bad else ''}")


def drivers(command, arguments):
    status, result = driver(command, "none", "--kind", "anon,memfd", device="bad,bad-stage")
    if status or result["counts"]["pass"] < 60:
        tell(result)
        complain("a good driver fails")
    status, result = driver(command, "none", "--only", "old-address,hold,in-flight,progress",
                            device="bad,bad-stage")
    if status or result["counts"]["pass"] < 8:
        tell(result)
        complain("a good driver fails a case")
    few = ["--kind", "anon", "--change", "none,munmap"]
    expect_fault(command, "crash", ["killed by SIGSEGV"], *few)
    expect_fault(command, "hang", ["hung"], *few)
    expect_fault(command, "lie", ["the CPU has"], *few)
    expect_fault(command, "stale", ["the CPU has", "the CPU reads"], *few)
    expect_fault(command, "leak", ["descriptors before"], "--only", "teardown")
    # What shows only where the device uses an address that is no longer good.
    old = ["--only", "old-address"]
    expect_fault(command, "no-revoke", ["by its old address", "by an old address"], *old)
    expect_fault(command, "no-wait", ["by its old address", "by an old address"], *old)
    expect_fault(command, "all-access", ["memory that is read-only"], *old)
    expect_fault(command, "no-release", ["beyond max_entries"], "--only", "hold")
    expect_fault(command, "early-key", ["another page", "never its own", "the new memory has"],
                 "--only", "in-flight")
    expect_fault(command, "once", ["memory that is always there"], "--only", "progress",
                 device="once")
    status, result = driver(command, "absent", *few)
    if status != SKIP or any("no such hardware" not in c["detail"] for c in result["cells"]):
        complain(f"an absent device is not skipped with its reason ({status})")
    for file in ("/nonexistent.so", sys.executable):
        if run([*command, "--driver", file]).returncode != 2:
            complain(f"{file} is taken for a driver")
    for wrong in (["--kind", "nonsense"], ["--only", "Y99"], ["--race", "0"], ["surplus"]):
        if run([*command, *wrong]).returncode != 2:
            complain(f"{wrong} is taken")


def listed(command, arguments):
    printed = run([*command, "--list"]).stdout.strip()
    with open(arguments[0], encoding="utf-8") as file:
        document = file.read()
    begin, end = "<!-- hmm check --list -->", "<!-- end of hmm check --list -->"
    if begin not in document or end not in document:
        complain(f"{arguments[0]} has no place for the list")
        return
    written = document.split(begin)[1].split(end)[0].strip()
    if written != printed:
        complain(f"{arguments[0]} differs from what `hmm check --list` prints")
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13):
        if f"| Y{number} |" not in printed:
            complain(f"nothing proves Y{number}")


DEMO = ["demo", "--seconds", "1", "--kind", "anonymous", "--kind", "memfd"]
CHECK = ["check", "--brief", "--quiet", "--json", "--device", "ref,uring", "--kind",
         "anon,file-shared", "--change", "none,munmap,dontneed,mprotect-ro"]


def table_of_situations(path):
    """{situation: (exit statuses of the demo, of the check)}"""
    begin, end = "<!-- situations -->", "<!-- end of situations -->"
    with open(path, encoding="utf-8") as file:
        rows = file.read().split(begin)[1].split(end)[0].strip().splitlines()[2:]
    table = {}
    for row in rows:
        name, _, demo, suite, _ = [field.strip() for field in row.strip("|").split("|")]
        table[name] = [[int(status) for status in field.split(" or ")]
                       for field in (demo, suite)]
    return table


def setting_of(situation, launcher):
    """What to start it with, and its environment."""
    if situation.startswith("locked-"):
        return [], {"LD_PRELOAD": os.environ["LOCKED_SO"], "LOCKED": situation[7:]}
    return [launcher, situation], {}


def look_inside(situation, statuses, start, env, hmm):
    """None, or why the situation cannot be made here."""
    for arguments, allowed in zip((DEMO, CHECK), statuses):
        done = run([*start, hmm, *arguments], env)
        if done.stderr.startswith("inside: "):
            return done.stderr.strip()
        said = (done.stdout + done.stderr).strip()
        if done.returncode not in allowed:
            complain(f"{situation}: {arguments[0]}: exit status {done.returncode}, the table "
                     f"has {allowed}: {said[-1500:]}")
        elif not said:
            complain(f"{situation}: {arguments[0]} says nothing")
        elif arguments is CHECK:
            result = json.loads(done.stdout)
            tell(result)
            for cell in result["cells"]:
                if cell["status"] == "fail" or (cell["status"] == "skip" and
                                                not cell.get("detail")):
                    complain(f"{situation}: {cell['cell']}: {cell.get('detail')}")
    return None


def inside(command, arguments):
    launcher, document = arguments
    # The loader finds no $ORIGIN without /proc, and user nobody may not read this tree.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        made = copied(command[0], folder)
        for path in os.environ["LIBRARIES"].split(":"):
            name = os.path.basename(path).split(".so")[0] + ".so.0"
            shutil.copy(path, os.path.join(folder, name))
        for situation, statuses in table_of_situations(document).items():
            print(situation)
            start = setting_of(situation, launcher)
            env = {"LD_LIBRARY_PATH": folder, "TMPDIR": "/var/tmp", **start[1]}
            why = look_inside(situation, statuses, start[0], env, made)
            if why:
                print("  skipped:", why)


def main():
    setting, command, arguments = sys.argv[1], sys.argv[2].split(";"), sys.argv[3:]
    hmm = [os.environ.get("HMM", command[0])]
    if setting in ("holds", "late"):
        holds(command, arguments, setting == "holds", has_perf(hmm))
    elif setting == "preload":
        holds(command, arguments, True, has_perf(hmm), {"LD_PRELOAD": os.environ["LIBHMM"]})
    elif setting == "no-perf":
        result = holds(command, ["--no-perf", *arguments], True, False)
        if not any(c.get("limit") == "L2" for c in result["cells"]):
            complain("no cell is L2: mprotect was seen although nobody looked")
    elif setting == "nobody":
        nobody(command, arguments)
    elif setting == "inside":
        inside(command, arguments)
    elif setting == "usual":
        usual(command, arguments)
    elif setting == "drivers":
        drivers(command, arguments)
    else:
        listed(command, arguments)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
