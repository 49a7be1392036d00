# SPDX-License-Identifier: LGPL-2.1-or-later
"""How did it all end, by kernel, by kind of memory, by test?"""

from outcome import FAIL, NOT_RUN, PASS, SKIP


class Notes:
    """Reasons, each said once below a table and referred to by a letter in it."""

    def __init__(self):
        self.known = []

    def mark(self, reason):
        if reason not in self.known:
            self.known.append(reason)
        number = self.known.index(reason)
        return "[" + (chr(97 + number) if number < 26 else str(number)) + "]"

    def show(self):
        for reason in self.known:
            print(f"  {self.mark(reason)} {reason}")


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    for row in [head] + rows:
        print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths))
              .rstrip())


def cell_text(cells, notes):
    """What all cells of a kind of memory, a kernel and a device come to."""
    if not cells:
        return None
    failed = [cell for cell in cells if cell["status"] in ("fail", "not run")]
    if failed:
        return f"FAIL {len(failed)}/{len(cells)} {notes.mark(why(failed[0]))}"
    passed = [cell for cell in cells if cell["status"] in ("pass", "limit")]
    left = [cell for cell in cells if cell["status"] == "skip"]
    marks = " ".join(dict.fromkeys(notes.mark(why(cell)) for cell in left))
    limits = " ".join(sorted({cell["limit"] for cell in cells if cell.get("limit")}))
    if not passed:
        word = "refused" if all("refus" in why(cell) for cell in left) else "skipped"
        return f"{word} {marks}"
    modes = "+".join(dict.fromkeys(mode for cell in passed for mode in cell["modes"]))
    return " ".join(part for part in ("pass", modes, limits, marks) if part)


def why(cell):
    return cell.get("detail") or "no reason was given"


def memory_table(kernels):
    """Rows: kinds of memory. Columns: kernels, and the devices of each."""
    notes, kinds, columns = Notes(), [], []
    for kernel in kernels:
        cells = [cell for step in kernel.outcomes if step.kind == "check"
                 for cell in step.cells() if "kind" in cell]
        for device in dict.fromkeys(cell["device"] for cell in cells):
            columns.append((kernel, device, [c for c in cells if c["device"] == device]))
        kinds += [cell["kind"] for cell in cells]
    rows = []
    for kind in dict.fromkeys(kinds):
        row = [kind]
        for kernel, _, cells in columns:
            text = cell_text([cell for cell in cells if cell["kind"] == kind], notes)
            row.append(text or kernel.why_no_kind(kind, notes))
        rows.append(row)
    if rows:
        print("\nBy kind of memory (a device each column; the mode taken behind \"pass\")")
        table(["memory"] + [f"{kernel.series} {device}" for kernel, device, _ in columns], rows)
        notes.show()


def step_table(kernels):
    notes = Notes()
    names = list(dict.fromkeys(step.name for kernel in kernels for step in kernel.outcomes))
    rows = []
    for name in names:
        row = [name]
        for kernel in kernels:
            step = next((s for s in kernel.outcomes if s.name == name), None)
            row.append(step_text(step, notes) if step else "not asked for")
        rows.append(row)
    print("\nBy test")
    table(["test"] + [kernel.version for kernel in kernels], rows)
    rows = [["kernel's log"] + [log_text(kernel, notes) for kernel in kernels]]
    table([""] * (len(kernels) + 1), rows)
    notes.show()


def step_text(step, notes):
    took = f" {step.seconds:.0f} s" if step.seconds is not None else ""
    if step.state == PASS:
        return "pass" + took
    word = {FAIL: "FAIL", SKIP: "skipped", NOT_RUN: "not run"}[step.state]
    return f"{word}{took} {notes.mark(step.reason)}"


def log_text(kernel, notes):
    if kernel.trouble:
        return f"FAIL {notes.mark(kernel.trouble[0])}"
    return f"FAIL {notes.mark(kernel.failure)}" if kernel.failure else "clean"


def show(kernels):
    memory_table(kernels)
    step_table(kernels)
    steps = [step for kernel in kernels for step in kernel.outcomes]
    counts = {state: sum(step.state == state for step in steps)
              for state in (PASS, FAIL, SKIP, NOT_RUN)}
    bad = sum(bool(kernel.trouble or kernel.failure) for kernel in kernels)
    print(f"\n{len(kernels)} kernels: {counts[PASS]} tests passed, {counts[FAIL]} failed, "
          f"{counts[SKIP]} skipped, {counts[NOT_RUN]} not run; {bad} kernels complained")


def as_json(kernels):
    return {"kernels": [{
        "series": kernel.series, "version": kernel.version, "failure": kernel.failure,
        "kernel_log": kernel.trouble, "missing": kernel.missing, "seconds": kernel.seconds,
        "steps": [step.as_json() for step in kernel.outcomes]} for kernel in kernels]}
