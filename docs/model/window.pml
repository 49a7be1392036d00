/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What if an address is taken again before the event of its unmapping has been read?
 *
 * The kernel takes the pages away, drops its lock on the address space, and only then queues
 * the event. Another thread gets the place meanwhile; its call returns, and its device finds
 * the translation of the memory that was there before. The event, whenever it is read, comes
 * too late. So a call that occupies waits, before it returns, until what was vacated has been
 * read: "changing" is what the kernel knows, from before it drops its lock.
 *
 *   NO_OCCUPY_WAIT   the call that occupies returns at once
 *   WAIT_FOR_QUEUE   it waits for what is in the queue only: the event may not be there yet
 *   NO_RULE3         the event is read first, and marked afterwards
 */
byte gen = 1;			/* of the memory at the place; 0: nothing is there */
byte published = 1;		/* the generation that the device reaches; 0: none */
byte seq;
byte changing;			/* vacated, and the event has not been read */
chan events = [1] of { bit };
bool was_read;

proctype vacates()
{
	atomic { gen = 0; changing++ };	/* under the kernel's lock */
	events ! 1;
	was_read
}

proctype reader()
{
	end:
	nempty(events) ->
#ifdef NO_RULE3
		atomic { events ? 1; changing--; was_read = true };
		seq++;
#else
		seq++;
		atomic { events ? 1; changing--; was_read = true };
#endif
		published = 0;
		seq++
}

proctype occupies()
{
	atomic { gen == 0 -> gen = 2 };	/* the place is free: a new mapping */
#ifndef NO_OCCUPY_WAIT
#ifdef WAIT_FOR_QUEUE
	empty(events);
#else
	changing == 0;
#endif
#endif
	/* It has returned, and the device uses the new memory. */
	do
	:: seq & 1 -> !(seq & 1)
	:: atomic { !(seq & 1) -> assert(published != 1) }; break
	od
}

init
{
	atomic { run vacates(); run reader(); run occupies() }
}
