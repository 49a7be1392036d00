# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does a kernel's log say that something went wrong in the kernel?"""

import re

BAD = re.compile(
    r"WARNING: |BUG: |kernel BUG at|Oops|general protection fault|Kernel panic|"
    r"possible (recursive|circular|irq) locking|lockdep|"
    r"blocked for more than \d+ seconds|soft lockup|hard LOCKUP|"
    r"rcu.*(detected stall|self-detected stall|kthread starved)|"
    r"UBSAN:|KASAN:|KCSAN:|refcount_t: |list_(add|del) corruption|"
    r"Unable to handle kernel|unable to handle page fault|Bad page|Bad rss-counter|"
    r"EXT4-fs (error|warning)|XFS \(.*\): .*([Cc]orrupt|[Ee]rror)|"
    r"(Buffer )?I/O error|Out of memory: Killed|invoked oom-killer")

# What looks like one of these and is none: why.
HARMLESS = re.compile(r"lockdep is turned off|Initialized lockdep")


def complaints(log):
    """The lines that tell of trouble in the kernel, each once."""
    found = []
    for line in log.splitlines():
        text = re.sub(r"^(<\d+>)?\[ *[\d.]+\] *", "", line).strip()
        if BAD.search(text) and not HARMLESS.search(text) and text not in found:
            found.append(text)
    return found
