// SPDX-License-Identifier: GPL-2.0-or-later
/* Which subcommand is meant, with which options? */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "command.h"

static const char usage_text[] =
	"usage: exportgate COMMAND [OPTIONS] [ARGUMENTS]\n"
	"\n"
	"  scan TREE               all exports, their consumers and the verdict of each "
	"rule\n"
	"  check [TREE]            the policy's verdict, one line a violation (for CI)\n"
	"  explain SYMBOL [TREE]   why a symbol is judged so, with the places\n"
	"  series RANGE | MBOX     the exports that a commit range or a mailbox of patches "
	"adds\n"
	"  history [NAME=DIR...]   release by release: added, consumed, dangling\n"
	"  due [NAME=DIR...]       the reverts that are due\n"
	"  init [TREE]             write a policy to begin with, and what was found\n"
	"\n"
	"  -C, --tree DIR          the tree (default: the current folder)\n"
	"  -p, --policy FILE       the policy (default: TREE/.exportgate)\n"
	"  -a, --all               also exports that keep all rules\n"
	"  -e, --elf DIR           scan built objects; with a TREE, compare both\n"
	"  -j, --json              JSON on standard output\n"
	"  -s, --sarif             SARIF 2.1.0 on standard output\n"
	"  -H, --html FILE         write a report in HTML\n"
	"  -n, --no-cache          neither read nor write the cache\n"
	"  -r, --refresh           write the cache anew\n"
	"      --stats             time and memory on standard error\n"
	"  -h, --help              this text\n"
	"  -V, --version           the version\n"
	"\n"
	"exit status: 0 all rules are kept, 1 violations, 2 wrong usage, 3 trouble\n";

static int usage_error(const char *what)
{
	fprintf(stderr, "exportgate: %s; try 'exportgate --help'\n", what);
	return EXIT_USAGE;
}

/* $XDG_CACHE_HOME/exportgate, made if need be; NULL if there is no place for it. */
static const char *cache_folder(void)
{
	const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *dir;

	if (base && *base == '/')
		dir = xstrdup(base);
	else if (home && *home == '/')
		dir = xasprintf("%s/.cache", home);
	else
		return NULL;
	mkdir(dir, 0755);
	char *own = xasprintf("%s/exportgate", dir);

	free(dir);
	if (mkdir(own, 0755) && errno != EEXIST) {
		free(own);
		return NULL;
	}
	return own;
}

static const struct {
	const char *name;
	int (*run)(struct options *o);
} commands[] = {
	{"scan", cmd_scan},     {"check", cmd_check},     {"explain", cmd_explain},
	{"series", cmd_series}, {"history", cmd_history}, {"due", cmd_due},
	{"init", cmd_init},
};

static const struct option long_options[] = {
	{"tree", required_argument, NULL, 'C'},
	{"policy", required_argument, NULL, 'p'},
	{"all", no_argument, NULL, 'a'},
	{"elf", required_argument, NULL, 'e'},
	{"json", no_argument, NULL, 'j'},
	{"sarif", no_argument, NULL, 's'},
	{"html", required_argument, NULL, 'H'},
	{"no-cache", no_argument, NULL, 'n'},
	{"refresh", no_argument, NULL, 'r'},
	{"stats", no_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* Returns -1 to go on, or the exit status. */
static int take_option(struct options *o, int c, bool *cache)
{
	switch (c) {
	case 'C':
		o->tree = optarg;
		break;
	case 'p':
		o->policy = optarg;
		break;
	case 'a':
		o->all = true;
		break;
	case 'e':
		o->elf = optarg;
		break;
	case 'j':
		o->json = true;
		break;
	case 's':
		o->sarif = true;
		break;
	case 'H':
		o->html = optarg;
		break;
	case 'n':
		*cache = false;
		break;
	case 'r':
		o->refresh = true;
		break;
	case 'S':
		o->stats = true;
		break;
	case 'h':
		fputs(usage_text, stdout);
		return EXIT_OK;
	case 'V':
		puts("exportgate " EXPORTGATE_VERSION);
		return EXIT_OK;
	default:
		return usage_error("unknown option");
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct options o = {.tree = "."};
	bool cache = true;
	size_t i;
	int c, status;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "C:p:ae:jsH:nrhV", long_options, NULL)) != -1) {
		status = take_option(&o, c, &cache);
		if (status >= 0)
			return status;
	}
	if (optind >= argc)
		return usage_error("a command is missing");
	o.args = (const char *const *)argv + optind + 1;
	o.nargs = argc - optind - 1;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, argv[optind])) {
			if (cache)
				o.cache = cache_folder();
			status = commands[i].run(&o);
			if (fflush(stdout) || ferror(stdout))
				die("cannot write the report: %s", strerror(errno));
			free((char *)o.cache);
			return status;
		}
	return usage_error("unknown command");
}
