int dma_go(void);
static inline int go(void)
{
	return dma_go();
}
