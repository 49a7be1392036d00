#ifdef CONFIG_CORE
int core_call(void);
#else
#define core_call() (-1)
#endif
int u(void)
{
	return core_call();
}
