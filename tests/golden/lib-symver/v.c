// SPDX-License-Identifier: GPL-2.0-or-later
#define SYMVER(name, old, node) __asm__(".symver " #name "," #old "@" #node)
#define DEFAULT_VERSION(node, old, name) __attribute__((__symver__(#old "@@" #node)))
int v_plain(void) { return 0; }
int v_open_1(void) { return 0; }
SYMVER(v_open_1, v_open, V_1);
DEFAULT_VERSION(V_2, v_open, v_open_2) int v_open_2(void) { return 0; }
int v_close_2(void) { return 0; }
__asm__(".symver v_close_2, v_close@@V_2");
