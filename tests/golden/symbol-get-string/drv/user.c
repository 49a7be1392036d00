void *__symbol_get(const char *);
int u(void)
{
	int (*f)(void) = __symbol_get("dyn_fn");
	return f();
}
