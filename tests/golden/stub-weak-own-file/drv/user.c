int core_call(void);
#ifndef HAVE_CORE
int core_call(void)
{
	return 0;
}
#endif
int u(void) { return core_call(); }
