#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Can a stranger build against what is installed, with nothing but pkg-config?
top=$1
build=$2
. "$top/tests/build/common.sh"
need meson pkg-config cc

[ -f "$build/src/libhmm.so" ] || skip "libhmm.so is not built here"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DESTDIR=$work/root meson install -C "$build" --no-rebuild --quiet

found=$(find "$work/root" -name 'libhmm*.pc')
[ -n "$found" ] || {
	echo "no pkg-config file was installed"
	exit 1
}
libdir=$(dirname "$(dirname "$(echo "$found" | head -n 1)")")
PKG_CONFIG_PATH=$libdir/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$work/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR

cat >"$work/app.c" <<'END'
#include <stdio.h>
#include <string.h>
#include <hmm/hmm.h>
#ifdef DRIVER
#define STRING(x) #x
#define HEADER(x) STRING(hmm/x.h)
#define FEATURES_(x) hmm_##x##_features
#define FEATURES(x) FEATURES_(x)
#include HEADER(DRIVER)
#endif

int main(void)
{
	struct hmm_feature features[32];
	int n = hmm_features(features, 32, sizeof(*features));

#ifdef DRIVER
	n = FEATURES(DRIVER)(features, 32, sizeof(*features));
#endif
	printf("%s, %d features\n", hmm_version(), n);
	return n < 1 || strcmp(hmm_version(), VERSION);
}
END

for pc in $found; do
	name=$(basename "$pc" .pc)
	define=
	[ "$name" = libhmm ] || define=-DDRIVER=${name#libhmm-}
	# shellcheck disable=SC2046,SC2086
	cc -Wall -Werror $define "-DVERSION=\"$(pkg-config --modversion "$name")\"" \
		$(pkg-config --cflags "$name") "$work/app.c" -o "$work/app" \
		$(pkg-config --libs "$name")
	echo "$name: $(LD_LIBRARY_PATH=$libdir "$work/app")"
	readelf -d "$work/app" | grep -q "NEEDED.*$name\.so" || {
		echo "a program built with $name is not linked with it"
		exit 1
	}
done

# What must not be installed: test builds, static parts, and what cannot be used alone.
if find "$work/root" -name '*debug*' -o -name '*.a' | grep .; then
	echo "the files above are not for users"
	exit 1
fi
for page in hmm.1 hmm_open.3 hmm_translate.3; do
	[ -n "$(find "$work/root" -name "$page")" ] || {
		echo "$page was not installed"
		exit 1
	}
done
find "$work/root" -name '*.h' | sed 's|.*/include/||' | sort >"$work/have"
(cd "$top/include" && find . -name '*.h' | sed 's|^\./||' | sort) >"$work/want"
diff "$work/want" "$work/have" || {
	echo "these headers are not installed, or should not be"
	exit 1
}
