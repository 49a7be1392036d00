# SPDX-License-Identifier: LGPL-2.1-or-later
"""What came out of a kernel's steps: how did each end, and why?"""

import json

PASS, FAIL, SKIP, NOT_RUN = "pass", "fail", "skip", "not run"


class Outcome:
    """One step in one kernel."""

    def __init__(self, step, guest):
        self.name, self.kind = step.name, step.kind
        self.out, self.err = guest.read(step.name + ".out"), guest.read(step.name + ".err")
        times = guest.read(step.name + ".seconds").split()
        self.seconds = round(float(times[1]) - float(times[0]), 1) if len(times) == 2 else None
        status = guest.read(step.name + ".status").strip()
        self.status = int(status) if status.isdigit() else None
        self.json = self.parse() if self.kind in ("info", "check", "nobody") else None
        self.state, self.reason = self.judge(step, guest)

    def parse(self):
        try:
            return json.loads(self.out)
        except ValueError:
            return None

    def judge(self, step, guest):
        if self.status is None:
            if guest.read("running").strip() == self.name:
                return FAIL, "the kernel ended, or was ended, in the middle of it"
            return NOT_RUN, "the guest ended before its turn came"
        if self.status == 124:
            return FAIL, f"not done within {step.limit} s"
        if self.status == 77:
            told = next((cell.get("detail") for cell in self.cells()
                         if cell["status"] == "skip"), None)
            return SKIP, (told or self.last_line("skip") or self.last_line("") or
                          "it gave no reason")
        if self.status:
            return FAIL, self.failed_cells() or self.told() or f"exit status {self.status}"
        if self.kind in ("info", "check", "nobody") and self.json is None:
            return FAIL, "what it printed is no JSON"
        return PASS, ""

    def last_line(self, word):
        lines = [line.strip() for line in (self.out + "\n" + self.err).splitlines()
                 if line.strip() and word in line.lower()]
        return lines[-1] if lines else ""

    def told(self):
        """The line that a test that failed most likely said it with."""
        return next((line for line in map(self.last_line, ("not ok", "fail", "error", ""))
                     if line), "")

    def failed_cells(self):
        cells = [cell for cell in self.cells() if cell["status"] in ("fail", "not run")]
        if not cells:
            return ""
        more = f", and {len(cells) - 1} cells more" if len(cells) > 1 else ""
        return f"{cells[0]['cell']}: {cells[0].get('detail', '')}{more}"

    def cells(self):
        return (self.json or {}).get("cells", [])

    def as_json(self):
        return {"name": self.name, "state": self.state, "reason": self.reason,
                "status": self.status, "seconds": self.seconds, "result": self.json}
