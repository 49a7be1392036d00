int grant_map(void);
int u(void)
{
	return grant_map();
}
