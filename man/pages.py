#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the man pages of section 3 from the public headers.

The headers document every call; a page written by hand would say the same again, until it
doesn't. So a comment "/** name[, name] - what it does ... */" and the declarations that
follow it become the page name(3), with the structures and constants that they mention.

    pages.py [--list] OUTDIR VERSION HEADER...

--list prints the pages and their other names, one page a line, and writes nothing.
"""

import errno
import os
import re
import sys

COMMENT = re.compile(r"/\*\*(?P<text>(?:[^*]|\*(?!/))*)\*/\n(?P<decl>(?:(?!\n\n|/\*).)*)",
                     re.DOTALL)
TYPE = re.compile(r"^(?:struct|enum) (\w+) \{\n.*?^\};\n", re.DOTALL | re.MULTILINE)
DEFINE = re.compile(r"^#define (?!HMM_API)([A-Z]\w+)[ \t]+\S.*\n", re.MULTILINE)
ERRORS = re.compile(r"-E[A-Z0-9]+(?:(?:,| or) -E[A-Z0-9]+)*")


def plain(comment):
    """The lines of a comment without its stars."""
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in comment.strip().split("\n")]
    return [line.rstrip() for line in lines]


def escape(line):
    line = line.replace("\\", "\\e")
    return "\\&" + line if line[:1] in (".", "'") else line


def sentences(text):
    """mdoc wants each sentence on a line of its own, and lines of at most 80 columns."""
    out = []
    for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z@-])", " ".join(text)):
        line = ""
        for word in sentence.split():
            if len(line) + len(word) > 76:
                out.append(escape(line))
                line = ""
            line += (" " if line else "") + word
        out.append(escape(line))
    return [line for line in out if line]


def paragraphs(lines):
    """(kind, text) for each paragraph: "item" with its name, "code" or "text"."""
    block = []
    for line in lines + [""]:
        starts = re.match(r"@[\w, @]+:", line)
        if (not line or starts) and block:
            yield block
            block = []
        if line:
            block.append(line)


def body(lines):
    out, items = [], False
    for block in paragraphs(lines):
        item = re.match(r"@([\w, @]+): ?(.*)", block[0])
        if item:
            if not items:
                out.append(".Bl -tag -width Ds")
            items = True
            out.append(".It Fa " + item.group(1).replace("@", "").replace(", ", " , "))
            out += sentences([item.group(2)] + block[1:])
            continue
        if items:
            out.append(".El")
            items = False
        elif out:
            out.append(".Pp")
        if out and out[-1] == ".El":
            out.append(".Pp")
        if all(line.startswith((" ", "\t")) for line in block):
            out += [".Bd -literal -compact"] + [escape(line) for line in block] + [".Ed"]
        else:
            out += sentences(block)
    return out + [".El"] if items else out


def literal(text):
    text = text.replace("HMM_API ", "").expandtabs(8).rstrip("\n")
    return [".Bd -literal -compact"] + [escape(line) for line in text.split("\n")] + [".Ed"]


def usual(name):
    """What an error number means where the header says no more of it."""
    if name == "-ECHILD":
        return "The object belongs to the parent of a fork"
    if name == "-EHWPOISON":  # Python doesn't know it
        return "Memory page has hardware error"
    return os.strerror(getattr(errno, name[1:].split()[0].rstrip(",")))


def take_errors(block):
    """("text", [(names, why)]) of a paragraph "Text. -EINVAL why; -ENOMEM. More text."."""
    text = " ".join(block)
    start = re.search(r"(?:^|(?<=\. ))-E[A-Z0-9]+\b", text)
    if not start:
        return block, []
    before, listed = text[:start.start()], text[start.start():]
    found = []
    for part in re.split(r"; (?=-E)", listed):
        names = ERRORS.match(part).group(0)
        why, stop, after = part[len(names):].partition(". ")
        found.append((names, why.strip(" .:") or usual(names)))
        before += after if stop else ""
    return [before] if before.strip() else [], found


def errors(found):
    out = [".Sh ERRORS", ".Bl -tag -width Ds"]
    for names, why in found:
        out += [".It " + names.replace("-E", "\\-E")] + sentences([why + "."])
    return out + [".El"]


def mentioned(decl, text, header):
    """Definitions of this header that the declarations need, and what those need."""
    found, queue = {}, [decl]
    types = {m.group(1): m.group(0) for m in TYPE.finditer(header)}
    while queue:
        for name in re.findall(r"(?:struct|enum) (\w+)", queue.pop()):
            if name in types and name not in found:
                found[name] = types[name]
                queue.append(types[name])
    text += decl + "".join(found.values())
    defines = []
    for m in DEFINE.finditer(header):
        family = re.match(r"HMM_[A-Z]+_|HMM_(?=READ|WRITE)", m.group(1))
        if m.group(1) in text or family and re.search(family.group(0) + r"\.\.\.", text):
            defines.append(m.group(0))
    return [t for t in types.values() if t in found.values()], defines


class Page:
    def __init__(self, header_name, header, comment, decl):
        lines = plain(comment)
        names, _, what = lines[0].partition(" - ")
        self.names = names.split(", ")
        # Of an inline function what it is called with, not what it does.
        decl = re.sub(r"static inline ([^{]*?)\s*\{.*\}", r"\1;", decl, flags=re.DOTALL)
        self.header_name, self.header, self.decl = header_name, header, decl
        # The summary goes on until the line is empty or a parameter begins.
        rest = lines[1:]
        while rest and rest[0] and not rest[0].startswith("@"):
            what += " " + rest.pop(0)
        self.what, _, more = what.partition(". ")
        self.what = self.what.rstrip(".?")
        self.lines = ([more, ""] if more else []) + rest

    def text(self, version, others):
        types, defines = mentioned(self.decl, " ".join(self.lines), self.header)
        told, failures = [], []
        for block in paragraphs(self.lines):
            text, found = take_errors(block)
            told += text + [""]
            failures += found
        out = ['.\\" SPDX-License-Identifier: LGPL-2.1-or-later',
               f'.\\" Made from {self.header_name} by man/pages.py.',
               ".Dd $Mdocdate$", f".Dt {self.names[0].upper()} 3",
               f".Os libhmm {version}", ".Sh NAME"]
        for name in self.names[:-1]:
            out.append(f".Nm {name} ,")
        out += [f".Nm {self.names[-1]}", ".Nd " + escape(self.what), ".Sh SYNOPSIS"]
        out += [f".In {self.header_name}", ".Pp"] + literal(self.decl)
        for text in types:
            out += [".Pp"] + literal(text)
        if defines:
            out += [".Pp"] + literal("".join(defines))
        out += [".Sh DESCRIPTION"] + (body(told) or sentences([self.what + "."]))
        out += [".Sh RETURN VALUES"]
        if re.match(r"(HMM_API )?int ", self.decl):
            out += ["0 (or a count) on success, a negative error number otherwise;",
                    ".Va errno", "is not set."]
            if "hmm_error" not in self.names:
                out += [".Xr hmm_error 3", "has the sentence for a person."]
        else:
            out += ["As described above."]
        out += errors(failures) if failures else []
        see = sorted(o for o in others if o not in self.names)
        out += [".Sh SEE ALSO", ".Xr hmm 1"]
        if see:
            out[-1] += " ,"
            out += [f".Xr {name} 3 ," for name in see[:-1]] + [f".Xr {see[-1]} 3"]
        return "\n".join(out) + "\n"


def read_pages(path):
    with open(path, encoding="utf-8") as file:
        header = file.read()
    name = "hmm/" + os.path.basename(path)
    return [Page(name, header, m.group("text"), m.group("decl"))
            for m in COMMENT.finditer(header)]


def main():
    args = [a for a in sys.argv[1:] if a != "--list"]
    outdir, version, headers = args[0], args[1], args[2:]
    for path in headers:
        pages = read_pages(path)
        for page in pages:
            if "--list" in sys.argv:
                print(" ".join(page.names))
                continue
            target = os.path.join(outdir, page.names[0] + ".3")
            with open(target, "w", encoding="utf-8") as file:
                file.write(page.text(version, [p.names[0] for p in pages]))


if __name__ == "__main__":
    main()
