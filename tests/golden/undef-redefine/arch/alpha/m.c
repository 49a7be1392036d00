#ifdef MODULE
extern long (*fp_emul)(void);
long do_fp(void);
int init(void)
{
	fp_emul = do_fp;
	return 0;
}
#undef fp_emul
#define fp_emul do_fp
#endif
long fp_emul(void)
{
	return 0;
}
