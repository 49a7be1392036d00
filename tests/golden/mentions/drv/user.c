/* calls unused() */
int used(int);
// unused(2);
const char *s = "unused(1)";
#if 0
int dead(void) { return unused(3); }
#endif
struct box {
	int unused;
};
int go(struct box *b)
{
	goto unused;
unused:
	return used(b->unused);
}
