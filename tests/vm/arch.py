#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests on another processor: ./run lab --arch, see docs/lab.md.

Which machine is emulated, what runs in it, and how does it end? arch.sh builds what is run,
arch-init runs it.
"""

import argparse
import base64
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

sys.dont_write_bytecode = True

import klog  # noqa: E402
import machine  # noqa: E402
import outcome  # noqa: E402
import plan  # noqa: E402
import report  # noqa: E402
import table_of_kernels  # noqa: E402
from common import FAILED, HERE, INTERRUPTED, OK, TREE, LabError, drivers, say  # noqa: E402

# qemu, how it is started, the console. For ppc64le without the mitigations that a processor
# in software does not have. The first kernel is the one that is taken unasked: arm64 can
# watch memory from Linux 6.10 on, ppc64le with no kernel.
ARCHES = {
    "ppc64le": {
        "qemu": ["qemu-system-ppc64", "-machine", "pseries,cap-cfpc=broken,cap-sbbc=broken,"
                 "cap-ibs=broken,cap-ccf-assist=off"],
        # With a thread each, a store of one processor gets lost while the other has the
        # kernel write-protect its page for a fork: a mutex stays locked for ever.
        "accel": machine.ACCELERATOR, "console": "hvc0", "kernels": ["6.1", "6.12"]},
    "arm64": {
        "qemu": ["qemu-system-aarch64", "-machine", "virt", "-cpu", "max,pauth-impdef=on"],
        "accel": "tcg,thread=multi", "console": "ttyAMA0", "kernels": ["6.12", "6.1"]},
}
BOOT_OPTIONS = ("loglevel=5 panic=-1 oops=panic "
                "rcupdate.rcu_cpu_stall_timeout=120")
BEGIN, END = "lab: results begin", "lab: results end"
PACKED = re.compile(f"{BEGIN}\n(.*?){END}", re.S)
SUITES = ["unit", "uring", "inject"]
TORTURE = ["torture-checker", "torture", "torture-raw", "deadlock"]
DEVICES = drivers() + ["ref-stage"]


def parse(args):
    command = None
    if "--" in args:
        cut = args.index("--")
        args, command = args[:cut], args[cut + 1:]
    parser = argparse.ArgumentParser(
        prog="run lab", usage="./run lab --arch ppc64le|arm64 [OPTION...] [-- COMMAND...]",
        description="Boots a Debian kernel for another processor in full-system emulation, "
        "with the tree built for it, runs tests there, and powers off.")
    parser.add_argument("--arch", choices=ARCHES, required=True)
    parser.add_argument("--kernel", help="of 6.1 and 6.12 (ppc64le: 6.1, arm64: 6.12)")
    parser.add_argument("--only", metavar="LIST", help="only these steps, by how their names begin")
    parser.add_argument("--all", action="store_true", help="every cell of the contract in all "
                        "its variants, not in two")
    parser.add_argument("--json", action="store_true", help="the results as JSON")
    parser.add_argument("--docs", action="store_true", help="write what the kernel offers to "
                        "docs/kernels-ARCH.md, and do nothing else")
    parser.add_argument("--logs", metavar="DIR", help="keep what was said in this folder")
    parser.add_argument("--timeout", metavar="S", type=int, default=7200,
                        help="a guest that is busy for longer is ended (7200)")
    options = parser.parse_args(args)
    if command == []:
        parser.error("there is no command behind --")
    options.command = command
    known = ARCHES[options.arch]["kernels"]
    options.kernel = options.kernel or known[0]
    if options.kernel not in known:
        parser.error(f"kernel '{options.kernel}' is none of {', '.join(sorted(known))}")
    return options


# ---- what is run -------------------------------------------------------------------------

def make_steps(options, build):
    """meson's own tests, as far as they are programs: there is no Python in the guest."""
    hmm = os.path.join(build, "cli/hmm")
    steps = [plan.Step("info", plan.shell([hmm, "info", "--json"]), 60, "info")]
    if options.docs:
        return steps
    steps += plan.test_steps(build, lambda test: test["cmd"][0].startswith(build) and
                             plan.in_suites(test, SUITES[:2]))
    steps.append(plan.Step("hello", plan.shell([os.path.join(build, "examples/hello")]), 60))
    check = [hmm, "check", "--quiet", "--json", "--timeout", "600"]
    check += [] if options.all else ["--brief"]
    steps += [plan.Step(f"check-{device}-{name}",
                        plan.shell(check + ["--device", device, *arguments]), 3600, "check")
              for device in DEVICES for name, arguments in parts_of_the_contract()]
    steps += plan.test_steps(build, lambda test: test["cmd"][0].startswith(build) and
                             (test["name"] in TORTURE or plan.in_suites(test, SUITES[2:])))
    return steps


def listed(heading, column):
    """A column of one of the tables in which docs/contract.md has what hmm check --list says."""
    with open(os.path.join(TREE, "docs", "contract.md"), encoding="utf-8") as page:
        table = page.read().split(heading)[1].split("\n\n")[0]
    return [row.split("|")[column].strip() for row in table.splitlines()[2:]]


def parts_of_the_contract():
    """(name, arguments): what ends in a step of its own, as one alone would take an hour."""
    kinds = [kind for kind in listed("| kind | what it is |", 1) if "dax" not in kind]
    shared = [kind for kind in kinds if kind in ("anon-shared", "shm", "memfd", "sysv")]
    files = [kind for kind in kinds if kind.startswith("file-")]
    own = [kind for kind in kinds if kind in ("anon", "anon-ro", "thp", "hugetlb")]
    rest = [kind for kind in kinds if kind not in own + shared + files]
    for name, some in (("own", own), ("shared", shared), ("files", files), ("program", rest)):
        yield name, ["--kind", ",".join(some)]
    cases = listed("| promise | case |", 2)
    yield "cases", ["--only", ",".join(cases), "--race", "200", "--deadlock", "2"]


def script(steps):
    """As everywhere; and each step's results leave the guest when it has ended."""
    said = '\techo "$1 $rc"'
    lines = plan.script(steps)
    assert said in lines
    return lines.replace(said, said + '\n\thand-out "$1.*"')


# ---- the machine -------------------------------------------------------------------------

class Guest:
    """What came back of a guest: files by their names."""

    def __init__(self, console):
        self.files = {}
        for packed in PACKED.findall(console):
            try:
                self.take(base64.b64decode(re.sub(r"[^A-Za-z0-9+/=]", "", packed)))
            except (ValueError, tarfile.TarError, EOFError, OSError) as error:
                say(f"a part of what the guest left can't be read: {error}")

    def take(self, archive):
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar.getmembers():
                if member.isfile():
                    data = tar.extractfile(member).read()
                    self.files[os.path.basename(member.name)] = data.decode(errors="replace")

    def read(self, name):
        return self.files.get(name, "")


class Run:
    """A kernel of another processor, and what came out of it. As report.py wants it."""

    def __init__(self, arch, console, failure, steps, took):
        guest = Guest(console)
        named = re.search(r"lab: Linux (\S+) on", console)
        self.version = named.group(1) if named else arch
        self.series, self.missing, self.seconds = arch, [], {"all": round(took, 1)}
        self.log = PACKED.sub("", console) + "\n" + guest.read("dmesg")
        self.trouble = klog.complaints(self.log)
        status = re.findall(r"lab: exit status (\d+)", console)
        self.status = int(status[-1]) if status else None
        self.failure = failure or (None if status else "the guest ended before its command did")
        self.guest = guest
        self.outcomes = [outcome.Outcome(step, guest) for step in steps]

    def bad(self):
        return bool(self.trouble or self.failure or
                    any(step.state in (outcome.FAIL, outcome.NOT_RUN) for step in self.outcomes))

    def why_no_kind(self, kind, notes):
        reason = self.failure or "hmm check does not know it there"
        return f"skipped {notes.mark(kind + ': ' + reason)}"


def follow(path, taken, show):
    """Shows what the console said since; returns how much of it was taken."""
    with open(path, "rb") as console:
        console.seek(taken)
        data = console.read()
    whole = data[:data.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").replace("\r", "").splitlines():
        show(line)
    return taken + len(whole)


class Shower:
    """Of the console: what the command says, or else a line for each step."""

    def __init__(self, steps):
        self.names, self.inside, self.packed = {step.name for step in steps}, False, False

    def __call__(self, line):
        if "lab: Linux " in line:  # perhaps behind what the kernel said
            self.inside = True
            say("Linux " + line.split("lab: Linux ")[1])
        elif line.startswith("lab: "):
            self.inside = line.startswith(END)
        elif self.inside and not self.names:
            print(line, flush=True)
        elif self.inside and line.split(" ")[0] in self.names:
            name, status = (line.split(" ") + [""])[:2]
            say(f"{name}: " + {"0": "pass", "77": "skipped"}.get(status, f"FAIL ({status})"))


def boot(options, work, steps):
    """Starts qemu, and waits until it has ended or has to be ended. (console, failure)"""
    what = ARCHES[options.arch]
    if not shutil.which(what["qemu"][0]):
        raise LabError(f"{what['qemu'][0]} is missing")
    console, start, taken, failure = work + "/console", time.monotonic(), 0, None
    args = what["qemu"] + [
        "-accel", what["accel"], "-smp", "2", "-m", "4G", "-display", "none",
        "-nodefaults", "-no-reboot", "-chardev", f"file,id=console,path={console}",
        "-serial", "chardev:console", "-kernel", work + "/kernel", "-initrd",
        work + "/image.gz", "-append", f"console={what['console']} {BOOT_OPTIONS}"]
    show = Shower(steps)
    open(console, "wb").close()
    with open(work + "/qemu.log", "wb") as errors:
        # Apart: then the scheduler gives it a share of its own.
        qemu = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                start_new_session=True)
    try:
        while qemu.poll() is None:
            time.sleep(0.5)
            taken = follow(console, taken, show)
            if time.monotonic() - start > options.timeout:
                failure = f"it was still busy after {options.timeout} s, and was ended"
                break
    finally:
        if qemu.poll() is None:
            qemu.kill()
        qemu.wait()
    follow(console, taken, show)
    with open(work + "/qemu.log", encoding="utf-8", errors="replace") as errors:
        said = errors.read().strip()
    with open(console, encoding="utf-8", errors="replace") as text:
        return text.read().replace("\r", ""), failure or (f"qemu: {said}" if said else None)


def prepare(options, work, steps_of):
    """Has the tree built and packed with what is to be run; returns the steps."""
    build = subprocess.run([HERE + "/arch.sh", "build", options.arch, options.kernel],
                           stdout=subprocess.PIPE, text=True, check=False)
    if build.returncode:
        sys.exit(build.returncode)
    place, kernel = build.stdout.split("\n")[:2]
    steps = steps_of(place)
    with open(work + "/command", "w", encoding="utf-8") as command:
        command.write((script(steps) if steps else options.command[0] if
                       len(options.command) == 1 else shlex.join(options.command)) + "\n")
    shutil.copy(kernel, work + "/kernel")
    packed = subprocess.run([HERE + "/arch.sh", "pack", options.arch, work], check=False)
    if packed.returncode:
        sys.exit(packed.returncode)
    return steps


def run(options):
    with tempfile.TemporaryDirectory(prefix="hmm-lab-") as work:
        steps = prepare(options, work, lambda build: [] if options.command else
                        plan.chosen(options.only, make_steps(options, build)))
        start = time.monotonic()
        say(f"booting {options.arch}")
        console, failure = boot(options, work, steps)
    result = Run(options.arch, console, failure, steps, time.monotonic() - start)
    if options.logs:
        keep_logs(options.logs, result, console)
    return result


def keep_logs(folder, result, console):
    place = os.path.join(folder, result.version)
    os.makedirs(place, exist_ok=True)
    for name, text in {**result.guest.files, "console": console}.items():
        with open(os.path.join(place, name), "w", encoding="utf-8") as file:
            file.write(text)


def tell(result):
    for line in result.trouble:
        say(f"{result.version}: the kernel says: {line}")
    if result.failure:
        say(f"{result.version}: {result.failure}")


def main():
    options = parse(sys.argv[1:])
    machine.die_by_signals()
    try:
        result = run(options)
    except LabError as error:
        say(str(error))
        return FAILED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    if options.command:
        tell(result)
        return FAILED if result.bad() else result.status
    if options.docs and not result.bad():
        table_of_kernels.write([result], options.arch)
        return OK
    if options.json:
        print(json.dumps(report.as_json([result]), indent=2))
    else:
        report.show([result])
    tell(result)
    say(f"{result.version}: {result.seconds['all']:.0f} s")
    return FAILED if result.bad() else OK


if __name__ == "__main__":
    sys.exit(main())
