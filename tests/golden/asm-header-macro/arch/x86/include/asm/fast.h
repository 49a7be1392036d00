#ifdef __ASSEMBLY__
.macro DO_COPY
	call fast_copy
.endm
#else
int fast_copy(void);
#endif
