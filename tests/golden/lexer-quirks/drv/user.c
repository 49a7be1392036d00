int u(void)
{
	char c = '"'; q1();
	char *s = "/*"; q2(); /* " */ q3();
	// x \
	q9();
	q\
4();
}
