#ifdef CONFIG_SHARED
extern int *shared_tab;
#else
static int *shared_tab;
#endif
int u(void) { return *shared_tab; }
