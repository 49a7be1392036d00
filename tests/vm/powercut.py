# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is what a guest reported durable still there after its power was cut?

A guest is booted in which a mirrored device writes to a file and says which records are
durable; at a random moment qemu is killed. The next guest, on the same disk, looks for all
of them before it writes its own. docs/lab.md says what this shows, and what it can't.
"""

import functools
import os
import random
import re
import shutil
import subprocess
import tempfile
import time

import klog
import machine
from common import HERE, FAILED, OK, LabError, progress, say

BOOT_LIMIT = 300
LONGEST = 2.5

# Type, disk, mount options; how it is found on the template.
DISKS = {"ext4": ("ext4", "/dev/pmem0", "dax=always"),
         "xfs": ("xfs", "/dev/pmem0", "dax=always"),
         "disk": ("ext4", "/dev/vda", "defaults")}
MODULES = r"virtio|nfit|nvdimm|nd_|pmem|crc|jbd2|mbcache|ext4"

# What is promised to be durable: a device, and how the file was flushed.
WAYS = [(device, flush) for flush in ("sync", "msync") for device in ("ref", "uring")]
# What isn't: a record is reported before anything was flushed. It has to be found out.
BAD_WAYS = [("ext4", "ref", "none"), ("xfs", "uring", "none"), ("disk", "ref", "none")]


def libraries(program):
    """The shared objects that a program needs, each with its place in the guest."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True)
    for line in listed.stdout.splitlines():
        found = re.match(r"\s*(\S+)(?: => (\S+))? \(0x", line)
        if found and found.group(2):
            yield "/lib/" + found.group(1), found.group(2)
        elif found and found.group(1).startswith("/"):
            yield found.group(1), found.group(1)


class Series:
    """Many cuts, one disk."""

    def __init__(self, kernel, build, disk):
        self.kernel, self.disk = kernel, disk
        self.dir = self.qemu = None
        self.program = os.path.join(build, "tests/vm/powercut")
        if not os.path.exists(self.program):
            raise LabError(f"{self.program} is not there; ./run lab builds it")
        self.records = self.bytes = self.cuts = 0
        self.problems = []

    def __enter__(self):
        image = f"{machine.template(self.kernel)}/{self.disk}.img"
        self.dir = tempfile.mkdtemp(prefix="hmm-lab-")
        subprocess.run(["cp", "--sparse=always", image, self.dir + "/disk"], check=True)
        trimmed = self.dir + "/kernel"
        os.makedirs(trimmed + "/modules")
        wanted = MODULES + ("|xfs" if self.disk == "xfs" else "")
        for name in os.listdir(self.kernel[1] + "/modules"):
            if re.search(wanted, name):
                shutil.copy(f"{self.kernel[1]}/modules/{name}", trimmed + "/modules")
        machine.initramfs(trimmed, self.dir + "/initramfs", HERE + "/powercut-init",
                          [("/bin/powercut", self.program), *libraries(self.program)])
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self):
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self.qemu = None

    def arguments(self, words):
        size = os.path.getsize(self.dir + "/disk")
        if self.disk == "disk":
            attached = ["-drive", f"if=none,id=disk,format=raw,file={self.dir}/disk",
                        "-device", "virtio-blk-pci,drive=disk"]
        else:
            attached = ["-object", f"memory-backend-file,id=pmem,share=on,size={size},"
                        f"mem-path={self.dir}/disk", "-device", "nvdimm,id=n,memdev=pmem"]
        ports = []
        for port in ("console", "reports"):
            ports += ["-chardev", f"file,id={port},path={self.dir}/{port}",
                      "-serial", f"chardev:{port}"]
        return ["qemu-system-x86_64", "-machine", "q35,nvdimm=on", "-accel",
                "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "1G,slots=1,maxmem=4G",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                *ports, *attached, "-kernel", self.kernel[1] + "/vmlinuz",
                "-initrd", self.dir + "/initramfs",
                "-append", f"{machine.BOOT_OPTIONS} {words}"]

    def reports(self):
        """The whole lines that the guest has sent."""
        try:
            with open(self.dir + "/reports", encoding="utf-8", errors="replace") as sent:
                return [line.strip() for line in sent.read().split("\n")[:-1]]
        except OSError:
            return []

    def boot(self, check, write, seconds):
        """One boot; killed so many seconds after it began to write. Returns its reports."""
        kind, disk, options = DISKS[self.disk]
        words = f"lab.disk={disk} lab.type={kind} lab.options={options}"
        words += f" lab.check={check}" if check else ""
        words += f" lab.write={write}" if write else ""
        for port in ("console", "reports"):
            if os.path.exists(f"{self.dir}/{port}"):
                os.unlink(f"{self.dir}/{port}")
        with open(self.dir + "/qemu.log", "wb") as errors:
            self.qemu = subprocess.Popen(self.arguments(words), stdin=subprocess.DEVNULL,
                                         stdout=errors, stderr=errors, process_group=0)
        self.wait_until_it_writes()
        if self.qemu.poll() is None:
            time.sleep(seconds)
        self.kill()
        return self.reports()

    def wait_until_it_writes(self):
        start = time.monotonic()
        while self.qemu.poll() is None and time.monotonic() - start < BOOT_LIMIT:
            if any(line.startswith(("begin ", "broken ")) for line in self.reports()):
                return
            machine.go_on()
            time.sleep(0.05)

    def judge(self, reports, check, write, what):
        """Notes what was kept and what was lost; returns what the next boot has to find."""
        expected = f"kept {check.replace(',', ' ')} " if check else None
        kept = [line for line in reports if expected and line.startswith(expected)]
        self.problems += [f"{what}: {line}" for line in reports
                          if line.startswith(("lost ", "broken "))]
        with open(self.dir + "/console", encoding="utf-8", errors="replace") as console:
            log = console.read()
        self.problems += [f"{what}: the kernel says: {line}" for line in klog.complaints(log)]
        if kept:
            self.bytes += int(kept[0].split()[3])
            self.records += int(check.split(",")[1])
        elif check and not self.problems:
            self.problems.append(f"{what}: the guest did not get to the check: "
                                 f"{(reports or log.splitlines() or ['no word'])[-1]}")
        if not write:
            return None
        run = write.split(",")[0]
        durable = [line for line in reports if line.startswith(f"durable {run} ")]
        if not any(line == f"begin {run}" for line in reports) and not self.problems:
            self.problems.append(f"{what}: the guest did not get to write")
        return f"{run},{int(durable[-1].split()[2]) + 1 if durable else 0}"

    def cut(self, count, ways, rng):
        """Cuts the power so many times, or until something is lost."""
        check = None
        for run in range(1, count + 2):
            device, flush = ways[run % len(ways)]
            write = f"{run},{device},{flush}" if run <= count else None
            reports = self.boot(check, write, rng.uniform(0, LONGEST))
            check = self.judge(reports, check, write, f"{self.disk}, cut {run}")
            self.cuts += bool(write)
            if self.problems:
                return


def cut_many(options, kernel, disk, count, ways):
    with Series(kernel, options.build, disk) as series:
        start = time.monotonic()
        series.cut(count, ways, random.Random(options.seed))
        took = time.monotonic() - start
    return {"kernel": kernel[0], "disk": disk, "ways": ways, "cuts": series.cuts,
            "records": series.records, "bytes": series.bytes, "problems": series.problems,
            "seconds": round(took)}


def run(options, kernel):
    """Half of the cuts on each DAX file system; then those that have to lose something."""
    say(f"cutting the power with seed {options.seed}")
    half = max(options.powercut // 2, 1)
    series = [(disk, half, WAYS) for disk in ("ext4", "xfs")]
    series += [(disk, 10, [(device, flush)]) for disk, device, flush in BAD_WAYS]
    with progress(f"{2 * half} power cuts in {kernel[0]}"):
        done = machine.side_by_side(functools.partial(cut_many, options, kernel, *one)
                                    for one in series)
    return done[:2], done[2:]


def show(results, bad):
    print("\nPower cuts")
    for result in results:
        told = "FAIL: " + "; ".join(result["problems"]) if result["problems"] else "all kept"
        print(f"  {result['kernel']} {result['disk']} on DAX: {result['cuts']} cuts, "
              f"{result['records']} records reported durable ({result['bytes']} bytes), "
              f"{told}; {result['seconds']} s")
    for result in bad:
        lost = [text for text in result["problems"] if ": lost " in text]
        told = (f"found out: {lost[0]}" if lost else
                "FAIL: " + ("; ".join(result["problems"]) or "nothing was missed"))
        print(f"  {result['kernel']} {result['disk']}, reported before it was flushed: {told}")


def status(results, bad):
    good = all(not result["problems"] for result in results) and \
        all(any(": lost " in text for text in result["problems"]) for result in bad)
    return OK if good else FAILED
