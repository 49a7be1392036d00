#if IS_ENABLED(CONFIG_CORE)
int core_call(void);
#else
static inline int core_call(void)
{
	return -1;
}
#endif
int u(void)
{
	return core_call();
}
