/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are the orders enough that src/core/hit.c asks of a processor that keeps none by itself?
 *
 * Each way by which two threads of the library meet without a lock, in little. A store goes
 * into a buffer of its thread, one entry a place, and reaches memory at any time later, in
 * any order; a thread reads its own buffered stores. Two loads happen in either order. What
 * keeps an order has to say so:
 *
 *   store_release()  the thread's earlier stores have reached memory
 *   fence()          all of them have
 *   barrier()        those of all threads have (membarrier)
 *   load2_acquire()  the second load after the first; load2() in either order
 *
 * One way at a time, by a switch: RELEASE, PUT, HOLD, RECORD, EVENT, REUSE, LOG. Each can be
 * broken:
 *
 *   NO_BARRIER       RELEASE, PUT, HOLD: the releaser looks at the places at once
 *   NO_EMPTY_LOOK    HOLD: a thread fills a place that it did not find empty
 *   NO_SEEN_ACQUIRE  RECORD: seen is loaded relaxed
 *   NO_SEEN_RELEASE  RECORD: seen is stored relaxed
 *   NO_SEQ_ACQUIRE   EVENT: the sequence number is loaded relaxed
 *   NO_EVEN_RELEASE  EVENT: it is made even relaxed
 *   NO_STATE_RELEASE REUSE: a slot is published relaxed
 *   NO_STATE_ACQUIRE REUSE: its state is loaded relaxed
 *   NO_LOG_FENCE     LOG: an entry may be written over before the head has moved
 */
#define THREADS 3
#define PLACES  4

byte memory[PLACES];
byte buffer[THREADS * PLACES];
bool buffered[THREADS * PLACES];

#define B(t, p)  ((t) * PLACES + (p))
#define drained(t) (!buffered[B(t, 0)] && !buffered[B(t, 1)] && \
		    !buffered[B(t, 2)] && !buffered[B(t, 3)])

/* One store of a place is under way at a time: a place's stores keep their order. */
#define store(t, p, v) \
	atomic { !buffered[B(t, p)] -> buffer[B(t, p)] = v; buffered[B(t, p)] = true }
#define fence(t) drained(t)
#define barrier() (drained(0) && drained(1) && drained(2))
#define store_release(t, p, v) fence(t); store(t, p, v)
#define load(t, p, v) \
	v = (buffered[B(t, p)] -> buffer[B(t, p)] : memory[p])
#define load2_acquire(t, p, v, q, w) load(t, p, v); load(t, q, w)
#define load2(t, p, v, q, w) \
	if \
	:: load(t, p, v); load(t, q, w) \
	:: load(t, q, w); load(t, p, v) \
	fi

proctype reaches_memory()
{
	byte i;

	end:
	do
	:: atomic {
		select (i : 0 .. (THREADS * PLACES - 1));
		if
		:: buffered[i] ->
			memory[i % PLACES] = buffer[i];
			buffered[i] = false;
			buffer[i] = 0
		:: else
		fi;
		i = 0
	   }
	od
}

#ifdef RELEASE
/* Is a slot given to another while somebody holds it? */
#define STATE 0		/* 1: valid */
#define HELD  1		/* a place: 1 says that the slot is held */
bool held, freed;

proctype hitter()
{
	byte state;

	store(0, HELD, 1);
	load(0, STATE, state);
	if
	:: state == 1 -> held = true; assert(!freed); held = false
	:: else
	fi;
	store(0, HELD, 0)
}

proctype releaser()
{
	byte place;

	store_release(1, STATE, 0);
#ifndef NO_BARRIER
	barrier();
#endif
	load(1, HELD, place);
	if
	:: place == 0 -> atomic { assert(!held); freed = true }
	:: else
	fi
}
#define INIT memory[STATE] = 1; run hitter(); run releaser()
#endif

#ifdef PUT
/* Is a slot that nobody holds any more left on the held list for good? */
#define STATE 0		/* 1: valid; 2: revoked, on the queue; 3: held by somebody */
#define HELD  1		/* a place: 1 says that the slot is held */
bool lock, again, freed, put_over, look_over;

proctype holder()
{
	byte state;

	store(0, HELD, 0);
	load(0, STATE, state);
	if
	:: state != 1 ->
		atomic { !lock -> lock = true };
		fence(0);
		load(0, STATE, state);
		if
		:: state == 3 -> freed = true
		:: else -> again = true
		fi;
		lock = false
	:: else
	fi;
	put_over = true
}

proctype releaser()
{
	byte place;

	store_release(1, STATE, 2);
#ifndef NO_BARRIER
	barrier();
#endif
	load(1, HELD, place);
	atomic { !lock -> lock = true };
	fence(1);
	if
	:: place == 0 || again -> freed = true
	:: else -> store(1, STATE, 3); fence(1)
	fi;
	lock = false;
	look_over = true
}

proctype in_the_end()
{
	atomic { put_over && look_over -> assert(freed) }
}
#define INIT memory[STATE] = 1; memory[HELD] = 1; run holder(); run releaser(); run in_the_end()
#endif

#ifdef HOLD
/*
 * Thread 0 holds slot 1, and thread 1 gives that reference back: it empties thread 0's place.
 * Thread 0 fills the place again, with slot 2. Is either slot freed while it is held?
 */
#define PLACE  0		/* the number of the slot; 0: empty */
#define STATE1 1		/* 1: valid */
#define STATE2 2
bool held1 = true, held2, freed1, freed2;

proctype owner()
{
	byte place, state;

#ifndef NO_EMPTY_LOOK
	do
	:: load(0, PLACE, place);
	   if
	   :: place == 0 -> break
	   :: else
	   fi
	od;
#endif
	store(0, PLACE, 2);
	load(0, STATE2, state);
	if
	:: state == 1 -> held2 = true; assert(!freed2)
	:: else
	fi
}

proctype putter()
{
	held1 = false;
	store(1, PLACE, 0)
}

proctype releaser()
{
	byte place;

	store_release(2, STATE1, 0);
	store_release(2, STATE2, 0);
#ifndef NO_BARRIER
	barrier();
#endif
	load(2, PLACE, place);
	if
	:: place != 1 -> atomic { assert(!held1); freed1 = true }
	:: else
	fi;
	if
	:: place != 2 -> atomic { assert(!held2); freed2 = true }
	:: else
	fi
}
#define INIT memory[PLACE] = 1; memory[STATE1] = 1; memory[STATE2] = 1; \
	     run owner(); run putter(); run releaser()
#endif

#ifdef RECORD
/* Does a hit that begins after a raw mprotect has returned find the translation? */
#define STATE 0
#define HEAD  1
#define SEEN  2
bool returned;

proctype changer()
{
	store_release(1, HEAD, 1);
	fence(1);		/* the kernel's, on the way out */
	returned = true;
	/* Whoever finds the head moved has the record read. */
	store_release(1, STATE, 0);
#ifdef NO_SEEN_RELEASE
	store(1, SEEN, 1)
#else
	store_release(1, SEEN, 1)
#endif
}

proctype hitter()
{
	byte head, seen, state;

	returned;
	load(0, HEAD, head);
#ifdef NO_SEEN_ACQUIRE
	load2(0, SEEN, seen, STATE, state);
#else
	load2_acquire(0, SEEN, seen, STATE, state);
#endif
	assert(!(head == seen && state == 1))
}
#define INIT memory[STATE] = 1; run changer(); run hitter()
#endif

#ifdef EVENT
/* And one after a call whose event was read? */
#define STATE 0
#define SEQ   1
bool returned;

proctype reader()
{
	store(1, SEQ, 1);
	fence(1);		/* the kernel's, when the event is read */
	returned = true;
	store(1, STATE, 0);
#ifdef NO_EVEN_RELEASE
	store(1, SEQ, 2)
#else
	store_release(1, SEQ, 2)
#endif
}

proctype hitter()
{
	byte seq, state;

	returned;
#ifdef NO_SEQ_ACQUIRE
	load2(0, SEQ, seq, STATE, state);
#else
	load2_acquire(0, SEQ, seq, STATE, state);
#endif
	assert(!(seq % 2 == 0 && state == 1))
}
#define INIT memory[STATE] = 1; run reader(); run hitter()
#endif

#ifdef REUSE
/* Does a hit on a slot that was filled again see the fields of before? */
#define STATE 0
#define ADDR  1

proctype filler()
{
	store(1, ADDR, 2);
#ifdef NO_STATE_RELEASE
	store(1, STATE, 1)
#else
	store_release(1, STATE, 1)
#endif
}

proctype hitter()
{
	byte state, addr;

#ifdef NO_STATE_ACQUIRE
	load2(0, STATE, state, ADDR, addr);
#else
	load2_acquire(0, STATE, state, ADDR, addr);
#endif
	assert(!(state == 1 && addr != 2))
}
#define INIT memory[ADDR] = 1; run filler(); run hitter()
#endif

#ifdef LOG
/*
 * A log of two entries. Since the reader began one change has come, of its own range (1); two
 * of others (2) come while it looks. It may not find that nothing of its own came.
 */
#define HEAD  0
#define ENTRY 1		/* and 2: entry n lies at ENTRY + n % 2 */

proctype writer()
{
	byte n = 1;

	do
	:: n < 3 ->
#ifndef NO_LOG_FENCE
		fence(1);
#endif
		store(1, ENTRY + n % 2, 2);
		store_release(1, HEAD, n + 1);
		n++
	:: else -> break
	od
}

proctype looks()
{
	byte head, entry, later, i;
	bool found;

	load(0, HEAD, head);
	if
	:: head >= 2 -> found = true
	:: else
	fi;
	do
	:: i < head && !found ->
		load(0, ENTRY + i % 2, entry);
		found = entry == 1;
		i++
	:: else -> break
	od;
	load(0, HEAD, later);
	assert(found || later >= 2)
}
#define INIT memory[HEAD] = 1; memory[ENTRY] = 1; run writer(); run looks()
#endif

init
{
	atomic { INIT; run reaches_memory() }
}
