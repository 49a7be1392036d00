/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is the process's one struct hmm opened, shared, closed, and what becomes of it in
 * the child of a fork?
 *
 * open_lock guards its coming and going. It nests outside of everything else, and is held
 * across the start and the end of the two threads; neither of them takes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "linux/address_space.h"
#include "sys/sys.h"
#include "util/arena.h"

#define DEFAULT_TRANSLATIONS 1048576u
#define MAX_TRANSLATIONS     16777216u
#define LEAST_TRANSLATIONS   4096u
#define TRANSLATION_SIZE     160u          /* bytes of address space each */
#define STRICT_ROOM          (64ull << 20) /* where memory is committed strictly */
#define STACK_SIZE           (256u << 10)
#define DEFAULT_WAIT_MS      10000u
#define FLAGS                (HMM_NO_INTERPOSE | HMM_NO_PERF | HMM_NEED_WATCH)

HIDDEN struct as as_self = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.uffd.own = OWN_NONE,
	.maps.file = OWN_FILE_NONE,
	.pages.file = OWN_FILE_NONE,
	.tasks.file = OWN_FILE_NONE,
};
HIDDEN __thread int as_busy __attribute__((tls_model("initial-exec")));

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hmm_attr opened; /* open_lock */

static void open_begin(void)
{
	undisturbed_begin();
	pthread_mutex_lock(&open_lock);
}

static void open_end(void)
{
	pthread_mutex_unlock(&open_lock);
	undisturbed_end();
}

/* ---- threads
 * ----------------------------------------------------------------------------- */

static void *worker_thread(void *hmm)
{
	core_worker(hmm);
	return NULL;
}

/* As an ordinary thread, whatever the thread is that opens the library. */
static int create_ordinary(pthread_t *thread, void *(*body)(void *), void *arg)
{
	const struct sched_param none = {0};
	pthread_attr_t attr;
	cpu_set_t all;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_OTHER);
	pthread_attr_setschedparam(&attr, &none);
	/* After mlockall() all of it is filled at once. (It may be too small for libc, with
	 * the program's thread-local data: then the usual size is taken.) */
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(thread, &attr, body, arg);
	if (err == EINVAL) {
		pthread_attr_t usual;

		pthread_attr_init(&usual);
		err = pthread_create(thread, &usual, body, arg);
		pthread_attr_destroy(&usual);
	}
	pthread_attr_destroy(&attr);
	if (err)
		return err;
	/* Those that the process may use: the kernel leaves out the others. */
	memset(&all, 0xff, sizeof(all));
	pthread_setaffinity_np(*thread, sizeof(all), &all);
	return 0;
}

/*
 * No signal is ever handled in a thread of ours, and none inherits the scheduling of the
 * thread that opens the library: one that polls on a processor of its own, with real-time
 * priority, would keep ours from running, and whoever changes memory waits for it.
 */
static int start_thread(pthread_t *thread, const char *name, void *(*body)(void *),
			void *arg)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = create_ordinary(thread, body, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return core_error(-err, "cannot start a thread: raise RLIMIT_NPROC or the "
					"cgroup's limit of processes");
	pthread_setname_np(*thread, name);
	return 0;
}

/*
 * A page that is watched and that nobody else knows: to unmap it wakes the thread that
 * reads the events, with no descriptor to be had for it. Without the page it looks now and
 * then.
 */
static void make_wake(void)
{
	void *page;

	if (sys_mmap(&page, page_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		return;
	as_self.wake = page;
	if (uffd_register(&as_self.uffd, (uintptr_t)page, (uintptr_t)page + page_size())) {
		sys_munmap(page, page_size());
		as_self.wake = NULL;
	}
}

static void drop_wake(void)
{
	if (as_self.wake)
		sys_munmap(as_self.wake, page_size());
	as_self.wake = NULL;
}

static void stop_event_thread(void)
{
	if (as_self.uffd.none)
		return;
	as_self.stop = true;
	drop_wake();
	pthread_join(as_self.event_thread, NULL);
}

static int start_event_thread(void)
{
	int err;

	/* Nothing is remembered where nothing is watched, so there is nothing to be told.
	 */
	if (as_self.uffd.none) {
		as_self.perf = (struct perf){
			.off = !as_self.want_perf,
			.why = "no memory can be watched, so nothing is remembered"};
		return 0;
	}
	as_self.stop = false;
	sem_init(&as_self.ready, 0, 0);
	make_wake();
	err = start_thread(&as_self.event_thread, "hmm-events", event_thread, &as_self);
	if (err) {
		/* Nobody would read the event of the page's end. */
		uffd_close(&as_self.uffd);
		drop_wake();
		return err;
	}
	while (sem_wait(&as_self.ready))
		;
	return 0;
}

/* ---- parts
 * --------------------------------------------------------------------------------- */

/* What others may lift by giving it, not what this machine lacks at this moment. */
static bool short_of(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

static int cannot_watch(const struct hmm_attr *attr, int err, const char *why)
{
	uffd_close(&as_self.uffd);
	as_self.uffd.none = true;
	if (!(attr->flags & HMM_NEED_WATCH) && !short_of(err))
		return 0;
	return core_error(
		short_of(err)                     ? err
		: err == -EPERM || err == -EACCES ? -EPERM
						  : -ENOSYS,
		"no changes of this process's memory can be seen: %s; see `hmm info`", why);
}

/*
 * Where nothing can be watched memory is reached all the same, in the ways that need no
 * watching. Without a list of what is mapped nothing can be watched either.
 */
static int open_uffd(const struct hmm_attr *attr)
{
	const char *why;
	int err = uffd_open(&as_self.uffd, &why);

	if (err)
		return cannot_watch(attr, err, why);
	if (as_self.uffd.none)
		return cannot_watch(attr, -ENOSYS,
				    "the kernel has no write-protection by userfaultfd on "
				    "this processor");
	return 0;
}

static int open_proc(const struct hmm_attr *attr)
{
	int err = maps_init(&as_self.maps);

	if (err && short_of(err))
		return core_error(err, "cannot read /proc/self/maps: raise RLIMIT_NOFILE");
	if (err)
		err = cannot_watch(attr, err, "/proc is not mounted");
	if (err)
		return err;
	/* Without these two: no look at a range, a removal's end is proved by other means.
	 */
	err = pages_init(&as_self.pages);
	if (!err || !short_of(err))
		err = tasks_init(&as_self.tasks);
	if (err && short_of(err))
		return core_error(err, "cannot open files of /proc: raise RLIMIT_NOFILE");
	return 0;
}

static uint64_t limit_of(int resource)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};

	getrlimit((__rlimit_resource_t)resource, &limit);
	return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

static bool commits_strictly(void)
{
	int fd = sys_open(AT_FDCWD, "/proc/sys/vm/overcommit_memory", O_RDONLY);
	char mode = '0';

	if (fd < 0)
		return false;
	sys_read(fd, &mode, 1);
	sys_close(fd);
	return mode == '2';
}

/*
 * Where address space is scarce the library takes a quarter of it at most, unless it was
 * told how many translations there are to be.
 */
static uint32_t affordable(void)
{
	uint64_t room = limit_of(RLIMIT_AS) < limit_of(RLIMIT_DATA) ? limit_of(RLIMIT_AS)
								    : limit_of(RLIMIT_DATA);
	uint64_t max = DEFAULT_TRANSLATIONS;

	if (commits_strictly() && room > STRICT_ROOM)
		room = STRICT_ROOM;
	while (max > LEAST_TRANSLATIONS && max * TRANSLATION_SIZE > room / 4)
		max /= 2;
	return (uint32_t)max;
}

static const char *scarce(void)
{
	return limit_of(RLIMIT_AS) != UINT64_MAX ? "RLIMIT_AS"
	       : limit_of(RLIMIT_DATA) != UINT64_MAX
		       ? "RLIMIT_DATA"
		       : "vm.overcommit_memory (or its ratio)";
}

static int open_core(const struct hmm_attr *attr, struct hmm **out)
{
	struct core_attr core = {
		.max_translations = attr->max_translations,
		.wait_ms = attr->wait_ms,
		.ops = &as_source_ops,
		.source = &as_self,
	};
	int err;

	if (sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
		core.ops = &as_source_ops_no_barrier;
	err = core_create(&core, out);
	if (err == -ENOMEM)
		return core_error(err,
				  "cannot reserve the library's own memory for %u "
				  "translations: raise %s or lower max_translations",
				  attr->max_translations, scarce());
	return err;
}

static void close_parts(void)
{
	perf_close(&as_self.perf);
	uffd_close(&as_self.uffd);
	maps_fini(&as_self.maps);
	pages_fini(&as_self.pages);
	tasks_fini(&as_self.tasks);
	watch_fini(&as_self.watch);
}

static int start_threads(struct hmm *hmm)
{
	int err = start_event_thread();

	if (err)
		return err;
	/* Without it, mprotect by a raw system call is not seen: hmm_features() says so. */
	err = perf_poll(&as_self.perf, hmm);
	if (!err)
		err = start_thread(&as_self.worker, "hmm-worker", worker_thread, hmm);
	if (err)
		stop_event_thread();
	return err;
}

/* ---- users
 * -------------------------------------------------------------------------------- */

/*
 * Counted first, looked at then: hmm_close() takes the pointer away first, and looks at the
 * count then.
 */
struct hmm *as_hold(void)
{
	struct hmm *hmm;

	/* A process that was made with CLONE_VM may have this thread's words at the same
	 * time as the thread. */
	if (as_busy || core_busy() || as_self.process != sys_getpid())
		return NULL;
	undisturbed_begin();
	atomic_fetch_add(&as_self.users, 1);
	hmm = atomic_load(&as_self.hmm);
	if (hmm && core_dead(hmm))
		hmm = NULL;
	if (!hmm)
		as_drop();
	return hmm;
}

void as_drop(void)
{
	atomic_fetch_sub(&as_self.users, 1);
	undisturbed_end();
}

/* ---- fork
 * ---------------------------------------------------------------------------------- */

static void forget_fds(void)
{
	as_self.uffd.own = OWN_NONE;
	as_self.maps.file.handle = OWN_NONE;
	as_self.pages.file.handle = OWN_NONE;
	as_self.tasks.file.handle = OWN_NONE;
	as_self.perf.nr_rings = 0;
	as_self.wake = NULL;
	as_self.uffd.closed = as_self.uffd.none = false;
}

static void init_locks(void)
{
	pthread_mutex_init(&as_self.lock, NULL);
	pthread_mutex_init(&as_self.maps.lock, NULL);
	pthread_mutex_init(&as_self.tasks.lock, NULL);
	pthread_mutex_init(&open_lock, NULL);
}

/*
 * The child inherits descriptors of the parent's: closed, and never used. What lies in
 * memory is left as it is, since the program may still ask the dead object. (Of the
 * rings only the heads' place is mapped in a child.) There is one thread now, and a lock
 * may have been another's.
 */
static void forget_parent(void)
{
	own_fork_child();
	forget_fds();
	init_locks();
	as_self.hmm = NULL;
	as_self.users = 0;
	as_self.sharers.nr = 0;
	as_self.sharers.unsure = false;
	sharers_fork_child();
}

/*
 * Nothing is held across the fork, and nobody is waited for: other handlers of the program
 * come before and after ours in any order, and may wait for a thread that waits for us, or
 * close the library themselves. So a close may be under way in another thread of the
 * parent: it takes each number away before it gives the thing back (own_put), and
 * the child finds either both or neither.
 */
static void fork_child(void)
{
	struct hmm *hmm = as_self.hmm;

	if (hmm) {
		core_fork_child(hmm);
		perf_fork_child(&as_self.perf);
	}
	forget_parent();
}

/* Private pages are shared with the child now, until one of the two writes: whoever holds a
 * range with pages that may be written is told. */
static void fork_parent(void)
{
	struct hmm *hmm = as_hold();

	if (hmm) {
		change_told(hmm, 0, UINT64_MAX);
		as_drop();
	}
	sharers_fork_end();
}

static int register_fork(void)
{
	static bool done;

	if (!done && pthread_atfork(sharers_fork_begin, fork_parent, fork_child))
		return core_error(-ENOMEM, "cannot register fork handlers: out of memory");
	done = true;
	return 0;
}

/* ---- open and close
 * --------------------------------------------------------------------------- */

static int check_attr(const struct hmm_attr *given, struct hmm_attr *out)
{
	int err;

	*out = (struct hmm_attr){.size = sizeof(*out)};
	err = given ? core_struct_take(out, sizeof(*out), given, "struct hmm_attr") : 0;
	if (err)
		return err;
	if (out->flags & ~FLAGS || out->max_translations > MAX_TRANSLATIONS)
		return core_error(-EINVAL,
				  "struct hmm_attr: flags are of HMM_NO_... and "
				  "HMM_NEED_WATCH, "
				  "max_translations at most %u",
				  MAX_TRANSLATIONS);
	if (!out->max_translations)
		out->max_translations = affordable();
	if (!out->wait_ms)
		out->wait_ms = DEFAULT_WAIT_MS;
	return 0;
}

static int open_all(const struct hmm_attr *attr)
{
	struct hmm *hmm = NULL;
	int err = register_fork();

	if (err)
		return err;
	forget_fds();
	err = watch_init(&as_self.watch);
	if (err)
		core_error(err, "cannot reserve the library's own memory: raise %s",
			   scarce());
	if (!err)
		err = open_uffd(attr);
	if (!err)
		err = open_proc(attr);
	if (!err)
		err = open_core(attr, &hmm);
	if (err)
		goto err_parts;
	as_self.want_perf = !(attr->flags & HMM_NO_PERF);
	as_self.process = sys_getpid();
	as_self.hmm = hmm;
	err = start_threads(hmm);
	if (err)
		goto err_core;
	sharers_look(&as_self);
	as_self.watch.live->open = !(attr->flags & HMM_NO_INTERPOSE);
	opened = *attr;
	return 0;

err_core:
	as_self.hmm = NULL;
err_parts:
	if (hmm)
		core_destroy(hmm);
	close_parts();
	return err;
}

static bool same_attr(const struct hmm_attr *a, const struct hmm_attr *b)
{
	return a->flags == b->flags && a->max_translations == b->max_translations &&
	       a->wait_ms == b->wait_ms;
}

static int open_locked(const struct hmm_attr *given, struct hmm **out)
{
	struct hmm_attr attr;
	int err = check_attr(given, &attr);

	if (err)
		return err;
	if (as_self.hmm && core_dead(as_self.hmm))
		fork_child(); /* of a clone that ran no handlers */
	if (as_self.hmm) {
		if (given && !same_attr(&attr, &opened))
			return core_error(-EBUSY, "the process has a struct hmm with other "
						  "attributes: open it with NULL");
		core_get(as_self.hmm);
	} else {
		err = open_all(&attr);
	}
	if (!err)
		*out = as_self.hmm;
	return err;
}

int hmm_open(const struct hmm_attr *given, struct hmm **out)
{
	int err;

	open_begin();
	err = open_locked(given, out);
	open_end();
	return err;
}

struct hmm *hmm_get(struct hmm *hmm)
{
	if (!core_dead(hmm))
		core_get(hmm);
	return hmm;
}

/*
 * Interposed calls first: none begins any more, and those that go on end by themselves
 * (the event thread still reads). Then the worker, whose end may raise an event. Then the
 * event thread.
 */
static void close_all(struct hmm *hmm)
{
	const struct timespec pause = {.tv_nsec = 100000};

	as_self.watch.live->open = false;
	stats_env_closing(hmm);
	core_stop(hmm);
	pthread_join(as_self.worker, NULL);
	stop_event_thread();
	as_self.hmm = NULL;
	while (as_self.users)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	core_destroy(hmm);
	close_parts();
}

void hmm_close(struct hmm *hmm)
{
	if (!hmm || core_dead(hmm))
		return;
	open_begin();
	if (core_put(hmm))
		close_all(hmm);
	open_end();
}
