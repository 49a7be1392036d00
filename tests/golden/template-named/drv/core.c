#define FN first_fn
#include "tmpl.c"
#undef FN
#define FN second_fn
#include "tmpl.c"
