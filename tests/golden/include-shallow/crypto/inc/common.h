int xor_go(void);
static inline int go(void)
{
	return xor_go();
}
