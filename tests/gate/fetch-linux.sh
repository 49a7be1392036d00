#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Which Linux trees can exportgate be measured and checked against?
#
# Fetches Debian's packages of a kernel release (its source, its built modules and
# the Module.symvers of its headers, all of one version) and unpacks them into
#   ${XDG_CACHE_HOME:-~/.cache}/exportgate/linux/RELEASE/{src,modules,Module.symvers}
# Nothing is installed and apt's own state is not touched: the package lists live in
# the cache too. The mirror is the one that this system already uses.
#
# usage: fetch-linux.sh RELEASE...      for example: fetch-linux.sh 6.1 6.12 7.2
# shellcheck disable=SC2016,SC2012 # the words in quotes are apt's own; the names are ours
set -eu

top=${XDG_CACHE_HOME:-$HOME/.cache}/exportgate
aptdir=$top/apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
	echo "fetch-linux: $*" >&2
	exit 1
}

[ $# -gt 0 ] || die "name the releases, for example: fetch-linux.sh 6.1 6.12 7.2"
for tool in apt-get dpkg-deb xz tar; do
	command -v $tool >/dev/null || die "$tool is missing; this needs a Debian system"
done

# The mirror that serves this system's own release, whatever it is called.
mirror_of() {
	apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' |
		awk -F'|' -v want="$1" '$2 == want { print $1; exit }'
}

private_apt() {
	tool=$1
	shift
	"$tool" -o Dir::State="$aptdir/state" -o Dir::State::status="$aptdir/state/status" \
		-o Dir::Cache="$aptdir/cache" -o Dir::Etc::sourcelist="$aptdir/sources.list" \
		-o Dir::Etc::sourceparts=/nonexistent -o Acquire::Languages=none \
		-o APT::Architecture=amd64 -o APT::Architectures::=amd64 \
		-o Debug::NoLocking=1 "$@"
}

set_up_apt() {
	base=$(mirror_of bookworm)
	[ -n "$base" ] || die "apt has no source for Debian 12 (bookworm); run apt-get update"
	security=$(mirror_of bookworm-security)
	mkdir -p "$aptdir/state/lists/partial" "$aptdir/cache/archives/partial"
	: >"$aptdir/state/status"
	{
		for suite in bookworm bookworm-backports trixie-backports; do
			echo "deb [signed-by=$keyring] $base $suite main"
		done
		[ -z "$security" ] ||
			echo "deb [signed-by=$keyring] $security bookworm-security main"
	} >"$aptdir/sources.list"
	private_apt apt-get update -qq || die "apt-get update failed; is the mirror reachable?"
	private_apt apt-cache dumpavail >"$aptdir/avail"
}

# Names of the packages of version $1 that match the pattern $2.
packages_of() {
	awk -v v="$1" -v pat="$2" '/^Package:/ { p = $2 }
		/^Version:/ && $2 == v && p ~ pat { print p }' "$aptdir/avail" |
		grep -v -E 'cloud|rt-amd64|-dbg$|template$|unsigned' | sort -u
}

unpack() { # package version folder
	dir=$aptdir/debs
	mkdir -p "$dir" "$3"
	(cd "$dir" && private_apt apt-get download -qq "$1=$2") || die "cannot fetch $1 $2"
	deb=$(ls -t "$dir/$1"_*.deb | head -n 1)
	dpkg-deb -x "$deb" "$3"
	rm -f "$deb"
}

fetch() {
	rel=$1
	out=$top/linux/$rel
	if [ -e "$out/.complete" ]; then
		echo "$rel: $(cat "$out/.complete") is in $out"
		return
	fi
	version=$(private_apt apt-cache show --no-all-versions "linux-source-$rel" |
		awk '/^Version:/ { print $2; exit }')
	[ -n "$version" ] || die "no package linux-source-$rel on the mirror"
	rm -rf "$out" && mkdir -p "$out/pkg"
	unpack "linux-source-$rel" "$version" "$out/pkg"
	mkdir "$out/src"
	tar -C "$out/src" --strip-components=1 -xf "$out/pkg/usr/src/linux-source-$rel.tar.xz"
	for p in $(packages_of "$version" '^linux-(image|modules|headers)-[0-9.]+.*-amd64$'); do
		case $p in
		*-"$rel"-amd64) ;; # the meta package
		*) unpack "$p" "$version" "$out/pkg" ;;
		esac
	done
	mods=$(find "$out/pkg" -type d -path '*/lib/modules/*' -name kernel | head -n 1)
	[ -n "$mods" ] || die "$rel: the packages of version $version hold no modules"
	mv "$mods" "$out/modules"
	find "$out/modules" -name '*.ko.xz' -print0 | xargs -0 -r -n 64 -P 2 xz -d
	cp "$(find "$out/pkg" -name Module.symvers | head -n 1)" "$out/Module.symvers"
	cp "$(find "$out/pkg/boot" -name 'config-*' | head -n 1)" "$out/config" 2>/dev/null || :
	rm -rf "$out/pkg"
	echo "$version" >"$out/.complete"
	echo "$rel: $version is in $out"
}

set_up_apt
for rel; do
	fetch "$rel"
done
