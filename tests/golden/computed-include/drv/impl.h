int tick(void);
static inline int run(void)
{
	return tick();
}
