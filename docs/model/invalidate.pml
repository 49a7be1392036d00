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
 *   ABSENT_IS_EVIDENCE   a page seen absent opens the range, wherever it was before
 *   PROBE_KEPT           a probe stays good after another change of the page was read
 *   ANY_MAPPING          a probe counts as gone in a mapping that is not registered
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
mtype = { EMPTY, PRESENT };

/* The kernel's side. */
mtype pte[PAGES] = EMPTY;
byte gen[PAGES];		/* generation of the memory behind the page */
bool registered[PAGES];		/* the mapping delivers events */
byte removing;			/* REMOVEs that were read and whose pages are to go */
byte unmapping[PAGES];		/* UNMAPs whose pages went and which have not returned */
byte newest[PAGES];
byte oldest[PAGES];		/* what Y3 allows to operations submitted from now on */
#define READER		CHANGERS	/* as a changer: NO_RULE1 only */
chan events = [CHANGERS + 1] of { mtype, byte };
bool was_read[CHANGERS + 1];	/* the changer's event has been read: it runs on */

/* The library's side. */
byte seq;			/* odd: an invalidation is under way */
bool booked[PAGES];		/* the library believes the mapping registered */
byte entries[PAGES];		/* REMOVEs whose end is not proven; closed while > 0 */
bool probe;			/* the newest one's page was there at the event */

/* The device's side: one slot. */
byte slot_page = NONE;		/* what the slot's contents belong to */
byte slot_gen;
byte slot_users;		/* operations that name it, submitted and not complete */
bool published;			/* new operations may find it */
bool wanted[PAGES];		/* an operation waits for the page, or runs */
bool had_closed, had_other;	/* for REACH_* only */

#define marked()	(seq & 1)
#define closed(p)	(entries[p] > 0)
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
		   atomic { zap(0, g); removing-- }
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
	atomic {
		events ? kind, who ->
		was_read[who] = true;
		removing = removing + (kind == REMOVE)
	}
}

proctype reader()
{
	mtype kind;
	byte who;
	bool covered;

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
			covered = published_for(0);
			if
			:: slot_page == 0 -> published = false
			:: else
			fi;
#ifndef PROBE_KEPT
			probe = false;
#endif
			if
			:: kind == UNMAP ->
				booked[0] = false;
#ifdef UNMAP_OPENS
				entries[0] = 0
#endif
			:: else ->
#ifndef NO_RULE4
				entries[0]++;
#endif
#ifdef ABSENT_IS_EVIDENCE
				probe = true;
#else
				probe = probe || covered;
#endif
				had_closed = true
			fi;
			covered = false;
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

/* Opens closed pages when there is evidence that the change is over. */
proctype looker()
{
	end:
	do
	:: atomic {	/* the probe has gone */
		closed(0) && probe && pte[0] == EMPTY && in_question(0) ->
		probe = false;
		entries[0]--
	   }
	:: atomic {	/* no thread is in a removing system call any more */
		closed(0) && removing == 0 ->
		probe = false;
		entries[0] = 0
	   }
	od
}

/* Makes a page reachable: begin, register, pin, publish or start again. */
proctype mapper(byte page)
{
	byte begun, pinned;

	end:
	do
	:: atomic {	/* closed: another mode than a pin, but registered all the same */
		wanted[page] && closed(page) && !booked[page] && !marked() ->
		booked[page] = true;
		registered[page] = true
	   }
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
