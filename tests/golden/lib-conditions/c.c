// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"
#ifdef HAVE_FAST
int c_fast(int a) {
	if (a) {
#else
int c_slow(int a) {
	if (!a) {
#endif
		return 1;
	}
	return 0;
}
#ifdef C_NEVER_SET
int c_never(void) { return 0; }
#endif
#if defined(__APPLE__) || defined(_MSC_VER)
int c_apple(void) { return 0; }
#endif
#if __has_attribute(visibility) && (__GNUC__ > 3 || defined __clang__)
int c_gcc(void) { return 0; }
#endif
#if 0
int c_none(void) { return 0; }
#endif
#define BEGIN(n) int c_##n(void) {
#define END }
BEGIN(begun)
	return 0;
END
int c_last(void) { return 0; }
