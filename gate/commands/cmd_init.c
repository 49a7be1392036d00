// SPDX-License-Identifier: GPL-2.0-or-later
/* Which policy may a tree begin with, and what was found that speaks for it? */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "scan/run.h"

/* A library, or what else exports: how many symbols, and how many nobody uses. */
struct exporter {
	const char *name;
	size_t exports, unused;
};

static void count_exporters(const struct scan *s, struct exporter *count)
{
	size_t i;
	u32 k, home;

	for (i = 0; i < s->exports.n; i++) {
		const struct export *e = &s->exports.v[i];

		home = e->source != NO_FILE ? e->source : e->file;
		for (k = s->first[home]; k < s->first[home + 1]; k++) {
			count[s->member[k]].exports++;
			count[s->member[k]].unused += !e->nconsumers;
		}
	}
}

static bool is_test_folder(const char *name, size_t n)
{
	static const char *const names[] = {"test",     "tests",   "testing",
					    "examples", "example", "samples",
					    "demo",     "demos",   "fuzz"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && !memcmp(names[i], name, n))
			return true;
	return false;
}

/* Folders at the top whose names say that they hold tests or examples. */
static void list_tests(const struct scan *s, struct buf *b)
{
	const char *last = "";
	size_t i, n;

	for (i = 0; i < s->tree->files.n; i++) {
		const char *path = s->tree->files.v[i].path;

		n = strcspn(path, "/");
		if (!path[n] || !is_test_folder(path, n) || !strncmp(path, last, n + 1))
			continue;
		last = path;
		buf_printf(b, "# not = %.*s/\n", (int)n, path);
	}
}

static void write_found(const struct scan *s, struct buf *b)
{
	struct exporter *count = xcalloc(s->modules.n + 1, sizeof(*count));
	size_t i;

	count_exporters(s, count);
	buf_printf(b, "# What exportgate found: %zu exports.\n", s->exports.n);
	for (i = 0; i < s->modules.n; i++)
		if (count[i].exports && s->kind == KIND_LIBRARY)
			buf_printf(
				b,
				"#   %s: %zu exports, %zu without a consumer in the tree\n",
				s->modules.v[i].name, count[i].exports, count[i].unused);
	for (i = 0; i < s->notes.n; i++)
		buf_printf(b, "# not understood: %s\n", s->notes.v[i]);
	free(count);
}

static void write_policy(const struct scan *s, struct buf *b)
{
	buf_puts(b, "# exportgate(1) reads this.\n");
	write_found(s, b);
	buf_printf(b, "[tree]\nkind = %s\n\n", s->kind == KIND_LINUX ? "linux" : "library");
	buf_puts(b, "[rules]\n# Turn it on when the list is empty or waived.\nconsumed = "
		    "warn\n");
	if (s->kind == KIND_LIBRARY) {
		buf_puts(b,
			 "gpl-only = off\n\n[exports]\n"
			 "# The build files say it. Where they do not, or not right:\n"
			 "# version-script = src/libx.map\n# export-list = src/libx.sym\n"
			 "# attribute = LIBX_API\n"
			 "# An application's interface has its users elsewhere: only these "
			 "nodes "
			 "are judged:\n# judge-node = LIBX_PRIVATE*\n");
		buf_puts(b,
			 "\n[consumers]\n# Tests and examples count as users, unless:\n");
		list_tests(s, b);
		buf_puts(b, "# What is used in ways that no source shows:\n"
			    "# implicit = libx_plugin_* the loader looks it up\n");
	}
}

int cmd_init(struct options *o)
{
	const char *dir = o->nargs ? o->args[0] : o->tree;
	struct judgement j;
	struct policy p;
	struct scan *s;
	struct buf b = {0};
	char *path;
	int fd;

	if (o->nargs > 1) {
		fprintf(stderr, "exportgate: init takes one TREE at most\n");
		return EXIT_USAGE;
	}
	path = xasprintf("%s/%s", dir, POLICY_FILE);
	if (!access(path, F_OK))
		die("%s is there already; remove it first, or look at it", path);
	s = command_scan(o, dir, &p, &j);
	write_policy(s, &b);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		die("cannot make policy %s: %s; is the folder writable?", path,
		    strerror(errno));
	if (write(fd, b.s, b.n) != (ssize_t)b.n || close(fd))
		die("cannot write policy %s: %s", path, strerror(errno));
	printf("%s: %zu exports; 'exportgate check' judges by it\n", path, s->exports.n);
	buf_free(&b);
	free(path);
	judgement_free(&j);
	scan_free(s);
	policy_free(&p);
	return EXIT_OK;
}
