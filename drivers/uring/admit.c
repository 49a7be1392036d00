// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: is memory that is on no fixed buffer worth pinning for
 * this operation?
 *
 * A pin costs ten times what it saves, so it has to be used again. Where none is to be had,
 * or something has to go for it that would be used again itself, a try for each operation
 * would be slower than having no fixed buffers at all.
 *   - Memory that is used the first time stays plain: many buffers are used once.
 *   - None to be had: each part of the address space has a number of misses that stay plain
 *     before the next try. It doubles while tries fail, and is gone with the first pin.
 *   - Crowded: once something had to go for a pin, most misses stay plain, so that the
 *     buffers that are used most come to stay. It is over when a number of pins found room.
 *
 * And it is the whole memory of an operation that is pinned, which becomes resident. Of
 * much memory only what will be moved, or is resident already, is pinned.
 */
#include "internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PART_SHIFT 21
#define PAGE_SHIFT 12
#define WAIT_NONE  4095u /* misses, at most, while there is no pin to be had */
#define WAIT_CROWD 255u  /* misses, while others have to go for a pin */
#define CROWDED    32u   /* pins with room that end that: the core evicts 16 at a time */
#define MUCH       (256u * 1024)
#define PAGES      4096u /* that are looked at at a time */

static struct uring_part *part_of(struct hmm_uring *u, uint64_t address)
{
	uint64_t hash = (address >> PART_SHIFT) * 0x9E3779B97F4A7C15ull;

	return &u->parts[hash >> 56];
}
_Static_assert(PARTS == 1u << 8, "as many bits as part_of() takes");

/* Was it used before, as far as the table remembers? A pin ends that. */
static bool is_second_use(struct hmm_uring *u, const struct uring_span *span)
{
	uint64_t hash = (span->start >> PAGE_SHIFT) * 0x9E3779B97F4A7C15ull;
	uint16_t *seen = &u->seen[hash >> 52], tag = (uint16_t)(hash >> 36) | 1;

	if (*seen == tag) {
		*seen = 0;
		return true;
	}
	*seen = tag;
	return u->pin_all;
}
_Static_assert(SEEN == 1u << 12, "as many bits as is_second_use() takes");

/* May it be tried now? */
static bool is_time(struct hmm_uring *u, struct uring_part *part)
{
	if (part->left) {
		part->left--;
		return false;
	}
	if (u->crowded && u->crowd_left) {
		u->crowd_left--;
		return false;
	}
	return true;
}

static void tried(struct hmm_uring *u, struct uring_part *part, bool pinned, bool crowded)
{
	unsigned int wait = pinned ? 0 : part->wait * 2u + 1;

	part->wait = (uint16_t)(wait > WAIT_NONE ? WAIT_NONE : wait);
	part->left = part->wait;
	if (crowded)
		u->crowded = CROWDED;
	else if (u->crowded)
		u->crowded--;
	u->crowd_left = WAIT_CROWD;
}

/* All but an eighth of it. */
static bool is_resident(const struct uring_span *span)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at = span->start & -page;
	uint64_t end = span->start + span->len, all = 0, there = 0;
	unsigned char pages[PAGES];
	int saved = errno;

	for (; at < end; at += PAGES * page) {
		uint64_t nr = (end - at + page - 1) / page;

		nr = nr > PAGES ? PAGES : nr;
		if (mincore((void *)(uintptr_t)at, nr * page, pages))
			break;
		for (uint64_t i = 0; i < nr; i++)
			there += pages[i] & 1;
		all += nr;
	}
	errno = saved;
	return at >= end && there >= all - all / 8;
}

static bool is_worth_it(const struct io_uring_sqe *sqe, const struct uring_span *span)
{
	if (span->len <= MUCH)
		return true;
	return span->access == HMM_WRITE ? uring_file_has(sqe, span) : is_resident(span);
}

static __attribute__((noinline)) int pin(struct hmm_uring *u, struct hmm_mirror *mirror,
					 const struct io_uring_sqe *sqe,
					 const struct uring_span *span,
					 struct hmm_translation *out)
{
	struct uring_part *part = part_of(u, span->start);
	uint32_t before = uring_slots_pressure;
	int ret;

	if (!is_second_use(u, span) || !is_time(u, part) || !is_worth_it(sqe, span))
		return -EAGAIN;
	ret = hmm_translate(mirror, (void *)(uintptr_t)span->start, span->len, span->access,
			    out);
	if (ret == -EOPNOTSUPP)
		return ret; /* the application wants to be told, each time */
	tried(u, part, !ret && out->mode == HMM_MODE_PIN, uring_slots_pressure != before);
	return ret;
}

int uring_admit(struct hmm_uring *u, struct hmm_mirror *mirror,
		const struct io_uring_sqe *sqe, const struct uring_span *span,
		struct hmm_translation *out)
{
	if (likely(!hmm_translate_present(mirror, (void *)(uintptr_t)span->start, span->len,
					  span->access, out)))
		return 0;
	return pin(u, mirror, sqe, span, out);
}
