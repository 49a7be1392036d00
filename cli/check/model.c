// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what must the CPU see now, and do the CPU and the device both see it?
 *
 * The model is a copy of the region (shadow) and a state a page. A change updates the
 * model by what its man page says. The device is asked first and the CPU after it, since
 * a look by the CPU would bring pages back that the device has to find missing itself.
 * Every write carries a stamp of its own, so that old data never looks like new.
 */
#include "suite.h"

#include <errno.h>
#include <setjmp.h>
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

/* ---- what the CPU may do ------------------------------------------------------------ */

static __thread sigjmp_buf guard;
static __thread volatile sig_atomic_t guarded;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	if (guarded)
		siglongjmp(guard, signal);
	/* Not ours: die of it, as without us; the runner reports it. */
	sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

void check_catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static __attribute__((noinline)) int guarded_copy(void *to, const void *from, size_t len)
{
	int signal = sigsetjmp(guard, 0);

	if (!signal) {
		guarded = 1;
		memcpy(to, from, len);
		__asm__ volatile("" ::: "memory");
	}
	guarded = 0;
	return signal;
}

int guarded_read(void *out, const void *from, size_t len)
{
	return guarded_copy(out, from, len);
}

int guarded_write(void *to, const void *data, size_t len)
{
	return guarded_copy(to, data, len);
}

/* ---- stamps -------------------------------------------------------------------------- */

static uint64_t stamp_word(uint64_t serial, size_t index)
{
	uint64_t x = serial * 0x9e3779b97f4a7c15ull + index;

	x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9ull;
	return (x ^ (x >> 29)) | 0x0101010101010101ull; /* no byte of it is zero */
}

/* Never the same twice in a process: data of an earlier cell is old data too. */
uint64_t model_next(void)
{
	static uint64_t last;

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

void model_fill(uint8_t *out, size_t offset, size_t len, uint64_t serial)
{
	size_t i = 0;

	while (i < len) {
		uint64_t word = stamp_word(serial, (offset + i) / 8);
		size_t in = (offset + i) % 8;
		size_t n = 8 - in < len - i ? 8 - in : len - i;

		memcpy(out + i, (uint8_t *)&word + in, n);
		i += n;
	}
}

/* ---- the model ------------------------------------------------------------------------
 */

void model_state(struct check_run *run, size_t lo, size_t hi, enum page_state state)
{
	for (size_t i = lo / CHECK_PAGE; i < hi / CHECK_PAGE; i++)
		run->r.state[i] = (uint8_t)state;
}

void model_zero(struct check_run *run, size_t lo, size_t hi)
{
	memset(run->r.shadow + lo, 0, hi - lo);
}

/* What private memory shows after its pages went; shared memory keeps its content. */
void model_discard(struct check_run *run, size_t lo, size_t hi)
{
	if (run->r.kind->traits & T_SHARED)
		return;
	if (run->r.base)
		memcpy(run->r.shadow + lo, run->r.base + lo, hi - lo);
	else
		model_zero(run, lo, hi);
}

const uint8_t *model_stamp(struct check_run *run, size_t lo, size_t hi)
{
	model_fill(run->r.shadow + lo, lo, hi - lo, model_next());
	return run->r.shadow + lo;
}

int model_paint(struct check_run *run, size_t lo, size_t hi)
{
	int signal;

	model_stamp(run, lo, hi);
	signal = guarded_write(run->r.addr + lo, run->r.shadow + lo, hi - lo);
	if (signal)
		return check_fail(run, "the CPU got signal %d where it should write",
				  signal);
	model_state(run, lo, hi, PAGE_RW);
	return 0;
}

/* New memory of the same kind at [lo, hi), with new content. */
int model_remap(struct check_run *run, size_t lo, size_t hi, int flags)
{
	struct check_region *r = &run->r;
	const uint8_t *data = model_stamp(run, lo, hi);
	int err = r->kind->map(r, run->calls, r->addr + lo, hi - lo, flags, data);

	if (err == -EBUSY && (flags & MAP_FIXED_NOREPLACE))
		return check_skip(run, "the address was taken meanwhile");
	if (err)
		return check_fail(run, "cannot map %s memory again: %s", r->kind->name,
				  strerror(-err));
	if (r->base)
		memcpy(r->base + lo, data, hi - lo);
	if (r->kind->traits & T_WRITE)
		return model_paint(run, lo, hi);
	model_state(run, lo, hi, PAGE_RO);
	return 0;
}

/* ---- the device and the CPU, against the model ------------------------------------------
 */

static bool span_allows(const struct check_region *r, size_t offset, size_t len, bool write)
{
	for (size_t i = offset / CHECK_PAGE; i <= (offset + len - 1) / CHECK_PAGE; i++) {
		if (r->state[i] == PAGE_SEGV || r->state[i] == PAGE_BUS ||
		    (write && r->state[i] == PAGE_RO))
			return false;
	}
	return true;
}

static bool span_unknown(const struct check_region *r, size_t offset, size_t len)
{
	for (size_t i = offset / CHECK_PAGE; i <= (offset + len - 1) / CHECK_PAGE; i++) {
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
	struct check_region *r = &run->r;
	uint8_t *out = run->buf;
	size_t at;
	int rc;

	memset(out, 0xee, len);
	rc = run->env->dev->table->read(run->env->context, r->addr + offset, out, len);
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
	struct check_region *r = &run->r;
	size_t end = offset + len;

	for (size_t at = offset; at < end;) {
		size_t stop = (at / CHECK_PAGE + 1) * CHECK_PAGE;
		enum page_state state = r->state[at / CHECK_PAGE];
		uint8_t now[CHECK_PAGE_MAX];

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
	struct check_region *r = &run->r;
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
	struct check_region *r = &run->r;
	int rc;

	model_fill(run->buf, offset, len, model_next());
	rc = run->env->dev->table->write(run->env->context, r->addr + offset, run->buf,
					 len);
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
	struct check_region *r = &run->r;
	size_t offset = page * CHECK_PAGE;
	uint8_t now[CHECK_PAGE_MAX];
	int signal = guarded_read(now, r->addr + offset, CHECK_PAGE);
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
	at = first_difference(now, r->shadow + offset, CHECK_PAGE);
	if (at == CHECK_PAGE)
		return 0;
	return check_stale(run, "the CPU reads %02x at %zu, expected %02x", now[at],
			   offset + at, r->shadow[offset + at]);
}

/* The pages of [offset, +len) and one more on each side are as the model says. */
int cpu_verify(struct check_run *run, size_t offset, size_t len)
{
	size_t first = offset / CHECK_PAGE;
	size_t last = (offset + len - 1) / CHECK_PAGE;

	if (first)
		first--;
	if ((last + 1) * CHECK_PAGE < run->r.len)
		last++;
	for (size_t page = first; page <= last; page++) {
		if (verify_page(run, page))
			return -1;
	}
	return 0;
}
