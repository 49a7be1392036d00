int core_call(void);
#define core_call() dbg()
int dbg(void);
int v(void)
{
	return core_call();
}
#undef core_call
int u(void)
{
	return core_call();
}
