#if !IS_ENABLED(CONFIG_CORE)
int core_call(void)
{
	return -1;
}
#endif
