// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: why did a change not happen?
 */
#include "changes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void reason(struct kit_act *act, const char *format, va_list args)
{
	vsnprintf(act->reason, sizeof(act->reason), format, args);
}

int act_skip(struct kit_act *act, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason(act, format, args);
	va_end(args);
	return -EOPNOTSUPP;
}

int act_fail(struct kit_act *act, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason(act, format, args);
	va_end(args);
	return -EIO;
}

int act_wrong(struct kit_act *act, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason(act, format, args);
	va_end(args);
	return -EILSEQ;
}

/* What the kernel does not offer is no failure; everything else is. */
int call_failed(struct kit_act *act, const char *call)
{
	int err = errno;

	if (err == EINVAL || err == ENOSYS || err == EOPNOTSUPP || err == EPERM)
		return act_skip(act, "%s: %s on this kernel, for this memory", call,
				strerror(err));
	return act_fail(act, "%s failed: %s", call, strerror(err));
}
