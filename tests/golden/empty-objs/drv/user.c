int tick(void);
int u(void)
{
	return tick();
}
