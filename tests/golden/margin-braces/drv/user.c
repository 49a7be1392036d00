int chk(int);
int u(int n)
{
int i;
for (i = 0; i < n; i++) {
	n--;
}
if (chk(n))
	return 1;
return 0;
}
