#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Does exportgate series judge mailboxes and commit ranges by each rule, and refuse what it
# cannot read?
#
# usage: series.sh EXPORTGATE
set -eu
tool=$1
command -v git >/dev/null || { echo "skipped: git is not installed"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export HOME="$tmp" XDG_CACHE_HOME="$tmp" EXPORTGATE_TODAY=2026-06-01
export GIT_AUTHOR_NAME="A Author" GIT_AUTHOR_EMAIL=author@example.org
export GIT_COMMITTER_NAME="A Author" GIT_COMMITTER_EMAIL=author@example.org
failed=0
passed=0

check() { # what expected-status pattern...
	what=$1
	want=$2
	shift 2
	if [ "$status" != "$want" ]; then
		echo "FAIL $what: exit status $status, not $want"
		cat "$tmp/out"
		failed=$((failed + 1))
		return
	fi
	for pattern; do
		case $pattern in
		!*) if grep -q -e "${pattern#!}" "$tmp/out"; then
			echo "FAIL $what: the output has '${pattern#!}'"
			cat "$tmp/out"
			failed=$((failed + 1))
			return
		fi ;;
		*) if ! grep -q -e "$pattern" "$tmp/out"; then
			echo "FAIL $what: no '$pattern' in the output"
			cat "$tmp/out"
			failed=$((failed + 1))
			return
		fi ;;
		esac
	done
	passed=$((passed + 1))
}

series() {
	status=0
	"$tool" -n -C "$tmp/repo" series "$@" >"$tmp/out" 2>&1 || status=$?
}

stamp=1700000000
commit() { # message on standard input
	stamp=$((stamp + 60))
	git -C "$tmp/repo" add -A
	GIT_AUTHOR_DATE="$stamp +0000" GIT_COMMITTER_DATE="$stamp +0000" \
		git -C "$tmp/repo" commit -q -F -
}

# ---- a tree: a core module, a user module, who maintains them, two releases
git init -q -b main "$tmp/repo"
cd "$tmp/repo"
mkdir -p drv net include/linux
printf '#define EXPORT_SYMBOL(s)\n#define EXPORT_SYMBOL_GPL(s)\n' >include/linux/export.h
printf 'config CORE\n\ttristate "c"\nconfig USER\n\ttristate "u"\n' >Kconfig
printf 'obj-$(CONFIG_CORE) += core.o\nobj-$(CONFIG_USER) += user.o\n' >drv/Makefile
printf 'obj-m += old.o\n' >net/Makefile
printf '#include <linux/export.h>\n\nint old_one(void)\n{\n\treturn 1;\n}\n' >drv/core.c
printf 'int old_one(void);\nint user(void)\n{\n\treturn old_one();\n}\n' >drv/user.c
printf '#include <linux/export.h>\nint net_ok;\n' >net/old.c
cat >MAINTAINERS <<'END'
USER DRIVER
M:	U Maintainer <user@example.org>
F:	drv/user*

CORE
M:	C Maintainer <core@example.org>
F:	drv/core*
END
printf '[subsystems]\ndepth = 1\n[rules]\ngpl-only = on\n' >.exportgate
echo "Start" | commit
git tag v1
printf 'EXPORT_SYMBOL_GPL(old_one);\n' >>drv/core.c
printf 'int net_dangles(void)\n{\n\treturn 1;\n}\nEXPORT_SYMBOL_GPL(net_dangles);\n' >>net/old.c
echo "Export two" | commit
git tag v2
echo "int more;" >>drv/user.c
echo "Go on" | commit
git tag v3
base=$(git rev-parse HEAD)

# new_branch NAME: changes are made on it, and become $tmp/NAME.mbox
new_branch() {
	git checkout -q -b "$1" "$base"
}
mailbox() {
	git format-patch -q --stdout "$base" >"$tmp/$1.mbox"
	git checkout -q main
}
add_export() { # name macro
	printf '\nint %s(void)\n{\n\treturn 2;\n}\n%s(%s);\n' "$1" "$2" "$1" >>drv/core.c
}
add_user() {
	printf 'int %s(void);\nint u_%s(void)\n{\n\treturn %s();\n}\n' "$1" "$1" "$1" \
		>>drv/user.c
}
good_message='core: export the new call

The user driver must start the device before it can read from it, and only the
core knows how; so far it pokes the registers itself, which races with the
core. The call is used by drv/user.

Signed-off-by: A Author <author@example.org>
Acked-by: U Maintainer <user@example.org>'

# ---- all rules kept, and renamed, moved, removed
new_branch good
add_export fresh EXPORT_SYMBOL_GPL
echo "$good_message" | commit
add_user fresh
printf 'user: start the device\n\nUse the new call.\n' | commit
mailbox good
series "$tmp/good.mbox"
check "all rules kept" 0 '+ fresh  gpl  drv/core.c' 'rule posted-together *on *kept' \
	'rule motivation *on *kept' 'rule consumer-ack *on *kept' 'rule gpl-only *on *kept' \
	'rule no-new-while-dangling *on *kept' 'rule deadline *on *kept' \
	'rule waiver *on *kept' 'rule consumed *on *kept'
series "$base..good"
check "the same as a commit range" 0 '+ fresh  gpl' 'rule consumer-ack *on *kept'
status=0
"$tool" -n -C "$tmp/repo" --json series "$tmp/good.mbox" >"$tmp/out" 2>&1 || status=$?
check "JSON" 0 '"symbol": "fresh"' '"violations": \[\]'
status=0
"$tool" -n -C "$tmp/repo" --sarif series "$tmp/good.mbox" >"$tmp/out" 2>&1 || status=$?
check "SARIF" 0 '"version": "2.1.0"'

new_branch rename
git mv drv/core.c drv/heart.c
sed 's/core.o/heart.o/' drv/Makefile >m && mv m drv/Makefile
echo "Rename the core" | commit
mailbox rename
series "$tmp/rename.mbox"
check "a rename moves exports" 0 'no export added or removed' '!+ old_one'

# What a later change of the series moves or renames is judged all the same.
new_branch hide
add_export hidden EXPORT_SYMBOL
printf 'core: x\n\nshort\n' | commit
git mv drv/core.c drv/heart.c
sed 's/core.o/heart.o/' drv/Makefile >m && mv m drv/Makefile
echo "Rename the core" | commit
mailbox hide
series "$tmp/hide.mbox"
check "an export, then a rename of its file" 1 'error: consumed: hidden' \
	'error: gpl-only: hidden' 'error: motivation: hidden' '!gpl-only: old_one'
series "$base..hide"
check "the same as a commit range" 1 'error: consumed: hidden' 'error: gpl-only: hidden'

new_branch loosen
sed 's/EXPORT_SYMBOL_GPL(old_one)/EXPORT_SYMBOL(old_one)/' drv/core.c >m && mv m drv/core.c
printf 'core: open old_one\n\nFor everybody.\n' | commit
mailbox loosen
series "$tmp/loosen.mbox"
check "an export opened to any licence" 1 'error: gpl-only: old_one.*is now to those of any' \
	'!consumed: old_one'
git checkout -q loosen
sed 's/EXPORT_SYMBOL(old_one)/EXPORT_SYMBOL_GPL(old_one)/' drv/core.c >m && mv m drv/core.c
echo "Close it again" | commit
mailbox loosen
series "$tmp/loosen.mbox"
check "opened and closed again" 0 'rule gpl-only *on *kept'

new_branch remove
sed '/EXPORT_SYMBOL_GPL(net_dangles)/d' net/old.c >m && mv m net/old.c
echo "Drop an export" | commit
mailbox remove
series "$tmp/remove.mbox"
check "a removal" 0 '- net_dangles  gpl' 'rule deadline *on *kept'

# ---- each rule's failure
new_branch plain
add_export fresh EXPORT_SYMBOL
echo "$good_message" | commit
add_user fresh
echo "user: use it" | commit
mailbox plain
series "$tmp/plain.mbox"
check "gpl-only fails" 1 'drv/core.c:[0-9]*: error: gpl-only: fresh' 'rule consumed *on *kept'

new_branch alone
add_export lonely EXPORT_SYMBOL_GPL
echo "$good_message" | commit
mailbox alone
series "$tmp/alone.mbox"
check "posted-together and consumed fail" 1 'error: posted-together: lonely' \
	'error: consumed: lonely'

new_branch linked
add_export lonely EXPORT_SYMBOL_GPL
printf '%s\nConsumer: https://lists.example.org/r/123\n' "$good_message" | commit
mailbox linked
series "$tmp/linked.mbox"
check "a link to the consumer" 0 'rule posted-together *on *kept'

new_branch silent
add_export fresh EXPORT_SYMBOL_GPL
printf 'core: export fresh\n\nNeeded.\n\nAcked-by: U <user@example.org>\n' | commit
add_user fresh
echo "user: use it" | commit
mailbox silent
series "$tmp/silent.mbox"
check "motivation fails: a phrase" 1 'error: motivation: fresh: .* 1 word' \
	'rule consumer-ack *on *kept'

new_branch nameless
add_export fresh EXPORT_SYMBOL_GPL
printf 'core: export fresh\n\nThis is a very good thing to have for all of us because it makes life\neasier in many ways, and nothing else can do the same at all.\n\nAcked-by: U <user@example.org>\n' | commit
printf 'int fresh(void);\nint other(void)\n{\n\treturn fresh();\n}\n' >drv/zork.c
printf 'obj-m += zork.o\n' >>drv/Makefile
printf 'M:\tU Maintainer <user@example.org>\nF:\tdrv/zork*\n' >m
{ echo "ZORK"; cat m; echo; cat MAINTAINERS; } >n && mv n MAINTAINERS && rm m
echo "zork: use it" | commit
mailbox nameless
series "$tmp/nameless.mbox"
check "motivation fails: nobody named" 1 'error: motivation: fresh: .* who will use'

new_branch unacked
add_export fresh EXPORT_SYMBOL_GPL
echo "$good_message" | grep -v Acked-by | commit
add_user fresh
echo "user: use it" | commit
mailbox unacked
series "$tmp/unacked.mbox"
check "consumer-ack fails" 1 'error: consumer-ack: fresh: .*user@example.org' \
	'rule motivation *on *kept'

new_branch crowded
printf 'int net_more(void)\n{\n\treturn 1;\n}\nEXPORT_SYMBOL_GPL(net_more);\n' >>net/old.c
echo "$good_message" | commit
add_user net_more
echo "user: use it" | commit
mailbox crowded
series "$tmp/crowded.mbox"
check "no-new-while-dangling and deadline fail" 1 \
	'error: no-new-while-dangling: net_more: subsystem net still has net_dangles' \
	'error: deadline: net_dangles: added in v2'

waiver() { # expiry
	printf 'symbol: lonely\nreason: its driver is in review\nowner: A Author <a@example.org>\nexpires: %s\n' "$1" >.exportgate-waivers
}
new_branch waived
waiver 2999-01-01
add_export lonely EXPORT_SYMBOL_GPL
echo "$good_message" | commit
mailbox waived
series "$tmp/waived.mbox"
check "a waiver in the series holds" 0 'rule waiver *on *kept'
series "$base..waived"
check "a waiver in a commit range holds" 0 'rule waiver *on *kept'

new_branch expired
waiver 2020-01-01
add_export lonely EXPORT_SYMBOL_GPL
echo "$good_message" | commit
mailbox expired
series "$tmp/expired.mbox"
check "an expired waiver fails" 1 'error: waiver: lonely'

# ---- encodings
{
	printf 'From a@example.org Mon Sep 17 00:00:00 2001\nFrom: =?iso-8859-1?q?J=F6rg?= <j@example.org>\n'
	printf 'Subject: [PATCH] =?UTF-8?B?w7xiZXI=?= all\nMIME-Version: 1.0\n'
	printf 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n'
	sed '1,/^$/d' "$tmp/alone.mbox" | base64
} >"$tmp/base64.mbox"
series "$tmp/base64.mbox"
check "base64, encoded headers" 1 '^über all (Jörg <j@example.org>)' '+ lonely'
{
	printf 'From a@example.org Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n'
	printf 'Subject: [PATCH] quoted\nContent-Type: text/plain; charset=iso-8859-1\n'
	printf 'Content-Transfer-Encoding: quoted-printable\n\nSch=F6n, =\nsoft break\n'
	sed '1,/^$/d' "$tmp/alone.mbox" | sed 's/=/=3D/g'
} >"$tmp/qp.mbox"
series "$tmp/qp.mbox"
check "quoted-printable" 1 '^quoted (A' '+ lonely'
{
	printf 'From a@example.org Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n'
	printf 'Subject: [PATCH] parts\nContent-Type: multipart/mixed; boundary="xx"\n\n'
	printf -- '--xx\nContent-Type: text/plain\n\n'
	sed '1,/^$/d' "$tmp/alone.mbox"
	printf -- '\n--xx--\n'
} >"$tmp/parts.mbox"
series "$tmp/parts.mbox"
check "multipart" 1 '^parts (A' '+ lonely'
sed 's/$/\r/' "$tmp/alone.mbox" >"$tmp/crlf.mbox"
series "$tmp/crlf.mbox"
check "lines that end in CR LF" 1 '+ lonely'

# ---- what cannot be judged is said
broken() { # what file pattern
	series "$2"
	check "$1" 3 "$3"
}
sed 's/base64$/rot13/' "$tmp/base64.mbox" >"$tmp/x"
broken "unknown encoding" "$tmp/x" 'Content-Transfer-Encoding'
sed 's/charset=utf-8/charset=klingon/' "$tmp/base64.mbox" >"$tmp/x"
broken "unknown character set" "$tmp/x" 'character set is unknown'
sed '$d' "$tmp/base64.mbox" | sed '$s/..$//' >"$tmp/x"
broken "base64 cut off" "$tmp/x" 'cut off'
sed 's/^--xx--$//' "$tmp/parts.mbox" >"$tmp/x"
broken "multipart cut off" "$tmp/x" 'last boundary is missing'
sed '/^Subject/d' "$tmp/alone.mbox" >"$tmp/x"
broken "no subject" "$tmp/x" 'no Subject'
sed 's/^Subject: .*/this is no header/' "$tmp/alone.mbox" >"$tmp/x"
broken "broken headers" "$tmp/x" 'headers are broken'
awk '/^\+\treturn 2/ { exit } { print }' "$tmp/alone.mbox" >"$tmp/x"
broken "diff cut off" "$tmp/x" 'cut off in the middle of a hunk'
sed 's/^@@ -[0-9,]* /@@ -x /' "$tmp/alone.mbox" >"$tmp/x"
broken "broken hunk head" "$tmp/x" "begins a hunk"
sed '/^+\treturn 2/d' "$tmp/alone.mbox" >"$tmp/x"
broken "lines missing" "$tmp/x" 'announces\|cut off'
sed 's/^ \treturn 1/ \treturn 7/' "$tmp/alone.mbox" >"$tmp/x"
broken "does not apply" "$tmp/x" 'does not apply to drv/core.c'
sed 's,drv/core.c,drv/gone.c,g' "$tmp/alone.mbox" >"$tmp/x"
broken "file is not there" "$tmp/x" 'drv/gone.c is not in the tree'
sed 's,b/drv/core.c,b/../../etc/passwd,g' "$tmp/alone.mbox" >"$tmp/x"
broken "path outside" "$tmp/x" 'outside the tree'
printf 'hello' >"$tmp/x"
broken "no mailbox" "$tmp/x" 'no mailbox'
broken "neither file nor range" "nonsense" 'neither a mailbox nor a range'
broken "no such commits" "nosuch..main" 'no range of commits'
{
	printf 'From a@example.org Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n'
	printf 'Subject: [PATCH] huge\n\n'
	head -c 68000000 /dev/zero | tr '\0' 'x'
} >"$tmp/x"
broken "huge mail" "$tmp/x" 'larger than 64 MiB'
# large, but not too large: 200,000 lines
{
	printf 'From a@example.org Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n'
	printf 'Subject: [PATCH] big\n\ndiff --git a/drv/big.c b/drv/big.c\nnew file mode 100644\n'
	printf -- '--- /dev/null\n+++ b/drv/big.c\n@@ -0,0 +1,200000 @@\n'
	awk 'BEGIN { for (i = 0; i < 200000; i++) print "+int big" i ";" }'
} >"$tmp/x"
series "$tmp/x"
check "a big diff" 0 'no export added'

# ---- history and due, on the same repository
status=0
"$tool" -n -C "$tmp/repo" -a history >"$tmp/out" 2>&1 || status=$?
check "history" 0 '^net_dangles *v2 *never *.--' '^old_one *v2 *v2 *.++'
status=0
"$tool" -n -C "$tmp/repo" due >"$tmp/out" 2>&1 || status=$?
check "due" 1 'net_dangles: added in v2 .* revert .*("Export two")' '!old_one'
status=0
"$tool" -n check "$tmp/repo" >"$tmp/out" 2>&1 || status=$?
check "check knows the deadline" 1 'net/old.c:.*error: deadline: net_dangles'
status=0
"$tool" -n -C "$tmp/repo" --html "$tmp/h.html" history >"$tmp/out" 2>&1 || status=$?
cat "$tmp/h.html" >>"$tmp/out"
check "HTML" 0 '<svg' '<table>' 'net_dangles' '</html>'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
