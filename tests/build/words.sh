#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does the tree stand on its own? Nothing in it may speak of the place where it was written,
# of machines and mirrors of that place, or of a tracker that a reader can't see.
top=$1
. "$top/tests/build/common.sh"

# Cut up, so that this file is not found itself.
words='\b(a''gents?|sub-?a''gents?|ses''sions?|work''place|cl''aude|anthr''opic|open''ai|chat''gpt|ll''ms?)\b'
places='(^|[^a-zA-Z0-9._-])/wo''rk(/|\b)|/sha''red/|\bissue #?[0-9]|(deb|security|archive|snapshot|ftp)[.]debi''an[.]org|registry[.]np''mjs|py''pi[.]org|pythonhos''ted|crat''es[.]io|proxy[.]golang'

failed=0
for file in $(tree_files); do
	case $file in
	./LICENSES/*) continue ;;
	esac
	if grep -EniI -e "$words" -e "$places" "$top/$file" | sed "s|^|$file:|" | grep .; then
		failed=1
	fi
done
[ "$failed" = 0 ] || echo "say these in other words"
exit $failed
