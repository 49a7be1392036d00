// SPDX-License-Identifier: GPL-2.0-or-later
#define LIB_API __attribute__((visibility("default")))
LIB_API int pub_used(void);
__attribute__((visibility("default"))) int pub_dead(void);
