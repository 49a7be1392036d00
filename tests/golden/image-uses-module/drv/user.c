int reachable(void);
int u(void)
{
	return IS_BUILTIN(CONFIG_CORE) ? reachable() : 0;
}
