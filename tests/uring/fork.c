// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what is left of an open ring in the child of a fork, and
 * of the parent's memory? (Y9)
 */
#include "uring_test.h"

#include <sys/wait.h>

#define LEN (64 * 1024ul)

static int child(struct rig *rig, char *p)
{
	struct hmm_uring_stats stats;
	struct io_uring_cqe *cqe;

	EXPECT(hmm_uring_submit(rig->u) == -ECHILD, "submit");
	EXPECT(hmm_uring_submit_and_wait(rig->u, 1) == -ECHILD, "submit and wait");
	EXPECT(hmm_uring_peek_cqe(rig->u, &cqe) == -ECHILD, "peek");
	EXPECT(hmm_uring_wait_cqe(rig->u, &cqe) == -ECHILD, "wait");
	EXPECT(hmm_uring_peek_batch_cqe(rig->u, &cqe, 1) == 0, "batch");
	EXPECT(hmm_uring_stats(rig->u, &stats, sizeof(stats)) == -ECHILD, "stats");
	EXPECT(hmm_uring_close(rig->u) == -ECHILD, "close");
	EXPECT(wrong_bytes(p, LEN, 0) == 0, "the child has its copy");
	memset(p, 0xee, LEN);
	usleep(200000); /* the parent's device writes meanwhile */
	for (size_t i = 0; i < LEN; i++)
		if ((unsigned char)p[i] != 0xee) {
			EXPECT(false, "byte %zu of the child changed", i);
			break;
		}
	return test_end();
}

int main(void)
{
	struct rig rig;
	int status = -1;
	char *p;
	pid_t pid;

	rig_open(&rig, 8, 0, NULL, LEN);
	p = map_at(NULL, LEN);
	EXPECT(read_to(&rig, p, LEN, 0) == (int)LEN, "read");
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(child(&rig, p));
	usleep(50000);
	EXPECT(wrong_bytes(p, LEN, 0) == 0, "the parent's memory");
	EXPECT(read_to(&rig, p, LEN, PAGE) == (int)LEN, "read while the child lives");
	EXPECT(wrong_bytes(p, LEN, PAGE) == 0, "reaches the parent's memory");
	waitpid(pid, &status, 0);
	EXPECT(status == 0, "child: %d", status);
	EXPECT(read_to(&rig, p, LEN, 2 * PAGE) == (int)LEN, "read after it");
	EXPECT(wrong_bytes(p, LEN, 2 * PAGE) == 0, "reaches the parent's memory");
	munmap(p, LEN);
	rig_close(&rig);
	return test_end();
}
