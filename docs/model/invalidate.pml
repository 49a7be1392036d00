/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a device ever use memory that its owner has already replaced?
 *
 * The protocol by which an address-space change reaches a device, in little: page 0
 * is changed by two threads at once through raw system calls, page 1 never; both want
 * the only slot of a device.  Memory itself is one number a page, its generation: the
 * kernel's removal of a page adds one.  When a change has returned, "oldest" is the
 * first generation that an operation submitted from then on may see (Y3).
 *
 * Each hard rule can be left out with a -D switch, to see that the checks can fail:
 *
 *   NO_RULE1             the reader itself frees memory that is mirrored
 *   NO_RULE3             read the event first, mark afterwards
 *   NO_RULE4             a page hit by REMOVE is open again at once
 *   NO_RULE6             a slot is reused while an operation names it
 *   ABSENT_IS_EVIDENCE   a page absent at first sight opens the range again
 *   UNCOUNTED            one emptying is evidence for all the REMOVEs of a page
 *   ANY_MAPPING          an emptying counts in a mapping that is not registered
 *   UNMAP_OPENS          an UNMAP makes a closed page open
 *
 * and two ask whether the model does anything at all (each must be found reachable):
 *
 *   REACH_REOPENED       an operation uses a translation of a page that had been closed
 *   REACH_REUSED         an operation uses a slot that another page had before
 */

#define PAGES		2
#define NONE		255

/* The size of what is searched. */
#ifndef CHANGERS
#define CHANGERS	2	/* threads that change page 0 */
#endif
#ifndef CHANGES
#define CHANGES		1	/* by each of them */
#endif
#ifndef OPS
#define OPS		2	/* operations on page 0 */
#endif
#ifndef OPS_BESIDE
#define OPS_BESIDE	0	/* and on page 1 */
#endif

mtype = { UNMAP, REMOVE };
mtype = { EMPTY, MARKER, PRESENT };

/* The kernel's side. */
mtype pte[PAGES] = EMPTY;	/* MARKER: a write-protect marker, no page behind it */
byte gen[PAGES];		/* generation of the memory behind the page */
bool registered[PAGES];		/* the mapping delivers events */
byte unmapping[PAGES];		/* UNMAPs whose pages went and which have not returned */
byte newest[PAGES];
byte oldest[PAGES];		/* what Y3 allows to operations submitted from now on */
#define READER		CHANGERS	/* as a changer: NO_RULE1 only */
chan events = [CHANGERS + 1] of { mtype, byte };
bool was_read[CHANGERS + 1];	/* the changer's event has been read: it runs on */

/* The library's side. */
byte seq;			/* odd: an invalidation is under way */
bool booked[PAGES];		/* the library believes the mapping registered */
byte pending[PAGES];		/* REMOVEs whose end is not proven; closed while > 0 */
bool seen_full[PAGES];		/* non-empty at a look since then */

/* The device's side: one slot. */
byte slot_page = NONE;		/* what the slot's contents belong to */
byte slot_gen;
byte slot_users;		/* operations that name it, submitted and not complete */
bool published;			/* new operations may find it */
bool wanted[PAGES];		/* an operation waits for the page, or runs */
bool had_closed, had_other;	/* for REACH_* only */

#define marked()	(seq & 1)
#define closed(p)	(pending[p] > 0)
#define published_for(p) (published && slot_page == (p))
#ifdef ANY_MAPPING
#define in_question(p)	true
#else
#define in_question(p)	registered[p]
#endif

inline zap(p, g)
{
	gen[p]++;
	g = gen[p];
	pte[p] = EMPTY;
}

/*
 * The call returns: from here on the program relies on what it did.  Where two threads
 * change one mapping at once, that is when the later of the two returns: between the
 * removal and the event of an UNMAP nobody can know of it, and what the other thread
 * does to the new mapping in that moment raises no event at all.
 */
inline change_returns(p, g)
{
	if
	:: newest[p] < g -> newest[p] = g
	:: else
	fi;
	if
	:: unmapping[p] == 0 -> oldest[p] = newest[p]
	:: else
	fi
}

proctype changer(byte me)
{
	byte g, n;
	bool told;

	do
	:: n < CHANGES ->
		n++;
		if
		:: atomic {	/* the pages go, then the event comes */
			zap(0, g);
			told = registered[0];
			registered[0] = false;
			unmapping[0] = unmapping[0] + told
		   }
		   if
		   :: told ->
			events ! UNMAP, me;
			atomic { was_read[me] -> was_read[me] = false; unmapping[0]-- }
		   :: else
		   fi
		:: atomic { !registered[0] -> zap(0, g) }
		:: registered[0] ->
		   events ! REMOVE, me;
		   atomic { was_read[me] -> was_read[me] = false };
		   /* the event came; whatever is mapped here by now, its pages go */
		   atomic { zap(0, g) }
		fi;
		atomic { change_returns(0, g); g = 0; told = false }
	:: n == CHANGES -> break
	od
}

/* Any CPU access brings a page in. */
proctype toucher()
{
	end:
	do
	:: atomic { pte[0] != PRESENT -> pte[0] = PRESENT }
	od
}

inline mark_begin()
{
	seq++
}

inline read_event()
{
	atomic { events ? kind, who -> was_read[who] = true }
}

proctype reader()
{
	mtype kind;
	byte who;

	end:
	do
	:: nempty(events) ->
#ifdef NO_RULE3
		read_event();
		mark_begin();
#else
		mark_begin();
		read_event();
#endif
		atomic {	/* the mirror lock */
			if
			:: slot_page == 0 -> published = false
			:: else
			fi;
			if
			:: kind == UNMAP ->
				booked[0] = false;
				seen_full[0] = false;
#ifdef UNMAP_OPENS
				pending[0] = 0;
#endif
			:: else ->
#ifndef NO_RULE4
				pending[0]++;
#endif
				had_closed = true
			fi;
			kind = 0;
			who = 0
		};
#ifdef NO_RULE1
		if
		:: registered[1] -> events ! REMOVE, READER; was_read[READER]
		:: else
		fi;
#endif
		seq++
	od
}

/*
 * Looks at closed pages for evidence that the change is over.  A look and what is
 * concluded from it are two steps, held together by the sequence as a fault is.
 */
proctype looker()
{
	byte begun;
	mtype saw;

	end:
	do
	:: atomic {
		(closed(0) && !marked() && in_question(0) &&
		 seen_full[0] == (pte[0] == EMPTY)) ->
		begun = seq;
		saw = pte[0]
	   };
	   atomic {
		if
		:: seq != begun
		:: else ->
			if
			:: saw != EMPTY -> seen_full[0] = true
			:: saw == EMPTY && seen_full[0] ->
				seen_full[0] = false;
#ifdef UNCOUNTED
				pending[0] = 0
#else
				pending[0]--
#endif
			:: else
			fi
		fi;
		begun = 0;
		saw = 0
	   }
	:: atomic {
		closed(0) && pte[0] == EMPTY && !seen_full[0] && registered[0] ->
#ifdef ABSENT_IS_EVIDENCE
		pending[0] = 0
#else
		pte[0] = MARKER
#endif
	   }
	od
}

/* Makes a page reachable: begin, register, pin, publish or start again. */
proctype mapper(byte page)
{
	byte begun, pinned;

	end:
	do
	:: atomic {
		(wanted[page] && !published_for(page) && !closed(page) && !marked()) ->
		begun = seq
	   };
	   atomic {
		if
		:: seq == begun && !booked[page] ->
			booked[page] = true;
			registered[page] = true
		:: else
		fi
	   };
	   atomic {
		pte[page] = PRESENT;
		pinned = gen[page]
	   };
	   do	/* evict who has the slot, and wait for the operations that name it */
	   :: atomic { published && slot_page != page -> published = false }
	   :: published_for(page) -> break
	   :: atomic {
#ifdef NO_RULE6
		!published ->
#else
		!published && slot_users == 0 ->
#endif
		if
		:: seq == begun && !closed(page) ->
			had_other = had_other || (slot_page != page && slot_page != NONE);
			slot_page = page;
			slot_gen = pinned;
			published = true
		:: else
		fi;
		break
	      }
	   od;
	   atomic { begun = 0; pinned = 0 }
	od
}

/* Operations on one page, each: find the translation, hold it, run, let it go. */
proctype device(byte page; byte ops)
{
	byte n, allowed;

	do
	:: n < ops ->
		atomic {	/* submission begins */
			n++;
			allowed = oldest[page];
			wanted[page] = true
		};
	lookup:
		if
		:: closed(page) && !marked() ->
			/* direct mode: at each moment the CPU's own mapping */
			assert(gen[page] >= allowed);
			goto complete
		:: published_for(page) && !marked()
		fi;
		slot_users++;
		if	/* still the one that was found? */
		:: atomic { !published_for(page) -> slot_users-- ; goto lookup }
		:: published_for(page)
		fi;
		atomic {	/* it runs, at any time later */
			assert(slot_page == page);		/* Y4 */
			assert(slot_gen >= allowed);		/* Y3 */
#ifdef REACH_REOPENED
			assert(!(had_closed && page == 0 && slot_gen > 0));
#endif
#ifdef REACH_REUSED
			assert(!had_other);
#endif
			slot_users--
		};
	complete:
		atomic { wanted[page] = false; allowed = 0 }
	:: n == ops -> break
	od
}

init
{
	byte n;

	atomic {
		run reader();
		run toucher();
		run looker();
		do
		:: n < CHANGERS -> run changer(n); n++
		:: n == CHANGERS -> break
		od;
		run mapper(0);
		run device(0, OPS);
		if
		:: OPS_BESIDE > 0 ->
			run mapper(1);
			run device(1, OPS_BESIDE)
		:: else
		fi
	}
}
