# SPDX-License-Identifier: LGPL-2.1-or-later
"""How are Debian's kernels had without being installed?

apt fetches them as packages, with a configuration of its own in the lab's cache: the address
of the mirror and its key are those of the system's own sources, the suites are ours. Of the
packages only the kernel and the modules that a guest needs are kept.
"""

import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from common import LabError, NotHere, cache_dir, locked, progress, say

# A series, where it comes from, and what its versions begin with.
SERIES = {
    "6.1": ("bookworm", r"6\.1\."),
    "6.12": ("bookworm-backports", r"6\.12\."),
    "7": ("trixie-backports", r"7\."),
}

# In which packages a version may be, best first.
LAYOUTS = (
    ("linux-binary-{}", "linux-modules-{}"),
    ("linux-binary-unsigned-{}", "linux-modules-{}"),
    ("linux-image-{}",),
    ("linux-image-{}-unsigned",),
)

# What a guest loads, in the end; modprobe adds what these depend on.
MODULES = """virtio_pci virtio_blk virtio_console 9pnet_virtio 9p overlay crc32c_generic
    crc32c_intel crc32_generic libcrc32c nfit nd_pmem dax_pmem device_dax ext4 xfs""".split()

NEEDED_SPACE = 1 << 30

CONFIG = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::sourcelist "{apt}/sources.list";
Dir::State "{apt}";
Dir::State::status "/dev/null";
Dir::Cache "{apt}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
"""


def ask(command, **more):
    """What a command prints; NotHere with what it said if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, check=False, **more)
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise NotHere(f"{' '.join(command[:3])}: {said}")
    return done.stdout


def system_source():
    """(address, key) of the mirror that this system has its Debian from."""
    listed = ask(["apt-get", "indextargets", "--format",
                  "$(REPO_URI)|$(COMPONENT)|$(RELEASE)|$(SOURCESENTRY)",
                  "Identifier: Packages"])
    entries = [line.split("|") for line in listed.splitlines()]
    for uri, component, release, entry in entries:
        if component == "main" and re.fullmatch(r"[a-z]+", release):
            return uri, signed_by(entry)
    raise NotHere("this system's apt sources name no Debian suite with \"main\", so there is "
                   "no mirror to have kernels from; see sources.list(5)")


def signed_by(entry):
    """The key that a source names ("FILE:LINE" is the entry), or Debian's keyring."""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    file, _, number = entry.rpartition(":")
    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read()
    except OSError:
        text = ""
    if file.endswith(".list"):
        line = text.splitlines()[int(number) - 1:int(number)]
        found = re.search(r"signed-by=([^\s\]]+)", line[0] if line else "", re.I)
    else:
        found = re.search(r"^Signed-By:[ \t]*(/\S+)", text, re.I | re.M)
    if found:
        return found.group(1)
    return keyring if os.path.exists(keyring) else None


def system_acquire():
    """How the system fetches (its proxies, above all), as lines of configuration."""
    lines = ask(["apt-config", "dump"]).splitlines()
    return "".join(line + "\n" for line in lines if line.startswith("Acquire::") and
                   not line.startswith(("Acquire::IndexTargets", "Acquire::Languages")))


class Apt:
    """apt with our own sources, state and cache."""

    def __init__(self):
        self.base = os.path.join(cache_dir(), "apt")
        for folder in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.base, folder), exist_ok=True)
        uri, key = system_source()
        option = f"[signed-by={key}] " if key else ""
        with open(self.base + "/sources.list", "w", encoding="utf-8") as sources:
            for suite, _ in SERIES.values():
                sources.write(f"deb {option}{uri} {suite} main\n")
        with open(self.base + "/apt.conf", "w", encoding="utf-8") as config:
            config.write(system_acquire() + CONFIG.format(apt=self.base))
        self.env = dict(os.environ, APT_CONFIG=self.base + "/apt.conf", LC_ALL="C")

    def update(self):
        say("fetching Debian's package lists")
        try:
            ask(["apt-get", "-q", "--error-on=any", "update"], env=self.env)
        except LabError as error:
            raise NotHere(f"Debian's package lists can't be had: {error}\nlab: is the network "
                           "there? The mirror is the one of this system's own apt") from None

    def names(self):
        listed = ask(["apt-cache", "search", "--names-only", r"^linux-.*-amd64(-unsigned)?$"],
                     env=self.env)
        return {line.split(" ", 1)[0] for line in listed.splitlines()}

    def download(self, packages, folder):
        ask(["apt-get", "-q", "download", *packages], env=self.env, cwd=folder)


def version_key(version):
    return [int(number) for number in re.findall(r"\d+", version)]


def newest(names, series):
    """(version, packages) of a series' newest kernel among the names of packages."""
    start = SERIES[series][1]
    pattern = re.compile(rf"linux-(?:image|binary|binary-unsigned)-"
                         rf"({start}[0-9.+a-z~-]*?-amd64)(?:-unsigned)?")
    versions = {found.group(1) for found in map(pattern.fullmatch, names) if found}
    plain = [v for v in versions if not re.search(r"-(rt|cloud)-", v)]
    for version in sorted(plain, key=version_key, reverse=True):
        for layout in LAYOUTS:
            packages = [name.format(version) for name in layout]
            if names.issuperset(packages):
                return version, packages
    raise NotHere(f"Debian's {SERIES[series][0]} has no kernel {series} for amd64 any more")


def modules_wanted(root, version):
    """The files of the modules that a guest loads, each after what it depends on."""
    files = []
    for module in MODULES:
        listed = subprocess.run(["modprobe", "-q", "-C", "/dev/null", "-d", root, "-S", version,
                                 "--show-depends", module], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, check=False)
        for line in listed.stdout.splitlines():
            verb, _, file = line.strip().partition(" ")
            if verb == "insmod" and file not in files:
                files.append(file)
    return files


def keep(root, version, place):
    """Copies what a guest needs of an unpacked kernel to the folder place."""
    images = (glob.glob(f"{root}/boot/vmlinuz-{version}") +
              glob.glob(f"{root}/lib/modules/{version}/vmlinuz"))
    if not images:
        raise LabError(f"the packages of kernel {version} hold no vmlinuz where one is known "
                       "to be: the lab has to learn their new layout")
    shutil.copyfile(images[0], place + "/vmlinuz")
    ask(["depmod", "-b", root, version])
    os.mkdir(place + "/modules")
    files = modules_wanted(root, version)
    for number, file in enumerate(files):
        name = re.sub(r"\.xz$", "", os.path.basename(file))
        opener = lzma.open if file.endswith(".xz") else open
        with opener(file, "rb") as packed, \
                open(f"{place}/modules/{number:02}-{name}", "wb") as plain:
            shutil.copyfileobj(packed, plain)
    with open(place + "/wanted", "w", encoding="utf-8") as wanted:
        wanted.write(" ".join(MODULES))


def fetch(apt, series):
    """Puts the newest kernel of a series into the cache, if it isn't there."""
    version, packages = newest(apt.names(), series)
    place = os.path.join(cache_dir(), "kernels", version)
    if usable(place):
        return
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if shutil.disk_usage(cache_dir()).free < NEEDED_SPACE:
        raise NotHere(f"{cache_dir()} has less than 1 GiB free, which unpacking a kernel "
                       "takes; make room, or set XDG_CACHE_HOME")
    say(f"fetching kernel {version}")
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="unpack-") as work:
        root, new = work + "/root", work + "/new"
        os.makedirs(root + "/usr/lib")
        os.symlink("usr/lib", root + "/lib")
        os.mkdir(new)
        apt.download(packages, work)
        for package in glob.glob(work + "/*.deb"):
            archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package],
                                       stdout=subprocess.PIPE)
            ask_tar = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root]
            unpacked = subprocess.run(ask_tar, stdin=archive.stdout, check=False)
            if archive.wait() or unpacked.returncode:
                raise LabError(f"{os.path.basename(package)} can't be unpacked")
        keep(root, version, new)
        shutil.rmtree(place, ignore_errors=True)
        os.rename(new, place)


def usable(place):
    """A folder that was finished, with the modules that today's lab wants."""
    try:
        with open(place + "/wanted", encoding="utf-8") as wanted:
            return wanted.read() == " ".join(MODULES)
    except OSError:
        return False


def cached(series):
    """(version, folder) of the newest kernel of a series in the cache, or None."""
    places = [place for place in glob.glob(os.path.join(cache_dir(), "kernels", "*"))
              if re.match(SERIES[series][1], os.path.basename(place)) and usable(place)]
    if not places:
        return None
    place = max(places, key=lambda p: version_key(os.path.basename(p)))
    return os.path.basename(place), place


def get(wanted, update=False):
    """{series: (version, folder)}: from the cache, else (or with update) from Debian."""
    with locked(os.path.join(cache_dir(), "lock")):
        missing = [series for series in wanted if update or not cached(series)]
        if missing:
            apt = Apt()
            with progress("fetching kernels"):
                apt.update()
                for series in missing:
                    fetch(apt, series)
    return {series: cached(series) for series in wanted}
