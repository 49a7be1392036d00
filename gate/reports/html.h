/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How does a history look as one HTML file? */
#ifndef GATE_HTML_H
#define GATE_HTML_H

#include "changes/history.h"

void history_html(const struct history *h, const struct policy *p, const char *file);

#endif
