#define __CALL(p) p##_register()
#define CALL(p) __CALL(p)
#define PREFIX core
int core_register(void);
int u(void)
{
	return CALL(PREFIX);
}
