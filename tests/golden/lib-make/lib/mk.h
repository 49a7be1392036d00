/* SPDX-License-Identifier: GPL-2.0-or-later */
#if defined(_WIN32)
#define MK_API __declspec(dllexport)
#elif __GNUC__ >= 4
#define MK_API __attribute__((visibility("default")))
#else
#define MK_API
#endif
#define MK_CALL
#define MK_DEFINE(n) MK_API int mk_##n##_get(void) { return 0; } MK_API int mk_##n##_put(void) { return 0; }
MK_API int mk_old_style();
MK_API int (mk_in_parens)(int a);
