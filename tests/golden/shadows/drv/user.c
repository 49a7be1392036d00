static int s1(void) { return 1; }
struct t { int s2; int (*s3)(void); };
/* s4() */
static const char *x = "s5";
static int s6 __read_mostly;
static DEFINE_MUTEX(s7);
enum { s8, s8b };
int s9(void);
int u(struct t *t, int s10)
{
	int s11 = 1, *s12;
	struct foo *s13 __free(kfree) = get();
	int s14(void);
	t->s2 = t->s3();
	mutex_lock(&s7);
	x = s8 + s13 + s6;
s15:
	return s1() + s10 + s11 + *s12;
}
