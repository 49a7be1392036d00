int chk(int);
int u(int n)
{
	if (n) {
#ifdef OLD
		n--;
#endif
}
	while (chk(n))
		n--;
	return 0;
}
