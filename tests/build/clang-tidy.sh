#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does clang-tidy find nothing? What it looks for, and why not the rest, is in .clang-tidy.
top=$1
build=$2
. "$top/tests/build/common.sh"
need clang-tidy

cd "$top"
units=$(python3 - "$top" "$build" <<'END'
import json, os, sys
top, build = sys.argv[1:]
with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
    paths = {os.path.relpath(os.path.join(c["directory"], c["file"]), top)
             for c in json.load(file)}
print("\n".join(sorted(p for p in paths
                       if p.startswith(("src/", "drivers/", "cli/", "gate/")))))
END
)
echo "$(echo "$units" | wc -l) units"
# The warnings that gcc knows and clang does not are not clang-tidy's business.
echo "$units" | xargs -P "$(nproc)" -n 8 clang-tidy -p "$build" --quiet \
	--extra-arg=-Wno-unknown-warning-option 2>&1 |
	grep -v 'warnings generated\|warning generated\|Suppressed .* warnings\|^Use -header-filter' \
		>"$build/clang-tidy.log" || :
cat "$build/clang-tidy.log"
! grep -q 'warning:\|error:' "$build/clang-tidy.log"
