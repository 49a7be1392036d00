#include <linux/put.h>
void *item_get(void);
int u(void)
{
	struct item *t __free(item) =
		item_get();
	return !t;
}
