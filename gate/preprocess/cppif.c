// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Is a condition true, false, or is it for the build to decide?
 *
 * What is known: the macros that were read, and the platform that a shared library with
 * dynamic symbols has: GNU/Linux, gcc, ELF; nothing of the processor. What the build
 * files mention is theirs to decide. A name that nobody defines or mentions is no macro.
 */
#include <ctype.h>
#include <stdlib.h>

#include "cpp.h"

static const char *const platform[] = {
	"__GNUC__=12",
	"__GNUC_MINOR__=2",
	"__GNUC_PATCHLEVEL__=0",
	"__STDC__=1",
	"__STDC_VERSION__=201710L",
	"__STDC_HOSTED__=1",
	"__linux__=1",
	"__linux=1",
	"linux=1",
	"__unix__=1",
	"__unix=1",
	"unix=1",
	"__ELF__=1",
	"__GLIBC__=2",
	"__GLIBC_MINOR__=36",
	"__gnu_linux__=1",
	"__VERSION__=\"12\"",
	"PIC=1",
	"__PIC__=2",
	"__CHAR_BIT__=8",
	"NULL=((void*)0)",
};

/* Other systems and compilers: their code is in no ELF library that gcc makes. */
static const char *const foreign[] = {
	"_WIN32",
	"WIN32",
	"_WIN64",
	"WIN64",
	"__WIN32__",
	"_WINDOWS",
	"WINDOWS",
	"WINNT",
	"_WIN32_WCE",
	"_MSC_VER",
	"__MINGW32__",
	"__MINGW64__",
	"__CYGWIN__",
	"__CYGWIN32__",
	"__APPLE__",
	"__MACH__",
	"__APPLE_CC__",
	"macintosh",
	"__MWERKS__",
	"__BORLANDC__",
	"__TURBOC__",
	"__WATCOMC__",
	"__DMC__",
	"__LCC__",
	"__sun",
	"sun",
	"__sun__",
	"__SUNPRO_C",
	"__SVR4",
	"__svr4__",
	"__hpux",
	"hpux",
	"_hpux",
	"__HP_cc",
	"_AIX",
	"__xlC__",
	"__IBMC__",
	"__FreeBSD__",
	"__FreeBSD_kernel__",
	"__NetBSD__",
	"__OpenBSD__",
	"__DragonFly__",
	"__bsdi__",
	"BSD",
	"__ANDROID__",
	"ANDROID",
	"__BIONIC__",
	"__HAIKU__",
	"__BEOS__",
	"AMIGA",
	"__amigaos__",
	"__amigaos4__",
	"__VMS",
	"VMS",
	"vms",
	"__vms",
	"__OS2__",
	"OS2",
	"__EMX__",
	"__OS400__",
	"__TANDEM",
	"_TANDEM_SOURCE",
	"__DJGPP__",
	"MSDOS",
	"__MSDOS__",
	"__DOS__",
	"__QNX__",
	"__QNXNTO__",
	"__minix",
	"__CRAY__",
	"_CRAYC",
	"NETWARE",
	"__NOVELL_LIBC__",
	"__SYMBIAN32__",
	"__riscos__",
	"__MVS__",
	"__sgi",
	"__osf__",
	"__ultrix",
	"__INTERIX",
	"__EMSCRIPTEN__",
	"__wasm__",
	"__wasi__",
	"__GNU__",
	"__cplusplus",
	"__clang__",
	"__clang_major__",
	"__INTEL_COMPILER",
	"__ICC",
	"__PGI",
	"__TINYC__",
	"__ARMCC_VERSION",
	"__CC_ARM",
	"__ICCARM__",
	"__OBJC__",
	"__LINT__",
	"lint",
	"__lint",
	"__CODEGEARC__",
	"__vxworks",
	"_RTP_",
	"__UEFI__",
	"S_SPLINT_S",
	"__COVERITY__",
	"__CHECKER__",
	"__KERNEL__",
	"_UNICOS",
	"__STRICT_ANSI__",
	"__GTK_DOC_IGNORE__",
	"__GI_SCANNER__",
	"SWIG",
	"__SCO_VERSION__",
	"_SCO_DS",
	"__AVR__",
	"__CUDACC__",
};

void cpp_platform(struct cpp *p)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(platform); i++)
		cpp_define(p, platform[i]);
	for (i = 0; i < ARRAY_SIZE(foreign); i++)
		cpp_absent(p, foreign[i]);
}

/* What build files call such systems in names of their own: HAVE_WIN32, G_OS_WIN32. */
static bool names_foreign(const char *s)
{
	static const char *const parts[] = {"WIN32",   "WINDOWS", "WIN64",   "MSVC",
					    "MINGW",   "CYGWIN",  "DARWIN",  "MACOSX",
					    "FREEBSD", "_VMS",    "DOXYGEN", "ANDROID",
					    "COCOA"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(s, parts[i]))
			return true;
	return false;
}

enum truth cpp_defined(struct cpp *p, u32 id)
{
	const struct cmacro *m = cpp_macro(p, id);
	const struct cname *n = &p->names.v[id];

	switch (m->state) {
	case MAC_DEFINED:
		return m->unsure ? TRUTH_UNKNOWN : TRUTH_YES;
	case MAC_ABSENT:
		return m->unsure ? TRUTH_UNKNOWN : TRUTH_NO;
	case MAC_MAYBE:
		return TRUTH_UNKNOWN;
	default:
		break;
	}
	if (names_foreign(n->s))
		return TRUTH_NO;
	if (n->mention || p->unknown_header || has_prefix(n->s, "HAVE_"))
		return TRUTH_UNKNOWN;
	/* a switch that sources set themselves is off where they do not */
	if (n->source)
		return TRUTH_NO;
	if (n->s[0] == '_' && (n->s[1] == '_' || isupper((u8)n->s[1])) &&
	    !has_suffix(n->s, "_H") && !has_suffix(n->s, "_H_") &&
	    !has_suffix(n->s, "_H__") && !has_suffix(n->s, "_h") &&
	    !has_suffix(n->s, "_INCLUDED") && !has_suffix(n->s, "_INCLUDED__"))
		return TRUTH_UNKNOWN;
	return TRUTH_NO;
}

/* ---------------------------------------------------------------- expressions ------ */

struct value {
	long long v;
	bool unknown;
};

struct expr {
	struct cpp *p;
	const struct ctoken *t, *end;
	int depth;
};

static struct value unknown_value(void)
{
	return (struct value){.v = 1, .unknown = true};
}

static struct value expression(struct expr *e, int level);

static bool at(const struct expr *e, u8 punct)
{
	return e->t < e->end && ctoken_punct(e->t, punct);
}

static void skip_group(struct expr *e)
{
	int depth = 0;

	for (; e->t < e->end; e->t++) {
		if (at(e, '('))
			depth++;
		if (at(e, ')') && !--depth) {
			e->t++;
			return;
		}
	}
}

/* What the compiler and the C library answer to questions about themselves. */
static struct value ask(struct expr *e, const struct ctoken *name)
{
	const char *s = cpp_text(e->p, name->id);
	struct value yes = {.v = 1};

	skip_group(e);
	if (!strcmp(s, "__has_attribute") || !strcmp(s, "__GNUC_PREREQ") ||
	    !strcmp(s, "__GLIBC_PREREQ") || !strcmp(s, "__glibc_has_attribute"))
		return yes;
	return unknown_value();
}

static struct value number(const struct ctoken *t)
{
	char *end;
	struct value v = {.v = (long long)strtoull(t->s, &end, 0)};

	return v;
}

static struct value primary(struct expr *e)
{
	const struct ctoken *t = e->t;
	struct value v = {0};

	if (t >= e->end || e->depth > 200)
		return unknown_value();
	e->t++;
	if (t->kind == CT_NUM)
		return t->no_macro || t->maybe ? unknown_value() : number(t);
	if (t->kind == CT_CHR) {
		v.v = t->len > 1 ? t->s[1] : 0;
		return v;
	}
	if (t->kind == CT_ID) {
		if (at(e, '('))
			return ask(e, t);
		return cpp_defined(e->p, t->id) == TRUTH_NO ? v : unknown_value();
	}
	e->depth++;
	if (ctoken_punct(t, '(')) {
		v = expression(e, 0);
		if (at(e, ')'))
			e->t++;
	} else if (ctoken_punct(t, '!')) {
		v = primary(e);
		v.v = !v.v;
	} else if (ctoken_punct(t, '-') || ctoken_punct(t, '+') || ctoken_punct(t, '~')) {
		v = primary(e);
		v.v = t->punct == '-'   ? (long long)-(unsigned long long)v.v
		      : t->punct == '~' ? ~v.v
					: v.v;
	} else {
		v = unknown_value();
	}
	e->depth--;
	return v;
}

static const struct {
	u8 punct, level;
} operators[] = {
	{CP_OR, 1},  {CP_AND, 2}, {'|', 3}, {'^', 4},   {'&', 5},   {CP_EQ, 6},
	{CP_NE, 6},  {'<', 7},    {'>', 7}, {CP_LE, 7}, {CP_GE, 7}, {CP_SHL, 8},
	{CP_SHR, 8}, {'+', 9},    {'-', 9}, {'*', 10},  {'/', 10},  {'%', 10},
};

static int level_of(const struct expr *e)
{
	size_t i;

	for (i = 0; e->t < e->end && e->t->kind == CT_PUNCT && i < ARRAY_SIZE(operators);
	     i++)
		if (operators[i].punct == e->t->punct)
			return operators[i].level;
	return 0;
}

static struct value apply(u8 op, struct value a, struct value b)
{
	struct value v = {.unknown = a.unknown || b.unknown};
	unsigned long long x = a.v, y = b.v;

	if (op == CP_AND || op == CP_OR) {
		bool decides = op == CP_OR;

		if ((!a.unknown && !!a.v == decides) || (!b.unknown && !!b.v == decides))
			return (struct value){.v = decides};
		v.v = op == CP_AND ? a.v && b.v : a.v || b.v;
		return v;
	}
	switch (op) {
	case '|':
		v.v = a.v | b.v;
		break;
	case '^':
		v.v = a.v ^ b.v;
		break;
	case '&':
		v.v = a.v & b.v;
		break;
	case CP_EQ:
		v.v = a.v == b.v;
		break;
	case CP_NE:
		v.v = a.v != b.v;
		break;
	case '<':
		v.v = a.v < b.v;
		break;
	case '>':
		v.v = a.v > b.v;
		break;
	case CP_LE:
		v.v = a.v <= b.v;
		break;
	case CP_GE:
		v.v = a.v >= b.v;
		break;
	case CP_SHL:
		v.v = (long long)(x << (y & 63));
		break;
	case CP_SHR:
		v.v = (long long)(x >> (y & 63));
		break;
	case '+':
		v.v = (long long)(x + y);
		break;
	case '-':
		v.v = (long long)(x - y);
		break;
	case '*':
		v.v = (long long)(x * y);
		break;
	default:
		if (!y || (a.v == INT64_MIN && b.v == -1))
			return unknown_value();
		v.v = op == '/' ? a.v / b.v : a.v % b.v;
	}
	return v;
}

static struct value expression(struct expr *e, int level)
{
	struct value v = primary(e), a, b;
	int l;

	while ((l = level_of(e)) > level) {
		u8 op = e->t++->punct;

		v = apply(op, v, expression(e, l));
	}
	if (level || !at(e, '?'))
		return v;
	e->t++;
	a = expression(e, 0);
	if (at(e, ':'))
		e->t++;
	b = expression(e, 0);
	if (v.unknown)
		return unknown_value();
	return v.v ? a : b;
}

/* defined X and defined(X) are answered before macros are expanded. */
static u32 answer_defined(struct cpp *p, const struct ctoken *t, u32 n, struct ctoken *out)
{
	const struct ctoken *end = t + n, *from;
	u32 defined = cpp_name(p, "defined", 7), k = 0;

	for (; t < end; t++) {
		bool paren;

		out[k] = *t;
		if (t->kind != CT_ID || t->id != defined) {
			k++;
			continue;
		}
		from = t;
		paren = t + 1 < end && ctoken_punct(t + 1, '(');
		t += paren ? 2 : 1;
		if (t >= end || t->kind != CT_ID) {
			t = from;
			k++;
			continue;
		}
		enum truth truth = cpp_defined(p, t->id);

		out[k].kind = CT_NUM;
		out[k].s = truth == TRUTH_NO ? "0" : "1";
		out[k].len = 1;
		out[k++].no_macro = truth == TRUTH_UNKNOWN;
		if (paren && t + 1 < end && ctoken_punct(t + 1, ')'))
			t++;
	}
	return k;
}

enum truth cpp_condition(struct cpp *p, const struct ctoken *t, u32 n)
{
	struct ctoken *plain = arena_alloc(&p->unit, (n + 1) * sizeof(*plain)), *full;
	struct expr e = {.p = p};
	struct value v;

	n = answer_defined(p, t, n, plain);
	n = cpp_expand_list(p, plain, n, &full);
	if (!n)
		return TRUTH_UNKNOWN;
	e.t = full;
	e.end = full + n;
	v = expression(&e, 0);
	if (v.unknown)
		return TRUTH_UNKNOWN;
	return v.v ? TRUTH_YES : TRUTH_NO;
}
