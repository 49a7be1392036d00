int tick(void);
static int run(void)
{
	return tick();
}
