int u(void)
{
	return hx();
}
