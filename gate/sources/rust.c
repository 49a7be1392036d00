// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which symbols of C do Rust texts use?
 *
 * Rust reaches C through the generated crate (bindings::name, also by another name of the
 * crate or of an item), and by functions that an extern block declares.
 */
#include "extract.h"

#define MAX_CRATE_NAMES 8

struct rust {
	struct extractor *x;
	struct token t;
	u64 crate[MAX_CRATE_NAMES]; /* bindings, and what "use ... as" makes of it */
	u32 ncrate;
	bool all; /* use bindings::*: any name may be one of it */
};

static bool is_crate(const struct rust *r, const struct token *t)
{
	u32 i;

	for (i = 0; t->kind == TOK_ID && i < r->ncrate; i++)
		if (r->crate[i] == t->h)
			return true;
	return false;
}

static void next(struct rust *r)
{
	lexer_next(&r->x->lx, &r->t);
}

/* Behind the crate's name: "as ffi", or the "::" of a path. */
static void read_path(struct rust *r)
{
	u32 depth = 0;

	next(r);
	if (token_is(&r->t, "as")) {
		next(r);
		if (r->t.kind == TOK_ID && r->ncrate < MAX_CRATE_NAMES)
			r->crate[r->ncrate++] = r->t.h;
		return;
	}
	if (!token_punct(&r->t, ':') || lexer_peek(&r->x->lx) != ':')
		return;
	next(r);
	do {
		next(r);
		if (token_punct(&r->t, '{')) {
			depth++;
		} else if (token_punct(&r->t, '}') && depth) {
			depth--;
		} else if (token_is(&r->t, "self")) {
			next(r);
			if (token_is(&r->t, "as")) {
				next(r);
				if (r->t.kind == TOK_ID && r->ncrate < MAX_CRATE_NAMES)
					r->crate[r->ncrate++] = r->t.h;
			}
		} else if (token_is(&r->t, "as")) {
			next(r); /* the item's name here */
		} else if (r->t.kind == TOK_ID) {
			note_use(r->x, r->t.h, r->t.line);
		} else if (token_punct(&r->t, '*')) {
			r->all = true;
		} else if (!token_punct(&r->t, ',') && !token_punct(&r->t, ':')) {
			return;
		}
	} while (depth && r->t.kind != TOK_EOF);
}

/* extern "C" { fn name(...); static name: T; } */
static void read_extern(struct rust *r)
{
	u32 depth = 0;

	next(r);
	if (r->t.kind == TOK_STR)
		next(r);
	if (!token_punct(&r->t, '{'))
		return;
	for (depth = 1; depth && r->t.kind != TOK_EOF;) {
		next(r);
		if (token_punct(&r->t, '{')) {
			depth++;
		} else if (token_punct(&r->t, '}')) {
			depth--;
		} else if (token_is(&r->t, "link_name")) {
			next(r);
			next(r);
			if (r->t.kind == TOK_STR && r->t.len > 2)
				note_use(r->x, hash_bytes(r->t.s + 1, r->t.len - 2),
					 r->t.line);
		} else if (token_is(&r->t, "fn") || token_is(&r->t, "static")) {
			next(r);
			if (token_is(&r->t, "mut"))
				next(r);
			if (r->t.kind == TOK_ID)
				note_use(r->x, r->t.h, r->t.line);
		}
	}
}

void parse_rust(struct extractor *x)
{
	struct rust r = {.x = x, .ncrate = 1};

	r.crate[0] = hash_str("bindings");
	x->lx.assembly = true;
	for (next(&r); r.t.kind != TOK_EOF; next(&r)) {
		if (is_crate(&r, &r.t))
			read_path(&r);
		else if (token_is(&r.t, "extern"))
			read_extern(&r);
		else if (r.all && r.t.kind == TOK_ID)
			note_use(x, r.t.h, r.t.line);
	}
}
