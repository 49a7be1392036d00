/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How do names that anybody may have chosen get into a report? */
#ifndef GATE_TEXT_H
#define GATE_TEXT_H

#include <jansson.h>

#include "base/util.h"

/* On one line, without control characters and in UTF-8. The caller frees it. */
char *text_of(const char *s);
/* A JSON string, which is never NULL for want of UTF-8. */
json_t *json_text(const char *s);
/* A path as a relative reference of RFC 3986. The caller frees it. */
char *text_uri(const char *path);

#endif
