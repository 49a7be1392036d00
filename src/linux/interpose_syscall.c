/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does a program change by syscall(2) of libc?
 *
 * Most of what is called a raw system call passes through that function: runtimes,
 * sandboxes, and programs that are older than libc's own function for a call. So the
 * numbers of all calls that are wrapped by name are wrapped here, too, with the kernel's
 * arguments and the kernel's answer.
 *
 * All other numbers go on to the next in line by a jump, without a frame of ours: a clone
 * may return twice, on another stack, and vfork in the caller's own.
 */
#undef _FILE_OFFSET_BITS /* or mmap would be a name of mmap64 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "linux/interpose.h"
#include "linux/interpose_next.h"
#include "linux/kernel.h"

#if INTERPOSE && !RAW_IS_SYSCALL

#define NUMBERS  512 /* those of the calls below are less, on every machine */
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

struct call {
	long nr;
	long arg[6];
};

/* Before the constructor has run there is nobody who would make a clone. */
static long next_is_kernel(long nr, long a, long b, long c, long d, long e, long f)
{
	return interpose_result(raw6(nr, a, b, c, d, e, f));
}

HIDDEN long (*interpose_syscall_next)(long nr, long a, long b, long c, long d, long e,
				      long f) = next_is_kernel;

static __attribute__((constructor)) void find_next(void)
{
	void *found = dlsym(RTLD_NEXT, "syscall");

	if (found)
		*(void **)&interpose_syscall_next = found;
}

static long pass(const struct call *call)
{
	const long *arg = call->arg;

	return interpose_syscall_next(call->nr, arg[0], arg[1], arg[2], arg[3], arg[4],
				      arg[5]);
}

/* ---- mappings ----------------------------------------------------------------------- */

/* [arg[0], arg[0] + arg[1]) is changed. */
static long around(const struct call *call, enum how how)
{
	uint64_t start = (uint64_t)call->arg[0];
	struct op op;
	long ret;

	interpose_begin(&op, start, page_up(start + (uint64_t)call->arg[1]), how);
	ret = pass(call);
	interpose_end(&op);
	return ret;
}

static long map(const struct call *call)
{
	long ret;

	if (call->arg[3] & MAP_FIXED)
		return around(call, DISCARDS);
	ret = pass(call);
	if (ret != -1)
		interpose_placed((uint64_t)ret, (uint64_t)ret + (uint64_t)call->arg[1]);
	return ret;
}

static long move(const struct call *call)
{
	uint64_t from = (uint64_t)call->arg[0], old_len = (uint64_t)call->arg[1],
		 new_len = (uint64_t)call->arg[2], to = (uint64_t)call->arg[4];
	bool fixed = call->arg[3] & MREMAP_FIXED;
	struct op op, target = {NULL};
	long ret;

	interpose_begin(&op, from, page_up(from + old_len), DISCARDS);
	if (fixed)
		interpose_begin(&target, to, page_up(to + new_len), DISCARDS);
	ret = pass(call);
	interpose_end(&target);
	interpose_end(&op);
	if (!fixed && ret != -1)
		interpose_placed((uint64_t)ret +
					 ((uint64_t)ret == from ? page_up(old_len) : 0),
				 (uint64_t)ret + new_len);
	return ret;
}

/* Where the heap ends the kernel knows: what libc believes is not moved by this call. */
static long set_break(const struct call *call)
{
	uint64_t to = (uint64_t)call->arg[0], from, got;
	struct op op = {NULL};
	long ret;

	if (!to || !interpose_open())
		return pass(call);
	from = (uint64_t)raw1(SYS_brk, 0);
	if (to < from)
		interpose_begin(&op, page_up(to), page_up(from), UNMAPS);
	ret = pass(call);
	interpose_end(&op);
	got = (uint64_t)ret;
	if (got > from)
		interpose_placed(page_up(from), got);
	return ret;
}

/* ---- advice ------------------------------------------------------------------------- */

static long advise(const struct call *call)
{
	struct op op;
	long ret;

	interpose_begin_advice(&op, (uint64_t)call->arg[0], (size_t)call->arg[1],
			       (int)call->arg[2]);
	ret = pass(call);
	interpose_end(&op);
	return ret;
}

static ssize_t next_process_madvise(int pidfd, const struct iovec *iov, size_t nr,
				    int advice, unsigned int flags)
{
	const struct call call = {SYS_process_madvise,
				  {pidfd, (long)iov, (long)nr, advice, flags}};

	return pass(&call);
}

static long advise_process(const struct call *call)
{
	size_t nr = (size_t)call->arg[2];

	if (!interpose_guards((int)call->arg[3], nr))
		return pass(call);
	return interpose_guard_each(next_process_madvise, (int)call->arg[0],
				    (const struct iovec *)call->arg[1], nr,
				    (unsigned int)call->arg[4]);
}

/* ---- files and segments ------------------------------------------------------------- */

static long change_file(const struct call *call)
{
	struct op op = {NULL};
	long ret;

	if (call->nr == SYS_truncate)
		interpose_begin_path(&op, (const char *)call->arg[0]);
	else if (call->nr == SYS_ftruncate || interpose_removes((int)call->arg[1]))
		interpose_begin_fd(&op, (int)call->arg[0]);
	ret = pass(call);
	interpose_end(&op);
	return ret;
}

static bool empties(const struct call *call)
{
	uint64_t flags = 0;

	if (call->nr == SYS_openat)
		flags = (uint64_t)call->arg[2];
	else if (call->nr == SYS_openat2)
		copy_in(NULL, &flags, (uint64_t)call->arg[2], sizeof(flags));
#ifdef SYS_open
	else if (call->nr == SYS_open)
		flags = (uint64_t)call->arg[1];
	else if (call->nr == SYS_creat)
		flags = O_TRUNC;
#endif
	return flags & O_TRUNC;
}

static long open_file(const struct call *call)
{
	long ret = pass(call);

	if (ret >= 0 && interpose_files() && empties(call))
		interpose_emptied((int)ret);
	return ret;
}

static long detach(const struct call *call)
{
	struct op op;
	long ret;

	interpose_begin_detach(&op, (uint64_t)call->arg[0]);
	ret = pass(call);
	interpose_end(&op);
	return ret;
}

static long attach(const struct call *call)
{
	struct op op;
	long ret;

	interpose_begin_attach(&op, (int)call->arg[0], (uint64_t)call->arg[1],
			       (int)call->arg[2]);
	ret = pass(call);
	interpose_end(&op);
	if (ret != -1)
		interpose_attached((int)call->arg[0], (uint64_t)ret, (int)call->arg[2]);
	return ret;
}

/* ---- descriptors -------------------------------------------------------------------- */

static long close_one(const struct call *call)
{
	return interpose_keeps((int)call->arg[0]) ? interpose_result(-EBADF) : pass(call);
}

static long close_many(const struct call *call)
{
	unsigned int first = (unsigned int)call->arg[0], last = (unsigned int)call->arg[1];

	if (!interpose_open() || first > last)
		return pass(call);
	return interpose_result(interpose_close_around(first, last, (int)call->arg[2]));
}

static long put_there(const struct call *call)
{
	int old = (int)call->arg[0], new = (int)call->arg[1];

	if (new != old)
		interpose_make_way(new);
	return pass(call);
}

static long control(const struct call *call)
{
	unsigned int request = (unsigned int)call->arg[1];

	if ((request == UFFDIO_REGISTER || request == K_UFFDIO_MOVE) && interpose_open())
		return ioctl((int)call->arg[0], request, (void *)call->arg[2]);
	return pass(call);
}

/* ---- which number is whose ---------------------------------------------------------- */

#define CALLS(X)                                        \
	X(SYS_munmap, around(call, UNMAPS))             \
	X(SYS_mmap, map(call))                          \
	X(SYS_mremap, move(call))                       \
	X(SYS_mprotect, around(call, ALTERS))           \
	X(SYS_pkey_mprotect, around(call, ALTERS))      \
	X(SYS_remap_file_pages, around(call, REPLACES)) \
	X(SYS_brk, set_break(call))                     \
	X(SYS_madvise, advise(call))                    \
	X(SYS_process_madvise, advise_process(call))    \
	X(SYS_truncate, change_file(call))              \
	X(SYS_ftruncate, change_file(call))             \
	X(SYS_fallocate, change_file(call))             \
	X(SYS_openat, open_file(call))                  \
	X(SYS_openat2, open_file(call))                 \
	X(SYS_shmat, attach(call))                      \
	X(SYS_shmdt, detach(call))                      \
	X(SYS_close, close_one(call))                   \
	X(SYS_close_range, close_many(call))            \
	X(SYS_dup3, put_there(call))                    \
	X(SYS_ioctl, control(call))

#define BELOW(nr, what) _Static_assert((nr) < NUMBERS, "the table is long enough");
CALLS(BELOW)

/* Read by the entry. */
HIDDEN const uint8_t interpose_syscall_ours[NUMBERS] = {
#define OURS(nr, what) [nr] = 1,
	CALLS(OURS)
#ifdef SYS_dup2
		[SYS_dup2] = 1,
	[SYS_open] = 1,
	[SYS_creat] = 1,
#endif
};

static long make(const struct call *call)
{
	switch (call->nr) {
#define CASE(nr, what) \
	case nr:       \
		return what;
		CALLS(CASE)
#ifdef SYS_dup2
	case SYS_dup2:
		return put_there(call);
	case SYS_open:
	case SYS_creat:
		return open_file(call);
#endif
	default:
		return pass(call);
	}
}

long interpose_syscall(long nr, long a, long b, long c, long d, long e, long f);
HIDDEN long interpose_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	const struct call call = {nr, {a, b, c, d, e, f}};

	return make(&call);
}

/* ---- the entry ---------------------------------------------------------------------- */

/* Nothing but what a call may use freely is used: all arguments go on as they came. */
#if defined(__x86_64__)
#ifdef __CET__
#define LANDING "endbr64\n"
#else
#define LANDING ""
#endif
__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n" LANDING
	"cmpq $" TEXT(NUMBERS) ", %rdi\n"
			       "jae 1f\n"
			       "leaq interpose_syscall_ours(%rip), %rax\n"
			       "cmpb $0, (%rax,%rdi)\n"
			       "jne interpose_syscall\n"
			       "1: jmpq *interpose_syscall_next(%rip)\n"
			       ".size syscall, . - syscall\n"
			       ".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, %function\n"
	"syscall:\n"
	"hint #34\n" /* bti c */
	"cmp x0, #" TEXT(NUMBERS) "\n"
				  "b.hs 1f\n"
				  "adrp x16, interpose_syscall_ours\n"
				  "add x16, x16, :lo12:interpose_syscall_ours\n"
				  "ldrb w16, [x16, x0]\n"
				  "cbnz w16, 2f\n"
				  "1: adrp x16, interpose_syscall_next\n"
				  "ldr x16, [x16, :lo12:interpose_syscall_next]\n"
				  "br x16\n"
				  "2: b interpose_syscall\n"
				  ".size syscall, . - syscall\n"
				  ".popsection\n");
#elif defined(__powerpc64__)
__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"0: addis 2, 12, .TOC.-0b@ha\n"
	"addi 2, 2, .TOC.-0b@l\n"
	".localentry syscall, .-syscall\n"
	"cmpldi 3, " TEXT(NUMBERS) "\n"
				   "bge 1f\n"
				   "addis 12, 2, interpose_syscall_ours@toc@ha\n"
				   "addi 12, 12, interpose_syscall_ours@toc@l\n"
				   "lbzx 12, 12, 3\n"
				   "cmpwi 12, 0\n"
				   "beq 1f\n"
				   "b interpose_syscall\n"
				   "1: addis 12, 2, interpose_syscall_next@toc@ha\n"
				   "ld 12, interpose_syscall_next@toc@l(12)\n"
				   "mtctr 12\n"
				   "bctr\n"
				   ".size syscall, . - syscall\n"
				   ".popsection\n");
#endif

#endif
