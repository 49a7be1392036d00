// SPDX-License-Identifier: LGPL-2.1-or-later
// A device copies between two pointers of this program's own; then the memory changes.
#include <hmm/ref.h>
#include <stdio.h>
#include <sys/mman.h>

#define SIZE 65536 // whole pages on every machine

int main(void)
{
	struct hmm *hmm;
	struct hmm_ref *device;
	char greeting[32] = "hello, device";
	char *page = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (hmm_open(NULL, &hmm) || hmm_ref_open(hmm, NULL, &device))
		return fprintf(stderr, "%s\n", hmm_error()), 1;

	hmm_ref_copy(device, page, greeting, sizeof(greeting)); // any pointer
	printf("%s\n", page);

	munmap(page, SIZE); // the device is off it before this returns
	if (hmm_ref_copy(device, page, greeting, sizeof(greeting)))
		printf("%s\n", hmm_error());

	hmm_ref_close(device);
	hmm_close(hmm);
	return 0;
}
