/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How does a structure of the API grow, with callers that are older or newer than we are?
 */
#include <errno.h>
#include <string.h>

#include "core/core.h"

#define STRUCT_MAX 4096 /* bytes; a larger size was never set */

static bool all_zero(const unsigned char *at, const unsigned char *end)
{
	while (at < end && !*at)
		at++;
	return at >= end;
}

int core_struct_take(void *to, size_t size, const void *from, const char *name)
{
	size_t given;

	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given) || given > STRUCT_MAX)
		return core_error(-EINVAL,
				  "%s: its size is %zu: zero it and set size to "
				  "sizeof(%s)",
				  name, given, name);
	if (given > size && !all_zero((const unsigned char *)from + size,
				      (const unsigned char *)from + given))
		return core_error(-E2BIG,
				  "%s of %zu bytes asks for what this library (%s) "
				  "does not know: use a newer one",
				  name, given, hmm_version());
	memset(to, 0, size);
	memcpy(to, from, given < size ? given : size);
	memcpy(to, &size, sizeof(size));
	return 0;
}

void core_struct_give(void *to, size_t room, const void *from, size_t size)
{
	memcpy(to, from, room < size ? room : size);
	if (room > size)
		memset((char *)to + size, 0, room - size);
}

int hmm_struct_take(void *to, size_t size, const void *from, const char *name)
{
	return core_struct_take(to, size, from, name);
}

void hmm_struct_give(void *to, size_t room, const void *from, size_t size)
{
	core_struct_give(to, room, from, size);
}
