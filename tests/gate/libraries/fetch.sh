#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Which C libraries can exportgate be compared with?
#
# Fetches Debian 12's source packages, unpacked and patched, and the shared objects of the
# binary packages that were made of them, into
#   ${XDG_CACHE_HOME:-~/.cache}/exportgate/libraries/SOURCE/{src,bin}
# Nothing is installed and apt's own state is not touched: the package lists lie in
# the cache too. The mirror is the one that this system already uses.
#
# usage: fetch.sh [SOURCE...]      without names: the list in the file packages
# shellcheck disable=SC2016 # the words in quotes are apt's own
set -eu

here=$(dirname "$0")
top=${XDG_CACHE_HOME:-$HOME/.cache}/exportgate
aptdir=$top/apt-libraries
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
	echo "fetch: $*" >&2
	exit 1
}

for tool in apt-get dpkg-deb dpkg-source tar; do
	command -v $tool >/dev/null || die "$tool is missing; this needs a Debian system"
done

private_apt() {
	tool=$1
	shift
	"$tool" -o Dir::State="$aptdir/state" -o Dir::State::status="$aptdir/state/status" \
		-o Dir::Cache="$aptdir/cache" -o Dir::Etc::sourcelist="$aptdir/sources.list" \
		-o Dir::Etc::sourceparts=/nonexistent -o Acquire::Languages=none \
		-o APT::Architecture=amd64 -o APT::Architectures::=amd64 \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}

set_up_apt() {
	base=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' |
		awk -F'|' '$2 == "bookworm" { print $1; exit }')
	[ -n "$base" ] || die "apt has no source for Debian 12 (bookworm); run apt-get update"
	mkdir -p "$aptdir/state/lists/partial" "$aptdir/cache/archives/partial"
	: >"$aptdir/state/status"
	for kind in deb deb-src; do
		echo "$kind [signed-by=$keyring] $base bookworm main"
	done >"$aptdir/sources.list"
	private_apt apt-get update -qq || die "apt-get update failed; is the mirror reachable?"
	private_apt apt-cache dumpavail >"$aptdir/avail"
}

# The binary packages that were made of the source $1 and may hold shared objects.
binaries_of() {
	awk -v want="$1" '
		/^Package:/ { p = $2; s = $2 }
		/^Source:/ { s = $2 }
		/^$/ { if (s == want) print p; p = s = "" }
		END { if (s == want) print p }' "$aptdir/avail" |
		grep -v -E -e '-(dev|doc|dbg|dbgsym|static|udeb|tests|examples|common|data|i18n|locales)$' \
			-e '^(ruby|lua|php|golang|perl)' -e '(-perl|-java|-jni|-tcl)$' | sort -u
}

fetch() {
	src=$1
	out=$top/libraries/$src
	[ ! -e "$out/.complete" ] || return 0
	rm -rf "$out"
	mkdir -p "$out/debs" "$out/bin"
	(cd "$out" && private_apt apt-get source -qq --only-source "$src" >log 2>&1) ||
		{
			echo "$src: the mirror does not give its source; see $out/log"
			missing="$missing $src"
			return 0
		}
	find "$out" -mindepth 1 -maxdepth 1 -type d ! -name debs ! -name bin -exec mv {} "$out/src" \;
	[ -d "$out/src" ] || die "$src: nothing was unpacked"
	for p in $(binaries_of "$src"); do
		(cd "$out/debs" && private_apt apt-get download -qq "$p" 2>>../log) || echo "$src: no $p"
	done
	for deb in "$out"/debs/*.deb; do
		dpkg-deb -x "$deb" "$out/bin"
	done
	# only what a comparison needs is kept
	find "$out/bin" -type f ! -name '*.so*' -delete
	rm -rf "$out/debs"
	find "$out" -maxdepth 1 -type f ! -name log -delete
	touch "$out/.complete"
	echo "$src: $(find "$out/bin" -type f -name '*.so*' | wc -l) shared objects"
}

set_up_apt
# shellcheck disable=SC2046 # a word a package
[ $# -gt 0 ] || set -- $(grep -v '^#' "$here/packages")
missing=
for src; do
	fetch "$src"
done
[ -z "$missing" ] || die "not there:$missing"
