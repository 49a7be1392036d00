# SPDX-License-Identifier: LGPL-2.1-or-later
"""What do all parts of the lab share: how it speaks, where its cache is, how it gives up?"""

import contextlib
import fcntl
import os
import re
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))

OK, FAILED, USAGE, SKIPPED, INTERRUPTED = 0, 1, 2, 77, 130


def drivers():
    """The drivers of this tree, by the list that everything else goes through."""
    with open(os.path.join(TREE, "drivers", "meson.build"), encoding="utf-8") as file:
        return re.findall(r"'(\w+)'", re.search(r"driver_names = \[(.*?)\]", file.read(),
                                               re.DOTALL).group(1))


class LabError(Exception):
    """The lab itself can't go on: not a test that failed. Its text says what to do."""


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


class NotHere(LabError):
    """What the lab needs can't be had on this machine: a reason to skip, not to fail."""


@contextlib.contextmanager
def progress(text):
    """Shows what is being done while it is done; on a terminal only."""
    shown = sys.stderr.isatty()
    if shown:
        print(f"\rlab: {text} ...\033[K", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def cache_dir():
    """Outside of the tree, and this user's own."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.join(base, "libhmm", "lab")
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise NotHere(f"no cache for kernels can be made at {path}: {error.strerror}; "
                       "set XDG_CACHE_HOME to a folder that you may write to") from None
    return path


@contextlib.contextmanager
def locked(path):
    """One lab at a time changes the cache; others wait here."""
    with open(path, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
