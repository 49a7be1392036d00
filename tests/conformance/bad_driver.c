// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does `hmm check --driver` see what is wrong with a driver?
 *
 * The reference device, with a fault that BAD_DRIVER in the environment names: crash and
 * hang (in an access), lie (success without data), stale (data of the access before),
 * leak (a descriptor a life), absent (no such hardware).
 */
#include <hmm/driver.h>
#include <hmm/ref.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool bad(const char *fault)
{
	const char *wanted = getenv("BAD_DRIVER");

	return wanted && !strcmp(wanted, fault);
}

static int bad_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	if (bad("absent"))
		return hmm_device_error(-ENODEV, "no such hardware in this machine");
	if (bad("leak") && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
		return -errno;
	return hmm_ref_check.open(hmm, device, context);
}

static int bad_close(void *context)
{
	return hmm_ref_check.close(context);
}

static int bad_read(void *context, const void *from, void *out, size_t len)
{
	static unsigned char last[64];
	unsigned char now[64];
	int err;

	if (bad("crash") && len == 14)
		raise(SIGSEGV);
	while (bad("hang") && len == 14)
		pause();
	if (bad("lie"))
		return 0;
	err = hmm_ref_check.read(context, from, out, len);
	if (!err && bad("stale") && len <= sizeof(last)) {
		memcpy(now, out, len);
		memcpy(out, last, len);
		memcpy(last, now, len);
	}
	return err;
}

static int bad_write(void *context, void *to, const void *data, size_t len)
{
	return hmm_ref_check.write(context, to, data, len);
}

HMM_API const struct hmm_check_device hmm_check_device = {
	.size = sizeof(struct hmm_check_device),
	.name = "bad",
	.modes = 1u << HMM_MODE_DIRECT,
	.open = bad_open,
	.close = bad_close,
	.read = bad_read,
	.write = bad_write,
};
