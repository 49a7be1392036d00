#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Does every symbol of the driver API have a consumer, and would a missing one be seen?
#
# usage: own-tree.sh EXPORTGATE SOURCE-TREE
set -eu
tool=$1
tree=$2
if [ ! -f "$tree/src/libhmm.map" ]; then
	echo "skipped: the tree has no library yet (src/libhmm.map)"
	exit 77
fi

fail() {
	echo "own-tree: $*" >&2
	exit 1
}

"$tool" -n check "$tree" || fail "the tree's own policy is not kept"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/tree"
for part in .exportgate include src drivers cli; do
	cp -r "$tree/$part" "$tmp/tree/"
done
cd "$tmp/tree"
"$tool" -n check . >/dev/null 2>&1 || fail "the copy does not pass"

# A symbol that nobody uses ...
map=src/libhmm.map
sed 's/^HMM_DRIVER_.*{$/&/; /^HMM_DRIVER_/,/};/s/global:/global:\
	hmm_device_forgotten;/' "$map" >"$tmp/map" && cp "$tmp/map" "$map"
grep -q hmm_device_forgotten "$map" || fail "could not add a symbol to $map"
cat >src/core/forgotten.c <<'END'
int hmm_device_forgotten(void);
int hmm_device_forgotten(void)
{
	return 0;
}
END
status=0
"$tool" -n check . >"$tmp/out" 2>/dev/null || status=$?
[ $status -eq 1 ] || fail "an unused driver-API symbol gave exit status $status, not 1"
grep -q "^$map:[0-9]*: error: consumed: hmm_device_forgotten: " "$tmp/out" ||
	fail "the violation is not named: $(cat "$tmp/out")"

# ... or only the library itself, or only a test ...
echo 'int own_use(void); int own_use(void) { return hmm_device_forgotten(); }' \
	>>src/core/forgotten.c
mkdir tests
echo 'int main(void) { return hmm_device_forgotten(); }' >tests/uses.c
status=0
"$tool" -n check . >/dev/null 2>&1 || status=$?
[ $status -eq 1 ] || fail "a use in the library and in a test was taken for a consumer"

# ... until a driver uses it.
echo 'int ref_use(void); int ref_use(void) { return hmm_device_forgotten(); }' \
	>drivers/ref/uses.c
"$tool" -n check . >/dev/null 2>&1 || fail "a use in a driver was not seen"
echo "own-tree: kept, and a forgotten symbol is found"
