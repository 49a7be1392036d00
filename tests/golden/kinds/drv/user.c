int u(void)
{
	k1(); k2(); k3(); k4(); k5(); trace_k6(1); this_cpu_inc(k7); per_cpu(k8, 1);
	static_call(k9)(); static_call(k10)(); static_call(k11)(); static_call_mod(k12)(); k13(); k14(); k15(); k16();
	return 0;
}
