int foo_a(void);
int u(void)
{
	return foo_a();
}
