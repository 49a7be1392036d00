int first_fn(void); int second_fn(void);
int u(void)
{
	return first_fn()+second_fn();
}
