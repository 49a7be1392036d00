// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what must the CPU see now, and do the CPU and the device both see it?
 *
 * The model is a copy of the region (shadow) and a state a page; it follows the effects of
 * changes as the kit has them. The device is asked first and the CPU after it, since
 * a look by the CPU would bring pages back that the device has to find missing itself.
 * Every write carries a stamp of its own, so that old data never looks like new.
 */
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* ---- verdicts --------------------------------------------------------------------- */

static int verdict(struct check_run *run, uint8_t status, const char *format, va_list args)
{
	size_t used = 0;

	if (run->failed)
		return -1;
	run->failed = true;
	run->result->status = status;
	if (run->step && status == CHECK_FAIL)
		used = (size_t)snprintf(run->result->detail, sizeof(run->result->detail),
					"%s: ", run->step);
	vsnprintf(run->result->detail + used, sizeof(run->result->detail) - used, format,
		  args);
	return -1;
}

int check_fail(struct check_run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	verdict(run, CHECK_FAIL, format, args);
	va_end(args);
	return -1;
}

int check_stale(struct check_run *run, const char *format, ...)
{
	va_list args;

	if (!run->failed)
		run->stale = true;
	va_start(args, format);
	verdict(run, CHECK_FAIL, format, args);
	va_end(args);
	return -1;
}

int check_skip(struct check_run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	verdict(run, CHECK_SKIP, format, args);
	va_end(args);
	return -1;
}

void check_limit(struct check_run *run, unsigned int limit)
{
	run->failed = true;
	run->result->status = CHECK_LIMIT;
	run->result->limit = (uint8_t)limit;
}

/* ---- the model ------------------------------------------------------------------------
 */

static const uint8_t *stamp(struct check_run *run, size_t lo, size_t hi)
{
	kit_stamp_fill(run->r.shadow + lo, lo, hi - lo, kit_stamp_next());
	return run->r.shadow + lo;
}

int model_paint(struct check_run *run, size_t lo, size_t hi)
{
	int signal = guarded_write(run->r.addr + lo, stamp(run, lo, hi), hi - lo);

	if (signal)
		return check_fail(run, "the CPU got signal %d where it should write",
				  signal);
	kit_state_set(&run->r, lo, hi, PAGE_RW);
	return 0;
}

/* ---- the device and the CPU, against the model ------------------------------------------
 */

static bool span_allows(const struct kit_region *r, size_t offset, size_t len, bool write)
{
	for (size_t i = offset / KIT_PAGE; i <= (offset + len - 1) / KIT_PAGE; i++) {
		if (r->state[i] == PAGE_SEGV || r->state[i] == PAGE_BUS ||
		    (write && r->state[i] == PAGE_RO))
			return false;
	}
	return true;
}

static bool span_unknown(const struct kit_region *r, size_t offset, size_t len)
{
	for (size_t i = offset / KIT_PAGE; i <= (offset + len - 1) / KIT_PAGE; i++) {
		if (r->state[i] == PAGE_ANY)
			return true;
	}
	return false;
}

static size_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t i = 0;

	while (i < len && a[i] == b[i])
		i++;
	return i;
}

static bool is_refusal(int rc)
{
	return rc == -EFAULT || rc == -EACCES;
}

static const char *error_text(int rc)
{
	static __thread char text[64];

	if (!rc)
		return "success";
	snprintf(text, sizeof(text), "%s",
		 strerrorname_np(-rc) ? strerrorname_np(-rc) : "?");
	return text;
}

int device_read(struct check_run *run, size_t offset, size_t len)
{
	struct kit_region *r = &run->r;
	uint8_t *out = run->buf;
	size_t at;
	int rc;

	memset(out, 0xee, len);
	rc = kit_read(&run->env->use, r->addr + offset, out, len);
	++*check_beat;
	if (!span_allows(r, offset, len, false)) {
		if (is_refusal(rc))
			return 0;
		return check_stale(
			run, "device read of [%zu, +%zu) gave %s where the CPU faults",
			offset, len, error_text(rc));
	}
	if (rc)
		return check_fail(run, "device read of [%zu, +%zu) gave %s (%s)", offset,
				  len, error_text(rc), run->env->hmm ? hmm_error() : "");
	if (span_unknown(r, offset, len) &&
	    guarded_read(r->shadow + offset, r->addr + offset, len))
		return check_fail(run, "the CPU faults where memory should be");
	at = first_difference(out, r->shadow + offset, len);
	if (at == len)
		return 0;
	return check_stale(run,
			   "device read of [%zu, +%zu) got %02x at %zu, the CPU has %02x",
			   offset, len, out[at], offset + at, r->shadow[offset + at]);
}

/* A write that was refused may have moved some bytes, all of them where it could write. */
static int settle_refused(struct check_run *run, size_t offset, size_t len)
{
	struct kit_region *r = &run->r;
	size_t end = offset + len;

	for (size_t at = offset; at < end;) {
		size_t stop = (at / KIT_PAGE + 1) * KIT_PAGE;
		enum page_state state = r->state[at / KIT_PAGE];
		uint8_t now[KIT_PAGE_MAX];

		stop = stop < end ? stop : end;
		if (state == PAGE_RW || state == PAGE_ANY) {
			if (guarded_read(now, r->addr + at, stop - at))
				return check_fail(run,
						  "the CPU faults at %zu after a refused "
						  "device write",
						  at);
			for (size_t i = 0; i < stop - at; i++) {
				if (now[i] != r->shadow[at + i] &&
				    now[i] != run->buf[at - offset + i] &&
				    state != PAGE_ANY)
					return check_fail(
						run,
						"a refused device write left %02x at %zu",
						now[i], at + i);
				r->shadow[at + i] = now[i];
			}
		}
		at = stop;
	}
	return 0;
}

/* What the device wrote (in buf) is what the CPU reads, and beside it nothing moved. */
static int cpu_sees(struct check_run *run, size_t offset, size_t len)
{
	struct kit_region *r = &run->r;
	size_t at;

	if (cpu_verify(run, offset, len))
		return -1;
	if (!span_unknown(r, offset, len))
		return 0;
	if (guarded_read(r->shadow + offset, r->addr + offset, len))
		return check_fail(run, "the CPU faults where the device wrote");
	at = first_difference(run->buf, r->shadow + offset, len);
	if (at == len)
		return 0;
	return check_stale(run, "the CPU reads %02x at %zu, the device wrote %02x",
			   r->shadow[offset + at], offset + at, run->buf[at]);
}

int device_write(struct check_run *run, size_t offset, size_t len)
{
	struct kit_region *r = &run->r;
	int rc;

	kit_stamp_fill(run->buf, offset, len, kit_stamp_next());
	rc = kit_write(&run->env->use, r->addr + offset, run->buf, len);
	++*check_beat;
	if (!span_allows(r, offset, len, true)) {
		if (is_refusal(rc))
			return settle_refused(run, offset, len);
		return check_stale(
			run, "device write to [%zu, +%zu) gave %s where the CPU may not",
			offset, len, error_text(rc));
	}
	if (rc)
		return check_fail(run, "device write to [%zu, +%zu) gave %s (%s)", offset,
				  len, error_text(rc), run->env->hmm ? hmm_error() : "");
	memcpy(r->shadow + offset, run->buf, len);
	return cpu_sees(run, offset, len);
}

static int verify_page(struct check_run *run, size_t page)
{
	struct kit_region *r = &run->r;
	size_t offset = page * KIT_PAGE;
	uint8_t now[KIT_PAGE_MAX];
	int signal = guarded_read(now, r->addr + offset, KIT_PAGE);
	int want = r->state[page] == PAGE_SEGV  ? SIGSEGV
		   : r->state[page] == PAGE_BUS ? SIGBUS
						: 0;
	size_t at;

	if (signal != want) {
		if (want && !signal)
			run->unreadable_ok = true;
		return check_fail(run, "the CPU got signal %d at %zu, expected %d", signal,
				  offset, want);
	}
	if (signal || r->state[page] == PAGE_ANY)
		return 0;
	at = first_difference(now, r->shadow + offset, KIT_PAGE);
	if (at == KIT_PAGE)
		return 0;
	return check_stale(run, "the CPU reads %02x at %zu, expected %02x", now[at],
			   offset + at, r->shadow[offset + at]);
}

/* The pages of [offset, +len) and one more on each side are as the model says. */
int cpu_verify(struct check_run *run, size_t offset, size_t len)
{
	size_t first = offset / KIT_PAGE;
	size_t last = (offset + len - 1) / KIT_PAGE;

	if (first)
		first--;
	if ((last + 1) * KIT_PAGE < run->r.len)
		last++;
	for (size_t page = first; page <= last; page++) {
		if (verify_page(run, page))
			return -1;
	}
	return 0;
}
