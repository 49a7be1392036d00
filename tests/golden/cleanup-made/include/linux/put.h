#define __free(name) __cleanup(__free_##name)
#define DEFINE_FREE(name, body) static inline void __free_##name(void *p) { body; }
void item_put(void *p);
DEFINE_FREE(item, item_put(p))
