int u(void)
{
	return old_tick();
}
