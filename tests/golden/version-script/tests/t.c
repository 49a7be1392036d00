// SPDX-License-Identifier: GPL-2.0-or-later
int drv_self(void);
int main(void) { return drv_self(); }
