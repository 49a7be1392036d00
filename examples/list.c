// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A list built with malloc, as any program builds one, is walked by the device in place: by
 * the CPU's own pointers, while nodes come and go.
 *
 *	list [NODES]
 */
#include <hmm/ref.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
	struct node *next;
	uint64_t value;
	char payload[]; /* nodes are of many sizes: small blocks and whole mappings */
};

static struct node *push(struct node *head, uint64_t value)
{
	struct node *node = malloc(sizeof(*node) + (value % 64 ? value % 900 : 200000));

	if (!node)
		abort();
	node->next = head;
	node->value = value;
	return node;
}

/* Every other node goes: the large ones are unmapped at once. */
static void thin_out(struct node *node)
{
	while (node && node->next) {
		struct node *gone = node->next;

		node->next = gone->next;
		free(gone);
		node = node->next;
	}
}

/* What the device finds, beside what the CPU does. True if they agree. */
static bool compare(struct hmm_ref *device, const struct node *head)
{
	uint64_t count = 0, sum = 0, cpu_count = 0, cpu_sum = 0;

	for (const struct node *node = head; node; node = node->next, cpu_count++)
		cpu_sum += node->value;
	if (hmm_ref_walk(device, head, offsetof(struct node, next),
			 offsetof(struct node, value), &count, &sum)) {
		fprintf(stderr, "%s\n", hmm_error());
		return false;
	}
	printf("the device walked %llu nodes, sum %llu\n", (unsigned long long)count,
	       (unsigned long long)sum);
	return count == cpu_count && sum == cpu_sum;
}

int main(int argc, char **argv)
{
	unsigned long nodes = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	struct node *head = NULL;
	struct hmm_mirror *mirror;
	struct hmm_ref *device;
	struct hmm *hmm;
	bool right;

	if (hmm_open(NULL, &hmm) || hmm_ref_open(hmm, NULL, &device) ||
	    hmm_mirror_create(hmm_ref_device(device), NULL, &mirror)) {
		fprintf(stderr, "%s\n", hmm_error());
		return 1;
	}
	for (unsigned long i = 1; i <= nodes; i++)
		head = push(head, i);
	right = compare(device, head);
	thin_out(head);
	right = compare(device, head) && right;

	hmm_ref_close(device);
	hmm_close(hmm);
	for (struct node *next; head; head = next) {
		next = head->next;
		free(head);
	}
	return right ? 0 : 1;
}
