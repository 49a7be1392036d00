#define __CALL(p) p##_register()
#define CALL(p) __CALL(p)
