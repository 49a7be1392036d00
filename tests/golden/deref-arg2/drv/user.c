extern int (*hook_fn)(int);
int reg(int (*)(int));
int u(void)
{
	reg(*hook_fn);
	return hook_fn(1);
}
