/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a person see what the library did in a program that they did not write?
 *
 * With HMM_STATS=stderr, or HMM_STATS=FILE, every process adds one line as it ends by
 * exit() or by returning from main. `hmm run` sets it. Where a process opened and closed
 * the library several times the line is of all of them together.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "linux/address_space.h"

#define LINE_MAX_LEN 1024

/* Of what was closed; open_lock, and at exit nobody else's business. */
static struct hmm_stats past;
static int past_pid; /* whose past that is; 0: nobody's (a child of fork has none) */

static void add(struct hmm_stats *sum, const struct hmm_stats *one)
{
	sum->translations = one->translations;
	sum->pinned = one->pinned;
	sum->misses += one->misses;
	sum->collisions += one->collisions;
	sum->revoked += one->revoked;
	sum->evicted += one->evicted;
	sum->closed_fills += one->closed_fills;
	for (int i = 0; i < HMM_MODES; i++)
		sum->by_mode[i] += one->by_mode[i];
	sum->events += one->events;
	sum->interposed += one->interposed;
	sum->perf_records += one->perf_records;
	if (one->arena > sum->arena)
		sum->arena = one->arena;
}

void stats_env_closing(struct hmm *hmm)
{
	struct hmm_stats stats;

	if (hmm_stats_read(hmm, NULL, &stats, sizeof(stats)))
		return;
	if (past_pid != getpid())
		past = (struct hmm_stats){0};
	past_pid = getpid();
	add(&past, &stats);
	past.translations = past.pinned = 0;
}

/* What is open now and what was closed before. */
static bool collect(struct hmm_stats *sum)
{
	bool used = past_pid == getpid();
	struct hmm *hmm = as_hold();
	struct hmm_stats stats;

	*sum = used ? past : (struct hmm_stats){0};
	if (!hmm)
		return used;
	if (!hmm_stats_read(hmm, NULL, &stats, sizeof(stats))) {
		used = true;
		add(sum, &stats);
	}
	as_drop();
	return used;
}

static int format_stats(char *line, size_t size, const struct hmm_stats *s)
{
	return snprintf(
		line, size,
		"%llu translations made (%llu direct, %llu fault, %llu pin, %llu stage; "
		"%llu without a pin after a removal), %llu revoked, %llu evicted, "
		"%llu collisions; changes: %llu by events, %llu by interposed calls, "
		"%llu mapping records; at the end: %llu translations, %llu bytes pinned, "
		"%llu bytes of its own\n",
		(unsigned long long)s->misses, (unsigned long long)s->by_mode[0],
		(unsigned long long)s->by_mode[1], (unsigned long long)s->by_mode[2],
		(unsigned long long)s->by_mode[3], (unsigned long long)s->closed_fills,
		(unsigned long long)s->revoked, (unsigned long long)s->evicted,
		(unsigned long long)s->collisions, (unsigned long long)s->events,
		(unsigned long long)s->interposed, (unsigned long long)s->perf_records,
		(unsigned long long)s->translations, (unsigned long long)s->pinned,
		(unsigned long long)s->arena);
}

/* One write a line, so that the lines of several processes do not mix. */
static void write_line(const char *where, const char *line, size_t len)
{
	int fd = STDERR_FILENO;

	if (strcmp(where, "stderr") != 0)
		fd = open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return; /* nobody is left who could be told */
	while (write(fd, line, len) < 0 && errno == EINTR)
		;
	if (fd != STDERR_FILENO)
		close(fd);
}

__attribute__((destructor)) static void stats_env_exit(void)
{
	const char *where = secure_getenv("HMM_STATS");
	char line[LINE_MAX_LEN];
	struct hmm_stats sum;
	int len;

	if (!where || !*where)
		return;
	len = snprintf(line, sizeof(line),
		       "libhmm: %.64s[%d]: ", program_invocation_short_name, (int)getpid());
	if (collect(&sum))
		len += format_stats(line + len, sizeof(line) - (size_t)len, &sum);
	else
		len += snprintf(line + len, sizeof(line) - (size_t)len, "not used\n");
	if (len < (int)sizeof(line))
		write_line(where, line, (size_t)len);
}
