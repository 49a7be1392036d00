// SPDX-License-Identifier: GPL-2.0-or-later
void u(void)
{
	trace_core_hit(1);
	static_call(core_call)(1);
	this_cpu_inc(core_counter);
}
