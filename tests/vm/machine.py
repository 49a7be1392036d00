# SPDX-License-Identifier: LGPL-2.1-or-later
"""How is a kernel booted, and what did it leave?

A machine is one run of qemu: a kernel with an initramfs in which the host's root is found
over 9p, persistent memory in files, a disk. All of its files are in a temporary folder.
"""

import concurrent.futures
import glob
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from common import HERE, TREE, LabError, cache_dir, locked, say

BUSYBOX = ("/bin/busybox", "/usr/lib/busybox/bin/busybox")
# no_timer_check: an emulated timer on a busy host may tick late, which a kernel takes for a
# broken one. Of a hang it is to be sure before it says so: on a host with too much to do
# nothing in a guest may move for a minute (soft lockups are told after twice the threshold).
BOOT_OPTIONS = ("console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check "
                "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=180")
BOOT_LIMIT = 300
# One thread for all of a guest's processors. With one each, qemu before 8.1 (Debian 12 has
# 7.2) may translate code while another processor writes it: what a kernel patches at run
# time may then stay the breakpoint that it is in between, "Oops: int3".
ACCELERATOR = "tcg,thread=single"
MIB = 1 << 20

# The parts of a guest by what a test finds them, and their sizes: ext4 and xfs on DAX and
# a device-DAX node, each on a piece of persistent memory; an ordinary disk.
PMEM = {"ext4": 512 * MIB, "xfs": 640 * MIB, "devdax": 256 * MIB}
DISK = 1024 * MIB
HUGEPAGES = "128"
PARTS = ("ext4", "xfs", "devdax", "disk")


def initramfs(kernel_dir, target, init=os.path.join(HERE, "init"), more=()):
    """Packs busybox, a kernel's modules, the first program, and more (name, file) pairs."""
    busybox = next((path for path in BUSYBOX if is_static(path)), None)
    if not busybox:
        raise LabError("there is no static busybox here; apt-get install busybox-static")
    with tempfile.TemporaryDirectory(prefix="hmm-lab-") as work:
        os.makedirs(work + "/bin")
        shutil.copy(busybox, work + "/bin/busybox")
        shutil.copytree(kernel_dir + "/modules", work + "/modules")
        shutil.copy(init, work + "/init")
        os.chmod(work + "/init", 0o755)
        for name, file in more:
            os.makedirs(os.path.dirname(work + name), exist_ok=True)
            shutil.copy(file, work + name)
        names = sorted(os.path.relpath(os.path.join(at, name), work)
                       for at, folders, files in os.walk(work) for name in folders + files)
        with open(target, "wb") as packed:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=work,
                           input="\n".join(names).encode(), stdout=packed, check=True)


def is_static(path):
    """Whether it is a program that asks for no loader (busybox-static, not busybox)."""
    try:
        with open(path, "rb") as program:
            return b"/ld-linux" not in program.read(4096)
    except OSError:
        return False


class Result:
    """What a run left: the command's output and exit status, the kernel's log, files."""

    def __init__(self):
        self.status = None
        self.output = ""
        self.log = ""
        self.failure = None
        self.missing = []
        self.seconds = {}


class Machine:
    """One guest. Use it as a context, so that nothing is left of it."""

    def __init__(self, kernel, template=None, memory=4096):
        """kernel: (version, folder); template: a folder of disks that disks.sh laid out."""
        self.version, self.kernel_dir = kernel
        self.template, self.memory = template, memory
        self.dir = None
        self.qemu = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="hmm-lab-")
        os.mkdir(self.dir + "/out")
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        if self.qemu:
            self.qemu.wait()

    def out(self, name):
        return os.path.join(self.dir, "out", name)

    def read(self, name, default=""):
        try:
            with open(self.out(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return default

    def arguments(self):
        slots = len(PMEM)
        ceiling = self.memory + sum(PMEM.values()) // MIB + 1024
        args = ["qemu-system-x86_64", "-machine", "q35,nvdimm=on", "-accel", ACCELERATOR,
                "-cpu", "max", "-smp", "2",
                "-m", f"{self.memory}M,slots={slots},maxmem={ceiling}M",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-chardev", f"file,id=console,path={self.dir}/console",
                "-serial", "chardev:console",
                "-device", "virtio-serial-pci", "-chardev", f"file,id=tty,path={self.dir}/tty",
                "-device", "virtserialport,chardev=tty,name=lab",
                "-kernel", self.kernel_dir + "/vmlinuz", "-initrd", self.dir + "/initramfs",
                "-append", BOOT_OPTIONS]
        for tag, path, more in (("root", "/", ",readonly=on"), ("out", self.dir + "/out", "")):
            args += ["-fsdev", f"local,id={tag},path={path},security_model=none,"
                     f"multidevs=remap{more}",
                     "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        for number, (part, size) in enumerate(PMEM.items()):
            args += ["-object", f"memory-backend-file,id=mem{number},share=on,size={size},"
                     f"mem-path={self.image(part, size)}",
                     "-device", f"nvdimm,id=nvdimm{number},memdev=mem{number}"]
        args += ["-drive", f"if=none,id=disk,format=raw,file={self.image('disk', DISK)}",
                 "-device", "virtio-blk-pci,drive=disk"]
        return args

    def image(self, name, size):
        """A disk of this machine: a copy of the template's, or blank."""
        path = os.path.join(self.dir, name + ".img")
        if self.template:
            subprocess.run(["cp", "--sparse=always", f"{self.template}/{name}.img", path],
                           check=True)
        else:
            with open(path, "wb") as image:
                image.truncate(size)
        return path

    def prepare(self, command, cwd, variables):
        initramfs(self.kernel_dir, self.dir + "/initramfs")
        shutil.copy(os.path.join(HERE, "guest.sh"), self.out("guest.sh"))
        with open(self.out("command"), "w", encoding="utf-8") as script:
            script.write(command + "\n")
        known = {"LAB_PARTS": " ".join(PARTS) if self.template else "", "LAB_TREE": TREE, "LAB_CWD": cwd,
                 "LAB_TTY": "/dev/vport0p1", "LAB_KERNEL": self.version, "LAB_HUGEPAGES": HUGEPAGES, **variables}
        with open(self.out("env"), "w", encoding="utf-8") as env:
            for name, value in known.items():
                env.write(f"export {name}={shlex.quote(value)}\n")

    def run(self, command, limit, cwd=TREE, variables=None, echo=False):
        """Boots, runs a shell command, and ends when the guest powers itself off."""
        go_on()
        self.prepare(command, cwd, variables or {})
        result = Result()
        start = time.monotonic()
        with open(self.dir + "/qemu.log", "wb") as errors:
            self.qemu = subprocess.Popen(self.arguments(), stdin=subprocess.DEVNULL,
                                         stdout=errors, stderr=errors,
                                         process_group=0)
        listener = Listener(self.dir + "/tty", echo)
        self.wait(result, start, limit, listener)
        result.output = listener.text()
        self.collect(result)
        result.seconds["all"] = round(time.monotonic() - start, 1)
        return result

    def wait(self, result, start, limit, listener):
        """Until qemu has ended by itself, or has to be ended."""
        while True:
            try:
                self.qemu.wait(0.2)
                return
            except subprocess.TimeoutExpired:
                listener.listen()
            go_on()
            took = time.monotonic() - start
            if took > BOOT_LIMIT and not os.path.exists(self.out("up")):
                result.failure = f"it did not boot within {BOOT_LIMIT} s"
            elif took > limit:
                result.failure = f"it was still busy after {limit} s, and was ended"
            else:
                continue
            self.stop()
            return

    def collect(self, result):
        with open(self.dir + "/qemu.log", encoding="utf-8", errors="replace") as errors:
            complaint = errors.read().strip()
        console = ""
        if os.path.exists(self.dir + "/console"):
            with open(self.dir + "/console", encoding="utf-8", errors="replace") as log:
                console = log.read().replace("\r", "")
        result.log = console + "\n" + self.read("dmesg")
        result.missing = self.read("missing").splitlines()
        for name in ("up", "ready"):
            if self.read(name).strip():
                result.seconds[name] = float(self.read(name))
        status = self.read("status").strip()
        if status.isdigit():
            result.status = int(status)
        elif not result.failure:
            told = [line for line in console.splitlines() if line.startswith("lab-init:")]
            result.failure = (told[-1] if told else f"qemu: {complaint}" if complaint else
                              "the guest ended before its command did")


class Listener:
    """Takes what the guest's command says, and shows it while it comes if asked to."""

    def __init__(self, path, echo):
        self.path, self.echo = path, echo
        self.taken = bytearray()

    def listen(self):
        try:
            with open(self.path, "rb") as tty:
                tty.seek(len(self.taken))
                data = tty.read()
        except OSError:
            return
        self.taken += data
        if self.echo and data:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def text(self):
        self.listen()
        return self.taken.decode(errors="replace")


def template(kernel):
    """The folder of disks that are laid out, which is done in a guest if it has to be."""
    with open(os.path.join(HERE, "disks.sh"), "rb") as script:
        recipe = script.read() + repr((PMEM, DISK)).encode()
    place = os.path.join(cache_dir(), "disks-" + hashlib.sha256(recipe).hexdigest()[:12])
    with locked(os.path.join(cache_dir(), "lock")):
        if os.path.isdir(place):
            return place
        say("laying out the guests' disks (once)")
        with Machine(kernel) as machine:
            result = machine.run("sh tests/vm/disks.sh", 300)
            if result.failure or result.status:
                raise LabError("the guests' disks could not be laid out: " +
                               (result.failure or result.output.strip().splitlines()[0]))
            new = tempfile.mkdtemp(dir=cache_dir(), prefix="unpack-")
            for name in PARTS:
                subprocess.run(["cp", "--sparse=always", f"{machine.dir}/{name}.img", new],
                               check=True)
            for old in glob.glob(os.path.join(cache_dir(), "disks-*")):
                shutil.rmtree(old)
            os.rename(new, place)
    return place


# Set when the lab was told to end: only the main thread hears of that.
ENDED = threading.Event()


def go_on():
    if ENDED.is_set():
        raise LabError("ended")


def at_once():
    """How many guests at a time: each keeps a processor busy, and may fill its memory."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        free = next(int(line.split()[1]) for line in meminfo if "MemAvailable" in line)
    return max(1, min(len(os.sched_getaffinity(0)), free // (5 << 20)))


def side_by_side(calls):
    """The results of calls that each boot a guest, in their order."""
    with concurrent.futures.ThreadPoolExecutor(at_once()) as pool:
        results = [pool.submit(call) for call in calls]
        try:
            return [result.result() for result in results]
        except BaseException:
            ENDED.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def die_by_signals():
    """A lab that is told to end cleans up as on Ctrl-C."""
    def interrupt(*_):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
