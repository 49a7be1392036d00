// SPDX-License-Identifier: GPL-2.0-or-later
/* A driver for the card of this example (card.h): what does it take for a real device? */
#include "card.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <hmm/check.h>
#include <hmm/driver.h>

struct card {
	struct hmm_device *device;
	struct card_memory *memory;
	_Atomic uint32_t bounces; /* bits: in use */
	pid_t pid;
};

/* Any thread. @in goes to the card with the command, @out comes back. */
static int64_t command(struct card *card, struct card_request request, const void *in,
		       void *out)
{
	struct card_memory *memory = card->memory;
	struct card_command *c = memory->commands;
	uint32_t i = 0, state = CARD_IDLE;
	int64_t result;

	while (!atomic_compare_exchange_strong(&c[i].state, &state, CARD_TAKEN)) {
		i = (i + 1) % CARD_COMMANDS;
		state = CARD_IDLE;
	}
	if (in)
		memcpy(memory->chunks[i], in, request.len);
	c[i].request = request;
	c[i].state = CARD_POSTED;
	memory->bell++;
	card_wake(&memory->bell);
	while ((state = c[i].state) != CARD_DONE)
		card_sleep(&c[i].state, state);
	result = c[i].result;
	if (out && result > 0)
		memcpy(out, memory->chunks[i], (size_t)result);
	c[i].state = CARD_IDLE;
	return result;
}

static int card_map(struct hmm_device *device, struct hmm_mapping *m)
{
	struct card *card = hmm_device_priv(device);
	bool ram = m->mode == HMM_MODE_STAGE;
	uint64_t addr = (uintptr_t)m->memory - (ram ? (uintptr_t)card->memory : 0);
	struct card_request request = {CARD_MAP, 0,    m->access,
				       ram,      addr, m->end - m->start};
	int64_t key = command(card, request, NULL, NULL);

	if (key < 0)
		return hmm_device_error((int)key, "the card refuses it (%d)", (int)-key);
	m->key = (uint32_t)key; /* m->addr stays 0: addresses are offsets in an entry */
	return 0;
}

/* One at a time (the mirror lock is held), and never more than there are entries. */
static void card_revoke(struct hmm_device *device, struct hmm_mapping *m)
{
	struct card_memory *memory = ((struct card *)hmm_device_priv(device))->memory;

	memory->revokes[memory->head % 256] = m->key;
	memory->head++;
	card_wake(&memory->head);
}

static void card_revoke_wait(struct hmm_device *device)
{
	struct card_memory *memory = ((struct card *)hmm_device_priv(device))->memory;
	uint32_t head = memory->head, tail;

	while ((int32_t)((tail = memory->tail) - head) < 0)
		card_sleep(&memory->tail, tail);
}

static void card_release(struct hmm_device *device, struct hmm_mapping *m)
{
	struct card_request request = {.op = CARD_FREE, .key = m->key};

	command(hmm_device_priv(device), request, NULL, NULL);
}

static int card_stage_alloc(struct hmm_device *device, uint64_t size, void **memory)
{
	struct card *card = hmm_device_priv(device);

	for (unsigned int i = 0; i < CARD_BOUNCES; i++)
		if (!(atomic_fetch_or(&card->bounces, 1u << i) & 1u << i)) {
			*memory = card->memory->bounces[i];
			return 0;
		}
	return hmm_device_error(-ENOSPC, "the card's RAM is full");
}

static void card_stage_free(struct hmm_device *device, void *memory, uint64_t size)
{
	struct card *card = hmm_device_priv(device);
	size_t at = (size_t)((unsigned char *)memory - card->memory->bounces[0]);

	card->bounces &= ~(1u << at / CARD_ENTRY_MAX);
}

static ssize_t card_move(void *context, uint64_t addr, uint32_t key, unsigned int access,
			 void *buffer, size_t len)
{
	bool load = access == HMM_READ;
	struct card_request request = {load ? CARD_LOAD : CARD_STORE,      key, 0, 0, addr,
				       len < CARD_CHUNK ? len : CARD_CHUNK};

	return command(context, request, load ? NULL : buffer, load ? buffer : NULL);
}

static const struct hmm_driver_ops card_ops = {
	.size = sizeof(card_ops),
	.map = card_map,
	.revoke = card_revoke,
	.revoke_wait = card_revoke_wait,
	.release = card_release,
	.stage_alloc = card_stage_alloc,
	.stage_free = card_stage_free,
};

static const struct hmm_driver card_driver = {
	.size = sizeof(card_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "card",
	.license = "GPL-2.0-or-later",
	.ops = &card_ops,
	.modes = {HMM_MODE_DIRECT, HMM_MODE_STAGE},
	.nr_modes = 2,
	.max_map = CARD_ENTRY_MAX,
	.max_entries = CARD_ENTRIES,
};

static int start(struct card *card, int fd)
{
	char name[] = "card", number[16], *argv[] = {name, number, NULL};
	int err;

	snprintf(number, sizeof(number), "%d", fd);
	err = posix_spawn(&card->pid, getenv("CARD"), NULL, NULL, argv, argv + 2);
	prctl(PR_SET_PTRACER, card->pid); /* it may look into this program */
	return err ? hmm_device_error(-ENODEV, "no card: %s", strerror(err)) : 0;
}

static void stop(struct card *card)
{
	if (card->pid && !kill(card->pid, SIGKILL))
		waitpid(card->pid, NULL, 0);
	munmap(card->memory, sizeof(*card->memory));
	free(card);
}

static int card_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	struct card *card = calloc(1, sizeof(*card));
	int fd = getenv("CARD") ? memfd_create("card", 0) : -1, err;

	if (!card || fd < 0 || ftruncate(fd, sizeof(*card->memory)))
		return hmm_device_error(-ENODEV, "no card: set CARD to its program");
	card->memory = mmap(NULL, sizeof(*card->memory), 3, MAP_SHARED, fd, 0);
	err = card->memory == MAP_FAILED ? -ENOMEM : start(card, fd);
	close(fd);
	if (!err)
		err = hmm_device_register(hmm, &card_driver, card, &card->device);
	if (err)
		return stop(card), err;
	*device = card->device;
	*context = card;
	return 0;
}

static int card_close(void *context)
{
	int err = hmm_device_unregister(((struct card *)context)->device);

	return err ? err : (stop(context), 0);
}

const struct hmm_check_device hmm_check_device = {
	.size = sizeof(hmm_check_device),
	.name = "card",
	.modes = 1u << HMM_MODE_DIRECT | 1u << HMM_MODE_STAGE,
	.open = card_open,
	.close = card_close,
	.move = card_move,
};
