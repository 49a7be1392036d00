// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The fake address space, and who changes it.
 *
 * The question this file answers: in which order do memory and news of it go? The orders
 * are the kernel's: an unmapping is told after the pages went, a removal before, and who
 * makes the change runs on once the event was read.
 */
#include "fake.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Noreturn void fake_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
	abort();
}

size_t fake_page_size(void)
{
	static size_t size;

	if (!__atomic_load_n(&size, __ATOMIC_RELAXED))
		__atomic_store_n(&size, (size_t)sysconf(_SC_PAGESIZE), __ATOMIC_RELAXED);
	return __atomic_load_n(&size, __ATOMIC_RELAXED);
}

static unsigned int page_of(uint64_t addr)
{
	CHECK(addr >= FAKE_BASE && addr < fake_addr(FAKE_PAGES));
	return (unsigned int)((addr - FAKE_BASE) / FAKE_PAGE);
}

static bool inside(uint64_t addr)
{
	return addr >= FAKE_BASE && addr < fake_addr(FAKE_PAGES);
}

/* ---- the source ------------------------------------------------------------------ */

static bool same_mapping(const struct fake_page *a, const struct fake_page *b)
{
	return a->id == b->id && a->access == b->access && a->pinnable == b->pinnable;
}

static int find(void *source, uint64_t addr, struct source_mapping *out)
{
	struct fake *f = source;
	unsigned int low, high, p;
	void (*hook)(struct fake *);

	CHECK(!core_busy());
	if (!inside(addr))
		return -ENOENT;
	pthread_mutex_lock(&f->lock);
	hook = f->on_look;
	f->on_look = NULL;
	f->finds++;
	p = page_of(addr);
	for (low = p; low && same_mapping(&f->pages[low - 1], &f->pages[p]); low--)
		;
	for (high = p + 1; high < FAKE_PAGES && same_mapping(&f->pages[high], &f->pages[p]);
	     high++)
		;
	*out = (struct source_mapping){
		.start = fake_addr(low),
		.end = fake_addr(high),
		.access = f->pages[p].access,
		.pinnable = f->pages[p].pinnable,
		.special = f->pages[p].special,
		.why = f->pages[p].pinnable ? NULL : "a fake reason",
		.name = "[fake]",
	};
	bool hole = !f->pages[p].id;
	pthread_mutex_unlock(&f->lock);
	if (hook)
		hook(f);
	return hole ? -ENOENT : 0;
}

static int can_arm(const struct fake_page *page)
{
	if (!page->id)
		return -EFAULT;
	if (page->foreign)
		return -EBUSY;
	return page->unwatchable ? -EOPNOTSUPP : 0;
}

/* Whole mappings are armed, as src/linux does. */
static void arm_page(struct fake *f, const struct fake_page *page)
{
	for (unsigned int i = 0; i < FAKE_PAGES; i++)
		f->pages[i].armed |= f->pages[i].id == page->id;
}

static bool arm_is_idle(const struct fake_page *page)
{
	return page->armed && !can_arm(page);
}

static bool armed_already(struct fake *f, uint64_t start, uint64_t end)
{
	bool armed = true;

	pthread_mutex_lock(&f->lock);
	for (uint64_t a = start; armed && a < end; a += FAKE_PAGE)
		armed = inside(a) && arm_is_idle(&f->pages[page_of(a)]);
	pthread_mutex_unlock(&f->lock);
	return armed;
}

static int arm(void *source, uint64_t start, uint64_t end)
{
	struct fake *f = source;
	int err = f->arm_error;

	CHECK(!core_busy());
	if (!err && armed_already(f, start, end))
		return 0;
	change_arm_begin(f->hmm, FAKE_BASE, fake_addr(FAKE_PAGES));
	pthread_mutex_lock(&f->lock);
	f->arms++;
	for (uint64_t a = start; !err && a < end; a += FAKE_PAGE) {
		err = inside(a) ? can_arm(&f->pages[page_of(a)]) : -EFAULT;
		if (!err)
			arm_page(f, &f->pages[page_of(a)]);
	}
	pthread_mutex_unlock(&f->lock);
	change_arm_end(f->hmm);
	return err;
}

static int fault_in(struct fake *f, uint64_t addr, unsigned int access)
{
	struct fake_page *page = inside(addr) ? &f->pages[page_of(addr)] : NULL;

	if (!page || !page->id)
		return -EFAULT;
	if (access & ~page->access)
		return -EACCES;
	if (!page->frame)
		page->frame = ++f->next_frame;
	return 0;
}

static int populate(void *source, uint64_t start, uint64_t end, bool write)
{
	struct fake *f = source;
	int err = f->populate_error;

	CHECK(!core_busy());
	pthread_mutex_lock(&f->lock);
	f->populates++;
	for (uint64_t a = start; !err && a < end; a += FAKE_PAGE)
		err = fault_in(f, a, write ? HMM_WRITE : HMM_READ);
	pthread_mutex_unlock(&f->lock);
	return err;
}

static uint64_t state_of(const struct fake_page *page)
{
	if (!page->id || !(page->access & HMM_READ))
		return HMM_PFN_ERROR;
	if (!page->frame)
		return 0;
	return HMM_PFN_VALID | (page->access & HMM_WRITE ? HMM_PFN_WRITE : 0);
}

static int scan(void *source, uint64_t start, uint64_t end, uint64_t *pfns)
{
	struct fake *f = source;

	CHECK(!core_busy());
	pthread_mutex_lock(&f->lock);
	f->scans++;
	for (uint64_t a = start; a < end; a += FAKE_PAGE)
		*pfns++ = inside(a) ? state_of(&f->pages[page_of(a)]) : HMM_PFN_ERROR;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static int copy(struct fake *f, uint64_t addr, size_t len, unsigned int access, void *in,
		const void *out)
{
	unsigned char *at;
	int err = inside(addr) && inside(addr + len - 1) ? 0 : -EFAULT;

	CHECK(!core_busy());
	pthread_mutex_lock(&f->lock);
	for (uint64_t a = addr & ~(uint64_t)(FAKE_PAGE - 1); !err && a < addr + len;
	     a += FAKE_PAGE)
		err = fault_in(f, a, access) ? -EFAULT : 0;
	at = f->memory + (addr - FAKE_BASE);
	if (!err && in)
		memcpy(in, at, len);
	if (!err && out)
		memcpy(at, out, len);
	pthread_mutex_unlock(&f->lock);
	return err;
}

static int copy_in(void *source, void *to, uint64_t from, size_t len)
{
	return copy(source, from, len, HMM_READ, to, NULL);
}

static int copy_out(void *source, uint64_t to, const void *from, size_t len)
{
	return copy(source, to, len, HMM_WRITE, NULL, from);
}

static int present(void *source, uint64_t addr)
{
	struct fake *f = source;
	int ret;

	CHECK(core_busy());
	pthread_mutex_lock(&f->lock);
	f->presents++;
	ret = f->present_error;
	if (!ret && !(inside(addr) && f->pages[page_of(addr)].armed))
		ret = -ENOENT;
	if (!ret)
		ret = f->pages[page_of(addr)].frame != 0;
	pthread_mutex_unlock(&f->lock);
	return ret;
}

static bool drain(void *source, uint32_t patience_ms)
{
	struct fake *f = source;
	uint64_t start[64], end[64];
	unsigned int n;

	CHECK(core_busy());
	pthread_mutex_lock(&f->lock);
	f->drains++;
	n = f->nr_records;
	for (unsigned int i = 0; i < n; i++) {
		start[i] = f->records[i].start;
		end[i] = f->records[i].end;
	}
	f->nr_records = 0;
	pthread_mutex_unlock(&f->lock);
	for (unsigned int i = 0; i < n; i++)
		change_seen(f->hmm, start[i], end[i]);
	return true;
}

static uint64_t now(void *source)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool changers_done(void *source, uint64_t since)
{
	struct fake *f = source;
	bool done;

	CHECK(!core_busy());
	pthread_mutex_lock(&f->lock);
	done = !f->proof_off;
	for (unsigned int i = 0; i < 64; i++)
		done = done && !(f->removals[i] && f->removals[i] <= since);
	pthread_mutex_unlock(&f->lock);
	return done;
}

static void barrier(void *source, _Atomic bool *fences)
{
	struct fake *f = source;

	__atomic_fetch_add(&f->barriers, 1, __ATOMIC_RELAXED);
	CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
}

static struct source_ops ops = {
	.size = sizeof(ops),
	.find = find,
	.arm = arm,
	.populate = populate,
	.scan = scan,
	.copy_in = copy_in,
	.copy_out = copy_out,
	.present = present,
	.drain = drain,
	.changers_done = changers_done,
	.now = now,
	.barrier = barrier,
};

/* What src/linux/process.c has of the real one. */
struct hmm *hmm_get(struct hmm *hmm)
{
	core_get(hmm);
	return hmm;
}

void hmm_close(struct hmm *hmm)
{
	CHECK(!core_put(hmm)); /* the fake holds the last */
}

/* ---- life ------------------------------------------------------------------------- */

static void *work(void *arg)
{
	core_worker(arg);
	return NULL;
}

static void start(struct fake *f, const struct source_ops *with, uint32_t max,
		  uint32_t wait_ms)
{
	struct core_attr attr = {
		.max_translations = max ? max : 1000,
		.wait_ms = wait_ms ? wait_ms : 2000,
		.ops = with,
		.source = f,
	};

	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->posted, NULL);
	pthread_cond_init(&f->read, NULL);
	f->memory = calloc(FAKE_PAGES, FAKE_PAGE);
	CHECK(f->memory);
	CHECK(!core_create(&attr, &f->hmm));
	CHECK(!core_poll_word(f->hmm, &f->poll_word));
	CHECK(!pthread_create(&f->worker, NULL, work, f->hmm));
}

void fake_start(struct fake *f, uint32_t max, uint32_t wait_ms)
{
	CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	start(f, &ops, max, wait_ms);
}

void fake_start_fences(struct fake *f, uint32_t max, uint32_t wait_ms)
{
	static struct source_ops fences;

	fences = ops;
	fences.barrier = NULL;
	start(f, &fences, max, wait_ms);
}

/* One reading: everything that is there, as read(2) on a userfaultfd. Locked on entry. */
static void read_events(struct fake *f)
{
	unsigned int n;

	pthread_mutex_unlock(&f->lock);
	change_mark(f->hmm);
	pthread_mutex_lock(&f->lock);
	n = f->nr_events;
	typeof(f->events[0]) taken[64];
	memcpy(taken, f->events, n * sizeof(taken[0]));
	f->nr_events = 0;
	f->read_batches++;
	pthread_cond_broadcast(&f->read);
	pthread_mutex_unlock(&f->lock);
	for (unsigned int i = 0; i < n; i++)
		CHECK(change_event(f->hmm,
				   taken[i].kind == FAKE_REMOVE ? CHANGE_REMOVING
								: CHANGE_GONE,
				   taken[i].start, taken[i].end, FAKE_PATIENCE_MS));
	CHECK(change_unmark(f->hmm, FAKE_PATIENCE_MS));
	pthread_mutex_lock(&f->lock);
}

static void *reader(void *arg)
{
	struct fake *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		if (f->nr_events)
			read_events(f);
		else
			pthread_cond_wait(&f->posted, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

void fake_start_reader(struct fake *f)
{
	CHECK(!pthread_create(&f->reader, NULL, reader, f));
	f->reading = true;
}

void fake_stop(struct fake *f)
{
	struct hmm_stats stats;

	CHECK(!hmm_stats_read(f->hmm, NULL, &stats, sizeof(stats)));
	CHECK(!stats.translations && !stats.revoking && !stats.pinned);
	if (f->reading) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_broadcast(&f->posted);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->reader, NULL);
	}
	CHECK(core_put(f->hmm)); /* it was the last */
	core_stop(f->hmm);
	pthread_join(f->worker, NULL);
	core_destroy(f->hmm);
	free(f->memory);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->posted);
	pthread_cond_destroy(&f->read);
}

/* ---- changes ------------------------------------------------------------------------ */

static void set_pages(struct fake *f, unsigned int page, unsigned int n,
		      unsigned int access, bool pinnable, bool mapped)
{
	unsigned int id = mapped ? ++f->next_id : 0;

	CHECK(page + n <= FAKE_PAGES);
	for (unsigned int i = page; i < page + n; i++) {
		struct fake_page *p = &f->pages[i];

		p->id = id;
		p->access = access;
		p->pinnable = pinnable;
		p->special = p->foreign = p->unwatchable = p->armed = false;
		p->frame = 0;
		memset(f->memory + i * FAKE_PAGE, 0, FAKE_PAGE);
	}
}

/*
 * The change has returned: who begins now sees memory that came after the old one went,
 * when base[i] was the newest frame.
 */
static void returned(struct fake *f, unsigned int page, unsigned int n,
		     const uint64_t *base)
{
	for (unsigned int i = 0; i < n; i++)
		if (atomic_load(&f->pages[page + i].floor) <= base[i])
			atomic_store(&f->pages[page + i].floor, base[i] + 1);
}

void fake_map(struct fake *f, unsigned int page, unsigned int n, unsigned int access,
	      bool pinnable)
{
	pthread_mutex_lock(&f->lock);
	set_pages(f, page, n, access, pinnable, true);
	pthread_mutex_unlock(&f->lock);
}

void fake_unmap(struct fake *f, unsigned int page, unsigned int n)
{
	pthread_mutex_lock(&f->lock);
	set_pages(f, page, n, 0, false, false);
	pthread_mutex_unlock(&f->lock);
}

uint64_t fake_frame(struct fake *f, unsigned int page)
{
	uint64_t frame;

	pthread_mutex_lock(&f->lock);
	frame = f->pages[page].frame;
	pthread_mutex_unlock(&f->lock);
	return frame;
}

uint64_t fake_floor(struct fake *f, unsigned int page)
{
	return atomic_load(&f->pages[page].floor);
}

static bool any_armed(struct fake *f, unsigned int page, unsigned int n)
{
	for (unsigned int i = page; i < page + n; i++)
		if (f->pages[i].armed)
			return true;
	return false;
}

/* Returns when the event has been read, no later and no sooner. Locked. */
static void post(struct fake *f, enum fake_event_kind kind, unsigned int page,
		 unsigned int n)
{
	uint64_t batch;

	while (f->nr_events == 64)
		pthread_cond_wait(&f->read, &f->lock);
	batch = f->read_batches;
	f->events[f->nr_events].kind = kind;
	f->events[f->nr_events].start = fake_addr(page);
	f->events[f->nr_events++].end = fake_addr(page + n);
	pthread_cond_signal(&f->posted);
	while (f->read_batches == batch)
		pthread_cond_wait(&f->read, &f->lock);
}

/*
 * What goes was no newer than this. Where nothing is, nothing goes: perhaps another thread
 * unmapped it just now, and waits for that to be read; then that one's return counts.
 */
static uint64_t newest_gone(struct fake *f, unsigned int page)
{
	return f->pages[page].id ? f->next_frame : 0;
}

/* As a perf ring: a record, then its head moves. Too many: one that covers everything. */
static void record(struct fake *f, unsigned int page, unsigned int n)
{
	if (f->nr_records == 64) {
		f->nr_records = page = 0;
		n = FAKE_PAGES;
	}
	f->records[f->nr_records].start = fake_addr(page);
	f->records[f->nr_records++].end = fake_addr(page + n);
	__atomic_fetch_add(&f->poll_word, 1, __ATOMIC_RELEASE);
}

/*
 * What is mapped makes a record even where nothing was watched: the addresses may be those
 * of an unmapping that was not read about yet, by a thread that waits for that.
 */
static void replace(struct fake *f, unsigned int page, unsigned int n, unsigned int access,
		    bool mapped, bool event)
{
	uint64_t base[FAKE_PAGES];

	pthread_mutex_lock(&f->lock);
	bool tell = event && any_armed(f, page, n);
	for (unsigned int i = 0; i < n; i++)
		base[i] = mapped ? f->next_frame : newest_gone(f, page + i);
	set_pages(f, page, n, access, mapped, mapped);
	if (mapped && event)
		record(f, page, n);
	if (tell)
		post(f, FAKE_UNMAP, page, n);
	returned(f, page, n, base);
	pthread_mutex_unlock(&f->lock);
}

void fake_munmap(struct fake *f, unsigned int page, unsigned int n)
{
	replace(f, page, n, 0, false, true);
}

void fake_mmap_over(struct fake *f, unsigned int page, unsigned int n, unsigned int access)
{
	replace(f, page, n, access, true, true);
}

static unsigned int removal_begin(struct fake *f)
{
	for (unsigned int i = 0; i < 64; i++)
		if (!f->removals[i]) {
			f->removals[i] = now(f);
			return i;
		}
	fake_fail(__FILE__, __LINE__, "more than 64 removals at a time");
}

static void drop_page(struct fake *f, unsigned int page, uint64_t *base)
{
	*base = newest_gone(f, page);
	f->pages[page].frame = 0;
	memset(f->memory + page * FAKE_PAGE, 0, FAKE_PAGE);
}

/*
 * One mapping's part. Where it is watched, the event is read first, and the pages go later,
 * with the lock of the address space not held in between: they may be another mapping's by
 * then. Where it is not, nobody can watch it before they are gone.
 */
static void remove_part(struct fake *f, unsigned int page, unsigned int n, uint64_t *base)
{
	struct timespec a_moment = {.tv_nsec = 20000};
	bool told = f->pages[page].armed;

	if (told) {
		post(f, FAKE_REMOVE, page, n);
		pthread_mutex_unlock(&f->lock);
		nanosleep(&a_moment, NULL);
		pthread_mutex_lock(&f->lock);
	}
	for (unsigned int i = 0; i < n; i++) { /* upwards, one by one */
		drop_page(f, page + i, &base[i]);
		if (!told)
			continue;
		pthread_mutex_unlock(&f->lock);
		pthread_mutex_lock(&f->lock);
	}
}

void fake_dontneed(struct fake *f, unsigned int page, unsigned int n)
{
	uint64_t base[FAKE_PAGES];

	pthread_mutex_lock(&f->lock);
	unsigned int removal = removal_begin(f);

	for (unsigned int i = 0, part; i < n; i += part) {
		part = 1;
		while (i + part < n &&
		       f->pages[page + i].id == f->pages[page + i + part].id)
			part++;
		remove_part(f, page + i, part, base + i);
	}
	returned(f, page, n, base);
	f->removals[removal] = 0;
	pthread_mutex_unlock(&f->lock);
}

static void interposed(struct fake *f, unsigned int page, unsigned int n,
		       unsigned int access, bool mapped)
{
	struct change change;

	change_begin(f->hmm, &change, fake_addr(page), fake_addr(page + n));
	replace(f, page, n, access, mapped, false);
	change_end(f->hmm, &change);
}

void fake_munmap_interposed(struct fake *f, unsigned int page, unsigned int n)
{
	interposed(f, page, n, 0, false);
}

void fake_mmap_over_interposed(struct fake *f, unsigned int page, unsigned int n,
			       unsigned int access)
{
	interposed(f, page, n, access, true);
}

void fake_mprotect(struct fake *f, unsigned int page, unsigned int n, unsigned int access)
{
	pthread_mutex_lock(&f->lock);
	for (unsigned int i = page; i < page + n; i++)
		f->pages[i].access = access;
	record(f, page, n);
	pthread_mutex_unlock(&f->lock);
}

void fake_tell(struct fake *f, enum change_kind kind, unsigned int page, unsigned int n)
{
	change_mark(f->hmm);
	CHECK(change_event(f->hmm, kind, fake_addr(page), fake_addr(page + n),
			   FAKE_PATIENCE_MS));
	CHECK(change_unmark(f->hmm, FAKE_PATIENCE_MS));
}
