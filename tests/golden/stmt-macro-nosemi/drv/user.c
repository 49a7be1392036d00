extern int flag;
int u(void)
{
	TRACE_ENTER
	flag = 1;
	return 0;
}
