/* SPDX-License-Identifier: GPL-2.0-or-later */
#define TP_fast_assign(args...) args
#define TRACE_EVENT(name, assign) static inline void trace_##name(void) { assign }
#define DECLARE_EVENT_CLASS(name, assign) static inline void class_##name(void) { assign }
int used(int);
int unused(int);
DECLARE_EVENT_CLASS(user,
	TP_fast_assign(
		__entry->a = 1;
		if (__entry->a) {
			__entry->b = used(2);
		}
		__entry->c = unused(3);
	)
);
