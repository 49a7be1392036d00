#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# How is the tree built for another processor, and packed for a guest?
#
#	arch.sh build ARCH KERNEL	builds; prints the build's folder and the kernel's file
#	arch.sh pack ARCH DIR		makes DIR/image.gz of the build and DIR/command
#
# ARCH is ppc64le or arm64, KERNEL 6.1 or 6.12. Debian's packages of that architecture are
# unpacked in the cache, none is installed; the build goes there too. arch.py calls this.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/libhmm/arch

fail()
{
	echo "lab: $*" >&2
	exit 77
}

verb=$1
case $2 in
ppc64le)
	deb=ppc64el triplet=powerpc64le-linux-gnu family=ppc64 flavour=powerpc64le
	compiler=gcc-powerpc64le-linux-gnu
	;;
arm64)
	deb=arm64 triplet=aarch64-linux-gnu family=aarch64 flavour=arm64
	compiler=gcc-aarch64-linux-gnu
	;;
*)
	fail "there is no machine '$2'"
	;;
esac
root=$cache/$deb/root
# Each tree has a build of its own.
build=$cache/$deb/build-$(echo "$top" | cksum | cut -d ' ' -f 1)
for program in "$triplet-gcc:$compiler" cpio:cpio meson:meson ninja:ninja-build \
	dpkg-deb:dpkg; do
	command -v "${program%%:*}" >/dev/null ||
		fail "${program%%:*} is missing; as root: apt-get install ${program#*:}"
done

# apt-get and apt-cache with a state of their own, for the other architecture.
own_apt()
{
	tool=$1
	shift
	"$tool" -q -o Dir::State="$cache/$deb/apt/state" -o APT::Sandbox::User="$(id -un)" \
		-o Dir::State::status="$cache/$deb/apt/status" \
		-o Dir::Cache="$cache/$deb/apt/cache" -o Dir::Etc::sourceparts=/nonexistent \
		-o Dir::Etc::sourcelist="$cache/$deb/apt/sources.list" \
		-o APT::Architecture=$deb -o APT::Architectures::=$deb \
		-o Acquire::Languages=none "$@"
}

update()
{
	rm -rf "$cache/$deb/apt"
	mkdir -p "$cache/$deb/apt/state/lists/partial" "$cache/$deb/apt/cache/archives/partial"
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk '$1 ~ /\/debian\/?$/ && $2 == "bookworm" {print $1; exit}')
	[ -n "$mirror" ] || fail "this system's apt has no Debian 12 to take packages from"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	for suite in bookworm bookworm-backports; do
		echo "deb [arch=$deb signed-by=$keys] $mirror $suite main"
	done >"$cache/$deb/apt/sources.list"
	: >"$cache/$deb/apt/status"
	echo "lab: fetching Debian's $deb packages into $cache" >&2
	own_apt apt-get update >/dev/null || fail "apt-get update for $deb failed"
}

fetch_root()
{
	mkdir -p "$root"
	own_apt apt-get -y --no-install-recommends -d install libc6-dev liburing-dev \
		libjansson-dev libbsd-dev busybox-static >/dev/null || fail "no packages of $deb"
	for package in "$cache/$deb/apt/cache/archives"/*.deb; do
		dpkg-deb -x "$package" "$root"
	done
	touch "$cache/$deb/ready"
}

# fetch_kernel SERIES: the newest of it.
fetch_kernel()
{
	image=$(own_apt apt-cache search --names-only "^linux-image-$1\\.[^-]*.*-$flavour\$" |
		awk '{print $1}' | grep -v -e -rt- -e -cloud- | sort -V | tail -n 1)
	[ -n "$image" ] || fail "Debian 12 and its backports have no kernel $1 of $deb"
	(cd "$cache/$deb/apt/cache" && own_apt apt-get download "$image" >/dev/null) ||
		fail "no kernel of $deb"
	rm -rf "$cache/$deb/new"
	dpkg-deb -x "$cache/$deb/apt/cache/$image"_*.deb "$cache/$deb/new"
	mv "$(find "$cache/$deb/new/boot" -name 'vmlinu*')" "$cache/$deb/kernel-$1"
	rm -rf "$cache/$deb/new"
}

fetch()
{
	if [ ! -f "$cache/$deb/ready" ] || [ ! -f "$cache/$deb/kernel-$1" ]; then
		update
		[ -f "$cache/$deb/ready" ] || fetch_root
		[ -f "$cache/$deb/kernel-$1" ] || fetch_kernel "$1"
		rm -rf "$cache/$deb/apt"
	fi
}

cross_build()
{
	cat >"$cache/$deb/cross.ini" <<-END
		[binaries]
		c = '$triplet-gcc'
		ar = '$triplet-ar'
		strip = '$triplet-strip'
		pkgconfig = 'pkg-config'
		[properties]
		sys_root = '$root'
		pkg_config_libdir = '$root/usr/lib/$triplet/pkgconfig'
		needs_exe_wrapper = true
		[built-in options]
		c_args = ['--sysroot=$root']
		c_link_args = ['--sysroot=$root']
		[host_machine]
		system = 'linux'
		cpu_family = '$family'
		cpu = '$family'
		endian = 'little'
	END
	echo "lab: building for $deb" >&2
	[ -f "$build/build.ninja" ] ||
		meson setup "$build" "$top" --cross-file "$cache/$deb/cross.ini" >"$cache/$deb/log" ||
		fail "meson: see $cache/$deb/log"
	ninja -C "$build" >"$cache/$deb/log" || {
		cat "$cache/$deb/log" >&2
		exit 1
	}
}

# Everything in one initramfs: libc, the two libraries, and what was built, at its own path.
pack()
{
	image=$1/image
	mkdir -p "$image/bin" "$image/proc" "$image/sys" "$image/dev" "$image/tmp" "$image/run" \
		"$image/var/tmp" "$image/etc" "$image/lib/$triplet" "$image/usr/lib/$triplet" \
		"$image/$build"
	cp "$root/bin/busybox" "$image/bin/"
	cp -a "$root/lib/$triplet"/*.so* "$image/lib/$triplet/"
	cp -a "$root/usr/lib/$triplet"/liburing.so.* "$root/usr/lib/$triplet"/libjansson.so.* \
		"$image/usr/lib/$triplet/"
	[ ! -d "$root/lib64" ] || cp -a "$root/lib64" "$image/"
	for loader in "$root"/lib/ld-linux*; do
		[ ! -e "$loader" ] || cp -a "$loader" "$image/lib/"
	done
	(cd "$build" && find src drivers cli tests examples \( -name '*.p' -prune \) -o \
		\( -name '*.so*' -o -type f -perm -u+x \) -print |
		cpio -pdm --quiet "$image/$build")
	find "$image/$build" -type f -exec "$triplet-strip" -g {} + 2>/dev/null || true
	install -m 755 "$top/tests/vm/arch-init" "$image/init"
	echo "$build" >"$image/cwd"
	cp "$1/command" "$image/command"
	(cd "$image" && find . | cpio -o -H newc --quiet | gzip -1) >"$1/image.gz"
}

case $verb in
build)
	mkdir -p "$cache/$deb"
	exec 9>"$cache/$deb/lock"
	flock 9
	fetch "$3"
	cross_build
	printf '%s\n%s\n' "$build" "$cache/$deb/kernel-$3"
	;;
pack)
	pack "$3"
	;;
*)
	fail "usage: arch.sh build ARCH KERNEL | arch.sh pack ARCH DIR"
	;;
esac
