int tick(void);
int run(void)
{
	return tick();
}
