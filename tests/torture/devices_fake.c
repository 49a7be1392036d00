// SPDX-License-Identifier: LGPL-2.1-or-later
/* The question this file answers: which devices can test the torture itself? */
#include "device.h"

const struct device *const devices[] = {&device_cpu, &device_stale, NULL};
