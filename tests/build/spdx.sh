#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does every file say its licence, and is it the one of its folder?
top=$1
. "$top/tests/build/common.sh"

failed=0
for file in $(tree_files); do
	case $file in
	./LICENSES/* | */golden/* | *.json | *.html) continue ;;
	./gate/* | ./drivers/* | ./include/hmm/driver.h) licence=GPL-2.0-or-later ;;
	*) licence='L\?GPL-2.[01]-or-later' ;;
	esac
	head -n 5 "$top/$file" | grep -q "SPDX-License-Identifier: $licence" || {
		echo "$file: no line 'SPDX-License-Identifier: $licence' at its head"
		failed=1
	}
done
exit $failed
