int mark(void);
#ifdef OLD
int u(int mark)
#else
int u(void)
#endif
{
	return mark();
}
