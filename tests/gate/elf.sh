#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Does exportgate find in built objects what it finds in their source, and explain the rest?
#
# usage: elf.sh EXPORTGATE
set -eu
tool=$1
command -v cc >/dev/null || { echo "skipped: no C compiler"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
fail() {
	echo "elf: $*" >&2
	cat out >&2 || :
	exit 1
}

# Modules as objects: __ksymtab_X marks an export, an undefined symbol an import.
mkdir -p src/drv src/include/linux built/drv
printf '#define EXPORT_SYMBOL_GPL(s)\n' >src/include/linux/export.h
printf 'config A\n\ttristate "a"\n' >src/Kconfig
printf 'obj-$(CONFIG_A) += core.o user.o other.o\n' >src/drv/Makefile
cat >src/drv/core.c <<'END'
#include <linux/export.h>
int taken(void) { return 0; }
EXPORT_SYMBOL_GPL(taken);
int spare(void) { return 0; }
EXPORT_SYMBOL_GPL(spare);
int elsewhere(void) { return 0; }
EXPORT_SYMBOL_GPL(elsewhere);
END
printf 'int taken(void);\nint u(void) { return taken(); }\n' >src/drv/user.c
printf 'int elsewhere(void);\nint o(void) { return elsewhere(); }\n' >src/drv/other.c
sed 's/^EXPORT_SYMBOL_GPL(\(.*\));/int __ksymtab_\1;/; /^#/d' src/drv/core.c >core.c
cc -c -o built/drv/core.ko core.c
cc -c -o built/drv/user.ko src/drv/user.c

"$tool" -n -a scan --elf built >out || fail "scan --elf failed"
grep -q '^taken .*drv/core *1 importers, first drv/user' out || fail "taken has no importer"
grep -q '^spare .*0 importers' out || fail "spare has importers"
grep -q '^2 objects, 3 exports, 2 that no object imports' out || fail "the sum is wrong"

"$tool" -n scan --elf built src >out || fail "both agree, but the comparison fails"
grep -q '^ *2  the same in both' out || fail "taken and spare differ"
grep -q '^ *1  other configuration: its consumers are not built' out ||
	fail "elsewhere is not explained"

# An export that no line shows: a program of the tree writes one, a macro names the other.
cat >src/drv/gen.c <<'END'
int main(void)
{
	printf("EXPORT_SYMBOL(written);\n");
}
END
cat >>src/drv/core.c <<'END'
#define OWN(name) name##_v2
int OWN(named)(void) { return 0; }
EXPORT_SYMBOL_GPL(OWN(named));
END
# ... or a header that is included for each format, by way of another header.
cat >src/drv/each.h <<'END'
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define fmt_init JOIN(JOIN(fmt_, FMT), _init)
#define FN(op) JOIN(JOIN(FMT, _), op)
int fmt_init(void);
EXPORT_SYMBOL_GPL(fmt_init);
EXPORT_SYMBOL_GPL(FN(fmt_done));
END
echo '#include "each.h"' >src/drv/between.h
printf '#define FMT red\n#include "between.h"\n' >>src/drv/core.c
printf 'int __ksymtab_written, __ksymtab_named_v2, __ksymtab_lost;\n' >more.c
printf 'int __ksymtab_fmt_red_init, __ksymtab_red_fmt_done;\n' >>more.c
cc -c -o built/drv/more.o more.c && ld -r -o built/drv/core2.ko built/drv/core.ko built/drv/more.o
mv built/drv/core2.ko built/drv/core.ko
rm built/drv/more.o
"$tool" -n scan --elf built src >out || fail "unseen exports failed the comparison"
grep -q '^ *1  made by a compiler or a generator' out || fail "written is not explained"
grep -q '^ *3  renamed: ' out || fail "named_v2, fmt_red_init or red_fmt_done is not explained"
grep -q '^lost: error: it is built' out || fail "lost was explained away"

# An import that the source does not show is an error.
printf 'int spare(void);\nint u2(void) { return spare(); }\n' >hidden.c
cc -c -o built/drv/hidden.ko hidden.c
status=0
"$tool" -n scan --elf built src >out || status=$?
[ $status -eq 1 ] || fail "an unseen consumer gave exit status $status"
grep -q '^spare: error: built objects import it' out || fail "spare is not named"

# Module.symvers, if there, says what is exported.
printf '0x1\ttaken\tdrv/core\tEXPORT_SYMBOL_GPL\t\n0x2\tmade\tvmlinux\tEXPORT_SYMBOL\tNS\n' \
	>built/Module.symvers
"$tool" -n -a scan --elf built >out || fail "scan with Module.symvers failed"
grep -q '^made .*EXPORT_SYMBOL *vmlinux *0 importers' out || fail "made is missing"

# Shared libraries.
mkdir lib
printf 'int pub(void) { return 0; }\n__attribute__((visibility("hidden"))) int hid(void) { return 0; }\n' >l.c
printf 'int pub(void);\nint call(void) { return pub(); }\n' >c.c
cc -shared -fPIC -o lib/libl.so l.c
cc -shared -fPIC -o lib/libc1.so c.c
"$tool" -n -a scan --elf lib >out || fail "scan of libraries failed"
grep -q '^pub .*libl.so *1 importers' out || fail "pub has no importer"
! grep -q '^hid ' out || fail "a hidden symbol is listed"
status=0
"$tool" -n scan --elf /nonexistent >out 2>&1 || status=$?
[ $status -eq 3 ] || fail "a folder that is not there gave exit status $status"
echo "elf: objects and source agree"
