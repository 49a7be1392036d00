int core_call(void);
int u(void)
{
	return core_call();
}
