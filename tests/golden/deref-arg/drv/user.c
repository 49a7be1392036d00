extern char **tab_ptr;
void show(char *);
void u(void)
{
	show(*tab_ptr);
}
