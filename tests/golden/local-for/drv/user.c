int mark(void);
int u(int x)
{
	for (int mark = 0; mark < x; mark++)
		x--;
	return mark();
}
