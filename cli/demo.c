// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: what does a device see of memory that changes, the usual way and with libhmm?
 */
#include "cli.h"
#include "demo.h"
#include "../kit/place.h"
#include "table.h"

#include <hmm/hmm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIPE_SIZE       (1 << 20)
#define SECONDS_MAX     3600.0
#define SECONDS_DEFAULT 10.0

/* ---- the command line ---------------------------------------------------------------- */

enum { OPT_DAX = 256, OPT_DEVDAX };

static const struct argp_option argp_options[] = {
	{"seconds", 's', "N", 0, "how long, in all (10)", 0},
	{"kind", 'k', "KIND", 0,
	 "only this kind of memory (again for more): anonymous, thp, heap, stack, memfd, "
	 "private-file, shared-file, hugetlb, list, dax (all persistent memory)",
	 0},
	{"dax", OPT_DAX, "DIR", 0,
	 "persistent memory in files here, too; may be given again (default: "
	 "HMM_DAX_EXT4, HMM_DAX_XFS)",
	 0},
	{"devdax", OPT_DEVDAX, "NODE", 0,
	 "a device-DAX node, too; WHAT IT HOLDS IS OVERWRITTEN (default: HMM_DEV_DAX)", 0},
	{"still", 't', NULL, 0, "change nothing: then the usual way is right, too", 0},
	{"json", 'j', NULL, 0, "print JSON, for a program to read", 0},
	{0},
};

static bool choose_kind(struct demo_options *options, const char *name)
{
	/* Those of persistent memory are not known before all options are. */
	if (!strcmp(name, "dax"))
		return options->dax_chosen = options->any_chosen = true;
	for (unsigned int i = 0; i < nr_kinds; i++) {
		if (strcmp(kinds[i]->name, name) != 0)
			continue;
		options->chosen[i] = options->any_chosen = true;
		return true;
	}
	return false;
}

static void add_place(struct argp_state *state, int key, const char *arg)
{
	char error[512];

	if (key == OPT_DAX ? place_add_dax(arg, error, sizeof(error))
			   : place_set_device(arg, error, sizeof(error)))
		argp_error(state, "%s", error);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct demo_options *options = state->input;
	char *end;

	switch (key) {
	case 's':
		options->seconds = strtod(arg, &end);
		if (*end || !(options->seconds > 0) || options->seconds > SECONDS_MAX)
			argp_error(state, "--seconds: '%s' is not a number of seconds",
				   arg);
		return 0;
	case 'k':
		if (!choose_kind(options, arg))
			argp_error(state, "--kind: there is no kind of memory '%s'", arg);
		return 0;
	case OPT_DAX:
	case OPT_DEVDAX:
		add_place(state, key, arg);
		return 0;
	case 't':
		options->still = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one argument too many", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char doc[] =
	"See it work. A device moves data between files and a program's memory, while "
	"the program's other threads unmap, remap, discard and protect that memory. "
	"Once the usual way: io_uring with buffers registered once. Once with libhmm: "
	"io_uring, then the reference device, with plain pointers. Every byte is checked."
	"\vThe exit status is 1 if anything was wrong with libhmm, 77 if nothing could "
	"be run.";

static const struct argp argp = {
	.options = argp_options, .parser = parse_option, .doc = doc};

/* ---- setting up ---------------------------------------------------------------------- */

static int fill_data_file(int fd)
{
	uint64_t *block = malloc(BLOCK_MAX);
	int err = block ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < BLOCKS && !err; i++) {
		stamp_fill(block, BLOCK_MAX, stamp(OWNER_FILE, i + 1));
		if (pwrite(fd, block, BLOCK_MAX, (off_t)(i * BLOCK_MAX)) !=
		    (ssize_t)BLOCK_MAX)
			err = errno ? -errno : -ENOSPC;
	}
	free(block);
	return err;
}

static int open_files(struct stage *stage)
{
	void *data;
	int err;

	stage->data_fd = demo_temporary_file();
	stage->out_fd = stage->data_fd < 0 ? stage->data_fd : demo_temporary_file();
	if (stage->out_fd < 0)
		return stage->out_fd;
	err = fill_data_file(stage->data_fd);
	if (err)
		return err;
	data = mmap(NULL, BLOCKS * BLOCK_MAX, PROT_READ, MAP_SHARED, stage->data_fd, 0);
	stage->data = data;
	return data == MAP_FAILED ? -errno : 0;
}

static int open_pipes(struct stage *stage)
{
	for (unsigned int i = 0; i < BUFFERS_MAX; i++) {
		if (pipe2(stage->pipes[i], O_CLOEXEC)) {
			int err = -errno;

			cli_error("no pipes: %s; the demo needs about 100 descriptors "
				  "(ulimit -n)",
				  strerror(-err));
			return err;
		}
		fcntl(stage->pipes[i][1], F_SETPIPE_SZ, PIPE_SIZE); /* may be refused */
	}
	return 0;
}

static int open_stage(struct stage *stage)
{
	void *out;
	int err = open_files(stage);

	if (err) {
		const char *where = demo_directory();

		cli_error("no temporary files in %s: %s", where ? where : "any directory",
			  strerror(-err));
		return err;
	}
	err = open_pipes(stage);
	if (err)
		return err;
	/* Nobody reads while an operation writes; pages half full take room too. */
	stage->pipe_max = (size_t)fcntl(stage->pipes[BUFFERS_MAX - 1][1], F_GETPIPE_SZ) / 4;
	out = mmap(NULL, (size_t)BUFFERS_MAX * BLOCK_MAX, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stage->out = out;
	if (out == MAP_FAILED) {
		err = -errno;
		cli_error("no memory for the results: %s", strerror(-err));
	}
	return err;
}

static void close_stage(struct stage *stage)
{
	munmap((void *)stage->data, BLOCKS * BLOCK_MAX);
	munmap(stage->out, BUFFERS_MAX * BLOCK_MAX);
	close(stage->data_fd);
	close(stage->out_fd);
	for (unsigned int i = 0; i < BUFFERS_MAX; i++) {
		close(stage->pipes[i][0]);
		close(stage->pipes[i][1]);
	}
}

/* Without mapping records a raw mprotect is not seen, or a moment later: a documented
 * limit.
 */
static bool sees_raw_protect(void)
{
	struct hmm_feature features[64];
	int count = hmm_features(features, 64, sizeof(*features));

	for (int i = 0; i < count && i < 64; i++) {
		if (!strcmp(features[i].name, "perf-at-once"))
			return features[i].state == HMM_FEATURE_ON;
	}
	return false;
}

/* ---- running ------------------------------------------------------------------------- */

bool demo_has(const struct demo *demo, unsigned int kind)
{
	return !demo->options.any_chosen || demo->options.chosen[kind] ||
	       (demo->options.dax_chosen && kinds[kind]->dax);
}

static bool can_use(const struct kind *kind, const struct engine *engine)
{
	if (engine->to_compare && !kind->dax)
		return false;
	return engine->in_software || !kind->linked;
}

static unsigned int count_cells(const struct demo *demo)
{
	unsigned int cells = 0;

	for (unsigned int k = 0; k < nr_kinds; k++) {
		for (unsigned int e = 0; e < ENGINES; e++)
			cells += demo_has(demo, k) && can_use(kinds[k], &engines[e]);
	}
	return cells;
}

static void add_counts(struct counts *sum, const struct counts *counts)
{
	sum->operations += counts->operations;
	sum->bytes += counts->bytes;
	sum->changes += counts->changes;
	sum->lost += counts->lost;
	sum->stale += counts->stale;
	sum->forbidden += counts->forbidden;
	sum->foreign += counts->foreign;
	sum->failed += counts->failed;
	sum->busy += counts->busy;
	sum->still_bytes += counts->still_bytes;
	sum->still_busy += counts->still_busy;
}

static void run_cells(struct demo *demo)
{
	unsigned int cells = count_cells(demo), done = 0;
	const struct cell_options options = {
		.seconds = demo->options.seconds / cells,
		.raw_protect = demo->raw_protect,
		.still = demo->options.still,
	};

	for (unsigned int k = 0; k < nr_kinds; k++) {
		for (unsigned int e = 0; e < ENGINES; e++) {
			struct result *result = &demo->results[k][e];

			result->verdict = CELL_NONE;
			if (!demo_has(demo, k) || !can_use(kinds[k], &engines[e]))
				continue;
			table_progress("[%u/%u] %s, %s", ++done, cells, kinds[k]->title,
				       engines[e].title);
			cell_run(&demo->stage, kinds[k], &engines[e], &options, result);
			if (result->verdict == CELL_RAN)
				add_counts(&demo->totals[e], &result->counts);
		}
	}
	table_progress_done();
}

int cmd_demo(int argc, char **argv)
{
	struct demo *demo = calloc(1, sizeof(*demo));
	char error[512];
	int status;

	if (!demo) {
		cli_error("no memory");
		return CLI_FAILED;
	}
	demo->options.seconds = SECONDS_DEFAULT;
	argp_parse(&argp, argc, argv, 0, NULL, &demo->options);
	if (places_from_environment(error, sizeof(error))) {
		cli_error("%s", error);
		free(demo);
		return CLI_USAGE;
	}
	dax_kinds_add();
	if (open_stage(&demo->stage)) {
		free(demo);
		return CLI_FAILED;
	}
	demo->raw_protect = sees_raw_protect();
	if (!demo->options.json)
		demo_print_head(demo);
	run_cells(demo);
	status = demo->options.json ? demo_print_json(demo) : demo_print_table(demo);
	close_stage(&demo->stage);
	free(demo);
	return status;
}
