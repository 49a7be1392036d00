#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Do the unit and conformance tests pass on another processor, with Debian's kernel for it?
#
#	arch.sh ppc64le|arm64 [COMMAND...]
#
# Full-system emulation: userfaultfd, io_uring and the page size are the kernel's of that
# machine (64 KiB pages on ppc64le). Debian's packages of that architecture are unpacked in
# the cache, none is installed; the build goes there too. COMMAND runs in /t, where the
# build is, instead of the tests.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/libhmm/arch

fail()
{
	echo "lab: $*" >&2
	exit 77
}

case ${1:-} in
ppc64le)
	deb=ppc64el triplet=powerpc64le-linux-gnu family=ppc64 flavour=powerpc64le
	qemu=qemu-system-ppc64 console=hvc0 package=qemu-system-ppc
	# The mitigations that a processor in software does not have.
	machine=pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off
	;;
arm64)
	deb=arm64 triplet=aarch64-linux-gnu family=aarch64 flavour=arm64
	qemu=qemu-system-aarch64 console=ttyAMA0 package=qemu-system-arm
	machine="virt -cpu max,pauth-impdef=on"
	;;
*)
	echo "usage: ./run lab --arch ppc64le|arm64 [COMMAND...]" >&2
	exit 2
	;;
esac
shift
[ "${1:-}" != -- ] || shift
root=$cache/$deb/root kernel=$cache/$deb/kernel build=$cache/$deb/build
for program in "$triplet-gcc:gcc-$(echo $triplet | sed s/powerpc64le/powerpc64le/)" \
	"$qemu:$package" cpio:cpio meson:meson dpkg-deb:dpkg; do
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

fetch()
{
	mkdir -p "$cache/$deb/apt/state/lists/partial" "$cache/$deb/apt/cache/archives/partial" \
		"$root" "$kernel"
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
		awk '$1 ~ /\/debian\/?$/ && $2 == "bookworm" {print $1; exit}')
	[ -n "$mirror" ] || fail "this system's apt has no Debian 12 to take packages from"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	echo "deb [arch=$deb signed-by=$keys] $mirror bookworm main" >"$cache/$deb/apt/sources.list"
	: >"$cache/$deb/apt/status"
	echo "lab: fetching Debian's $deb packages into $cache" >&2
	own_apt apt-get update >/dev/null || fail "apt-get update for $deb failed"
	own_apt apt-get -y --no-install-recommends -d install libc6-dev liburing-dev \
		libjansson-dev libbsd-dev busybox-static >/dev/null || fail "no packages of $deb"
	image=$(own_apt apt-cache search --names-only "^linux-image-6\.1\.0-[0-9]*-$flavour\$" |
		sort -V | awk 'END {print $1}')
	(cd "$cache/$deb/apt/cache" && own_apt apt-get download "$image" >/dev/null) ||
		fail "no kernel of $deb"
	for package in "$cache/$deb/apt/cache/archives"/*.deb; do
		dpkg-deb -x "$package" "$root"
	done
	dpkg-deb -x "$cache/$deb/apt/cache/$image"*.deb "$kernel"
	rm -rf "$cache/$deb/apt"
	touch "$cache/$deb/ready"
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
	[ -f "$build/build.ninja" ] ||
		meson setup "$build" "$top" --cross-file "$cache/$deb/cross.ini" >"$cache/$deb/log" ||
		fail "meson: see $cache/$deb/log"
	ninja -C "$build" >"$cache/$deb/log" || {
		cat "$cache/$deb/log" >&2
		exit 1
	}
}

# Everything in one initramfs: libc, the two libraries, and what was built.
pack()
{
	image=$1
	mkdir -p "$image/bin" "$image/proc" "$image/sys" "$image/dev" "$image/tmp" "$image/run" \
		"$image/var/tmp" "$image/etc" "$image/t" "$image/lib/$triplet" "$image/usr/lib/$triplet"
	cp "$root/bin/busybox" "$image/bin/"
	cp -a "$root/lib/$triplet"/*.so* "$image/lib/$triplet/"
	cp -a "$root/usr/lib/$triplet"/liburing.so.* "$root/usr/lib/$triplet"/libjansson.so.* \
		"$image/usr/lib/$triplet/"
	[ ! -d "$root/lib64" ] || cp -a "$root/lib64" "$image/"
	for loader in "$root"/lib/ld-linux*; do
		[ ! -e "$loader" ] || cp -a "$loader" "$image/lib/"
	done
	(cd "$build" && find src drivers cli tests \( -name '*.p' -prune \) -o \
		\( -name '*.so*' -o -type f -perm -u+x \) -print | cpio -pdm --quiet "$image/t")
	find "$image/t" -type f -exec "$triplet-strip" -g {} + 2>/dev/null || true
	install -m 755 "$top/tests/vm/arch-init" "$image/init"
	printf '%s\n' "$2" >"$image/command"
	(cd "$image" && find . | cpio -o -H newc --quiet | gzip -1) >"$image.gz"
}

[ -f "$cache/$deb/ready" ] || fetch
cross_build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
if [ $# -gt 0 ]; then
	command="$*"
else
	command="sh /init tests"
fi
pack "$work/image" "$command"
# shellcheck disable=SC2086
timeout "${HMM_LAB_TIMEOUT:-1800}" $qemu -M $machine -accel tcg,thread=multi -smp 2 -m 3G \
	-nographic -no-reboot -nodefaults -serial stdio -kernel "$kernel"/boot/vmlinu* \
	-initrd "$work/image.gz" -append "console=$console quiet panic=-1" </dev/null |
	tee "$work/log"
if grep -q -E 'WARNING: |BUG: |Oops|Kernel panic' "$work/log"; then
	echo "lab: the kernel complained" >&2
	exit 1
fi
status=$(sed -n 's/^lab: exit status \([0-9]*\).*/\1/p' "$work/log" | tail -1)
exit "${status:-1}"
