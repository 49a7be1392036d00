// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Do exportgate's readers of foreign text stand any text?
 *
 * One target for each of: the C tokenizer with all that is made of its tokens, the reader
 * of mailboxes and patches, the policy reader. FUZZ_TARGET says which. Built with
 * libFuzzer it is an ordinary target; without, main() mutates seeds for 20 seconds with a
 * fixed random sequence, so that a failure comes again. Each run also checks what must
 * hold for any text, not only that nothing crashes.
 */
#include <stdlib.h>

#include "rules/judge.h"
#include "policy/maintainers.h"
#include "buildfiles/members.h"
#include "changes/patch.h"
#include "changes/series.h"

enum { TARGET_TOKENS, TARGET_PATCH, TARGET_POLICY };

static void expect(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "gate_fuzz: does not hold: %s\n", what);
	abort();
}

static bool in_strings(const struct facts *f, u32 at)
{
	return at < f->n[FA_STR] && memchr(facts_str(f, at), '\0', f->n[FA_STR] - at);
}

static void check_facts(const struct facts *f)
{
	const struct fact_export *e = f->a[FA_EXPORT];
	const struct fact_call *c = f->a[FA_CALL];
	const struct fact_def *d = f->a[FA_DEF];
	u32 i;

	for (i = 0; i < f->n[FA_EXPORT]; i++)
		expect(in_strings(f, e[i].name) && in_strings(f, e[i].ns),
		       "an export's strings are in the file's strings");
	for (i = 0; i < f->n[FA_CALL]; i++)
		expect(c[i].owner < f->n[FA_DEF] && in_strings(f, c[i].args),
		       "a call belongs to a definition");
	for (i = 0; i < f->n[FA_DEF]; i++)
		expect((u64)d[i].body + d[i].nbody <= f->n[FA_BODY],
		       "a definition's body is in the file's bodies");
}

/* The tokens of a text never overlap and never run past its end. */
static void check_tokens(const char *text, size_t len)
{
	const char *last = text;
	struct lexer lx;
	struct token t;
	u32 line = 1;

	lexer_init(&lx, text, len);
	for (;;) {
		lexer_next(&lx, &t);
		if (t.kind == TOK_EOF)
			return;
		expect(t.s >= last && t.s < text + len,
		       "a token begins after the one before");
		expect(lx.p > t.s && lx.p <= text + len, "a token ends inside of the text");
		expect(t.line >= line && t.line <= len + 1, "lines are counted upwards");
		expect(t.kind != TOK_ID || t.h == hash_bytes(t.s, t.len),
		       "the two ways to hash a name agree");
		last = lx.p;
		line = t.line;
	}
}

static void fuzz_tokens(const char *text, size_t len)
{
	const struct facts *headers[1];
	struct primitives prims;
	struct templates ts;
	struct arena a = {0};
	struct extractor *x;
	struct facts h, f;
	int kind;

	check_tokens(text, len);
	primitives_init(&prims);
	prims.visibility = true;
	x = extractor_create(&prims);
	facts_extract(x, TEXT_HEADER, text, len, &a, &h);
	check_facts(&h);
	headers[0] = &h;
	templates_build(&ts, headers, 1, &prims);
	extractor_use_templates(x, &ts);
	for (kind = TEXT_SOURCE; kind <= TEXT_RUST; kind++) {
		if (kind == TEXT_HEADER)
			continue;
		facts_extract(x, kind, text, len, &a, &f);
		check_facts(&f);
	}
	extractor_destroy(x);
	templates_free(&ts);
	free(prims.v);
	arena_free(&a);
}

static void fuzz_patch(const char *text, size_t len)
{
	struct changes cs = {0};
	struct buf errors = {0}, out = {0};
	size_t i, k, n;

	n = mbox_read(&cs, "fuzz", text, len, &errors);
	expect(!n == !errors.n, "errors are counted and told");
	for (i = 0; i < cs.n; i++)
		for (k = 0; k < cs.v[i].files.n; k++) {
			const struct file_change *f = &cs.v[i].files.v[k];

			expect(n || f->old_path || f->new_path, "a change has a path");
			change_apply(&cs.arena, f, "a\nb\nc\n", 6, &out);
			change_apply(&cs.arena, f, "", 0, &out);
		}
	changes_free(&cs);
	buf_free(&errors);
	buf_free(&out);
}

static void ignore_name(void *arg, const char *name, const char *node, u32 line)
{
	expect(*name && line, "a script's name is not empty");
}

static void fuzz_policy(const char *text, size_t len)
{
	struct maintainers m = {0};
	struct waivers w = {0};
	struct buf errors = {0};
	struct strings people = {0};
	struct policy p;
	int bad;

	policy_init(&p);
	bad = policy_parse(&p, "fuzz", text, len, &errors);
	expect(!bad == !errors.n, "errors are counted and told");
	if (!bad) {
		policy_digest(&p);
		expect(policy_subsystem(&p, "a/b/c.c") != NULL, "a path has a subsystem");
		strings_match(&p.consumers, "drivers/a/b.c");
	}
	policy_free(&p);
	waivers_parse(&w, "fuzz", text, len, "2026-01-01", NULL);
	waivers_free(&w);
	maintainers_parse(&m, text, len, len & 1);
	maintainers_of(&m, "drivers/a/b.c", &people);
	free(people.v);
	maintainers_free(&m);
	library_script_names(text, len, ignore_name, NULL);
	buf_free(&errors);
}

/* The readers are promised 64 zero bytes behind the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xcalloc(1, size + 64);

	if (size)
		memcpy(text, data, size);
	if (FUZZ_TARGET == TARGET_TOKENS)
		fuzz_tokens(text, size);
	else if (FUZZ_TARGET == TARGET_PATCH)
		fuzz_patch(text, size);
	else
		fuzz_policy(text, size);
	free(text);
	return 0;
}

#ifndef USE_LIBFUZZER
static const char *const seeds[][6] = {
	{"#define EXPORT_BOTH(n) EXPORT_SYMBOL_GPL(n##_a); EXPORT_SYMBOL_NS(n##_b, \"N\")\n"
	 "EXPORT_BOTH(x);\nstatic inline int f(int a) { return g(a)->b.c; }\n",
	 "int f(struct s *p, int (*q)(int))\n{\n\tint i = 0, *k;\n\tfor (int j = 0; j < 3; "
	 "j++)\n"
	 "\t\tg(i, k);\nout:\n\treturn asm(\"call h\");\n}\nEXPORT_SYMBOL(f);\n",
	 "#if 0\nx\n#else\n#ifdef A\n{\n#else\n(\n#endif\n#endif\n/* c */ // d\n\"s\\\"\" "
	 "'c' "
	 "#define A(x, ...) x ## __VA_ARGS__ #x\nA(A(a, b), c)\n",
	 "struct a { int b; } c = { .b = d, [E] = f };\nenum { G = H };\ntypedef int "
	 "(*t)(u);\n"
	 "extern int v; __attribute__((visibility(\"default\"))) int w(void);\n",
	 "\t.globl x\nSYM_FUNC_START(x)\n\tcall y\n1: ret # z\nEXPORT_SYMBOL(x)\n'"},
	{"From a@b Mon\nFrom: A <a@b>\nSubject: [PATCH 1/2] t\n\nwhy\n\nAcked-by: X "
	 "<x@y>\n---\n"
	 "diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n a\n-b\n+d\n "
	 "c\n-- \n2\n",
	 "From: =?utf-8?q?A_=3D?= <a@b>\nSubject: =?iso-8859-1?b?YWJj?=\n"
	 "Content-Transfer-Encoding: "
	 "base64\n\nLS0tIGEveAorKysgYi94CkBAIC0xICsxIEBACi1hCitiCg==\n",
	 "From: A\nSubject: s\nContent-Type: multipart/mixed; "
	 "boundary=\"q\"\n\n--q\n\ntext=20\n"
	 "--q\nContent-Transfer-Encoding: quoted-printable\n\n=41=\nb\n--q--\n",
	 "From x\nFrom: A\nSubject: r\n\ndiff --git a/o b/n\nsimilarity index 90%\nrename "
	 "from o\n"
	 "rename to n\n--- a/o\n+++ b/n\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of "
	 "file\n"},
	{"[tree]\nkind = library\nskip = a/\n[rules]\nconsumed = warn\n[exports]\n"
	 "macro = FOO gpl ns=2\njudge-node = X_*\n[consumers]\npath = **/d/*.c\nimplicit = "
	 "a b c\n",
	 "[modules]\nsrc/** = lib\n[subsystems]\ndepth = 3\nx/ = y\n[releases]\ntags = "
	 "v?.*\n"
	 "grace = 2\n[motivation]\nmin-words = 9\n[posted]\nlink-trailer = User\n",
	 "symbol: a*\nreason: r\nowner: o\nexpires: 2027-01-01\n\nsymbol: b\n",
	 "NAME\nM:\tA <a@b>\nF:\tdrivers/\nX:\tdrivers/b/\n\nN2\nR:\tB <b@c>\nF:\t*.c\n",
	 "/drivers/ @a b@c # d\nL_1 {\nglobal: a; b*; /* c */\nlocal: *;\n} L_0;\n"},
};

static u64 state = 0x2545f4914f6cdd1dull;

static u64 roll(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static const char *pick_seed(void)
{
	const char *s;

	do
		s = seeds[FUZZ_TARGET][roll() % ARRAY_SIZE(seeds[0])];
	while (!s);
	return s;
}

static void mutate(struct buf *b)
{
	static const char spice[] = "(){}[];,#\\\"'\n\t =:*/.-+@_aA0\0\xff<>?%";
	const char *other;
	size_t at = b->n ? roll() % b->n : 0, n, m;

	switch (roll() % 6) {
	case 0:
		if (b->n)
			b->s[at] = spice[roll() % (sizeof(spice) - 1)];
		break;
	case 1:
		if (b->n)
			b->s[at] ^= (char)(1u << roll() % 8);
		break;
	case 2: /* cut a piece out */
		n = b->n - at < 9 ? b->n - at : roll() % 9;
		memmove(b->s + at, b->s + at + n, b->n - at - n);
		b->n -= n;
		break;
	case 3: /* cut the end off */
		b->n = at;
		break;
	case 4: /* say a piece twice */
		n = b->n - at < 20 ? b->n - at : roll() % 20;
		other = xstrndup(b->s + at, n);
		buf_add(b, other, n);
		free((char *)other);
		break;
	default: /* go on with a piece of another seed */
		other = pick_seed();
		m = strlen(other);
		at = roll() % (m + 1);
		buf_add(b, other + at, roll() % (m - at + 1));
	}
}

int main(int argc, char **argv)
{
	double end = now_seconds() + (argc > 1 ? atof(argv[1]) : 20);
	unsigned long runs = 0;
	struct buf b = {0};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(seeds[0]) && seeds[FUZZ_TARGET][i]; i++)
		LLVMFuzzerTestOneInput((const u8 *)seeds[FUZZ_TARGET][i],
				       strlen(seeds[FUZZ_TARGET][i]));
	while (now_seconds() < end) {
		b.n = 0;
		buf_puts(&b, pick_seed());
		for (i = 1 + roll() % 12; i; i--)
			mutate(&b);
		LLVMFuzzerTestOneInput((const u8 *)b.s, b.n);
		runs++;
	}
	buf_free(&b);
	printf("%lu texts\n", runs);
	return runs ? 0 : 1;
}
#endif
