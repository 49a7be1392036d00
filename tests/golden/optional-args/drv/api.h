/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Macros with optional arguments: the end of a name is counted, or left out. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define COUNT_(_0, _1, _2, n, ...) n
#define COUNT(...) COUNT_(, ##__VA_ARGS__, 2, 1, 0)

int copy_sized(int a, int b);
int state_get_format(int a, int b);
int state_get_crop(int a, int b);
int copier_spare(void);

#define copy(a, ...) JOIN(copy_by_, COUNT(__VA_ARGS__))(a, ##__VA_ARGS__)
#define copy_by_0(a) copy_sized(a, 0)
#define copy_by_1(a, b) copy_sized(a, b)

#define gen_call(NAME, _1, ARG, ...) state_get_##NAME##ARG
#define get_format(s, ...) gen_call(format, ##__VA_ARGS__, , _pad)(s, ##__VA_ARGS__)
#define state_get_format_pad(s) state_get_format(s, 0)
