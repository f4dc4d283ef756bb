/* SPDX-License-Identifier: MIT */
/*
 * A model of one stream for spin (spinroot.com), with the rules of PROTOCOL.md that are hardest to
 * get right: "Opening" (early data, too), "Data and credit", "Windows that grow" (yield), "End", "Reset" and
 * "Re-attaching". Each step below names its section. test/model/run.py checks it: every order in
 * which two applications, two sides and a connection that breaks can take their steps.
 *
 * What must hold, by assert() or because no step is possible otherwise:
 *
 *   - Every byte arrives once, in order. Who breaks nothing loses nothing.
 *   - What a receiver has granted it can take in; no more is sent; a sender keeps no more than KEEP.
 *   - An end is told once, behind the last byte, and only if all bytes have arrived; so is the
 *     confirmation of one's own.
 *   - No deadlock: the sides come to their end, whatever happens.
 *
 * A byte is its offset, so that the receiver can tell whether it is the right one. The bounds are
 * small: bytes (N0, N1), windows (INITIAL, MOST), KEEP, ACK, and how often there is a cut (CUTS), a
 * reset or refusal (RESETS) and a yield (YIELDS). Set by -D, as are the BREAK_... switches, each of
 * which breaks one rule; spin must find a violation then.
 *
 * Left out: other streams, ping for its own sake (what remains of it ends the account), goaway,
 * errors of the connection (they would be violations), and time: what is due may come at any time.
 */
#ifndef N0
#define N0 3 /* bytes that the opener sends; side 1 sends N1 */
#endif
#ifndef N1
#define N1 1
#endif
#ifndef INITIAL
#define INITIAL 1 /* initial_credit of both hellos */
#endif
#ifndef MOST
#define MOST 3 /* of a window that has grown */
#endif
#ifndef KEEP
#define KEEP 2 /* bytes not acknowledged at which a sender stops */
#endif
#ifndef ACK
#define ACK 1 /* bytes not acknowledged, or taken, at which a credit is due: at most KEEP */
#endif
#ifndef CUTS
#define CUTS 1
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef YIELDS
#define YIELDS 1
#endif
#ifndef EARLY
#define EARLY 0 /* 1: both hellos name the feature "early" */
#endif
#ifndef QUEUE
#define QUEUE 2 /* messages on their way in one direction; more wait at the sender */
#endif

#define OTHER (1 - me)
#define WRITES(side) ((side) == 0 -> N0 : N1)

mtype = { HANDSHAKE, COMPLETED, REFUSED, DATA, CREDIT, YIELD, END, RESET, PING };

/* From side 0 and from side 1: the message and its two numbers. */
chan wire[2] = [QUEUE] of { mtype, byte, byte };

/* The stream as a side has it. */
#define NEW 0       /* not asked yet */
#define PENDING 1   /* asked, not answered */
#define OPEN 2
#define LAST_WORD 3 /* refused or reset; the other side is still to be told */
#define FINISHED 4  /* in both directions, and forgotten */
#define GONE 5      /* reset, refused or lost, and forgotten */
byte state[2];

/* What a side has to say, in this order; data come last. */
bool say_handshake[2], say_completed[2], say_credit[2], say_reset[2], say_ping[2];
bool is_refusal[2]; /* the last word is one */

/* Sending. Bytes from `acked` on are kept. */
byte sent[2], acked[2], told[2], limit[2];
bool end_sent[2], end_acked[2];

/* Receiving. `granted` and `confirmed` are those of the last credit, but for a yield. */
byte received[2], taken[2], granted[2], confirmed[2], last_credit[2], window[2];
bool end_received[2];

/* What the applications were told. */
bool told_end[2], told_shutdown[2];

/* The connection. */
bool attached[2], cut;
bool resync[2];   /* the other side has not mentioned the stream on this connection yet */
bool resyncing[2];/* nor ended its account */
byte cuts, resets, yields;
bool was_open;    /* the opener has had an answer */
bool agreed;      /* and side 1 knows, since the opener has said what may only follow it */
bool broken;      /* somebody has reset or refused the stream */

#define KNOWN(side) (state[side] == PENDING || state[side] == OPEN)
#define IS_EARLY(side) (EARLY && state[side] == PENDING) /* an answer is still to come */
#ifdef BREAK_EARLY_UNHEARD
#define MAY_BE_UNHEARD false /* early bytes that did not arrive count as a stream that is gone */
#else
#define MAY_BE_UNHEARD (me == 0 && IS_EARLY(me))
#endif
#define CLOSED(side) (state[side] == FINISHED || state[side] == GONE)
#define QUIET(side) (!say_handshake[side] && !say_completed[side] && !say_credit[side] && \
                     !say_reset[side] && !say_ping[side])
#define ALL_DONE (CLOSED(0) && (CLOSED(1) || state[1] == NEW) && len(wire[0]) == 0 && \
                  len(wire[1]) == 0 && (state[0] != FINISHED || told_end[0]) && \
                  (state[1] != FINISHED || told_end[1]) && \
                  QUIET(0) && QUIET(1) && !cut)
#define CAN_SEND (attached[me] && nfull(wire[me]))

/* Sections "End" and "Reset" ----------------------------------------------------------------- */

inline forget(how) {
    state[me] = how;
    say_handshake[me] = false;
    say_completed[me] = false;
    say_credit[me] = false;
    say_reset[me] = false
}

/* A stream has finished for a side when its own end has been confirmed, and it has confirmed the
 * other's. */
inline check_finished() {
    if
    :: state[me] == OPEN && end_acked[me] && end_received[me] && confirmed[me] == received[me] + 1 ->
        forget(FINISHED)
    :: else
    fi
}

inline tell_shutdown() {
    if
    :: end_acked[me] && !told_shutdown[me] ->
        /* A reset that was lost with its connection cannot be told from an orderly end. */
        assert(end_received[OTHER] || broken);
        told_shutdown[me] = true
    :: else
    fi
}

inline lose() {
    assert(broken); /* nothing is lost unless somebody broke it off */
    forget(GONE)
}

/* Section "Data and credit" ------------------------------------------------------------------ */

#define GRANT (taken[me] + window[me] > granted[me] -> taken[me] + window[me] : granted[me])
#ifdef BREAK_CONFIRM
#define RECEIVED received[me] /* the end is not confirmed */
#else
#define RECEIVED (received[me] + (end_received[me] -> 1 : 0))
#endif
#ifdef BREAK_REPEAT
#define NEWS true /* a credit may repeat the one before */
#else
#define NEWS (RECEIVED != confirmed[me] || GRANT != last_credit[me])
#endif
#ifdef BREAK_REPEAT
#define DUE NEWS
#else
#define DUE (received[me] >= confirmed[me] + ACK || GRANT >= granted[me] + ACK || \
             (end_received[me] && confirmed[me] <= received[me]))
#endif

inline send_credit() {
    if /* a busy stream gets more, or not */
    :: window[me] < MOST -> window[me] = MOST
    :: true
    fi;
    granted[me] = GRANT;
    confirmed[me] = RECEIVED;
    last_credit[me] = granted[me];
    wire[me]!CREDIT(confirmed[me], granted[me]);
    assert(granted[me] - taken[me] <= window[me]); /* what is granted can be taken in */
    say_credit[me] = false;
    check_finished()
}

inline on_credit(upto, credit) {
    if
    :: state[me] == OPEN || (me == 0 && IS_EARLY(me) && resync[me]) ->
        assert(credit >= limit[me]); /* not taken back */
        assert(upto <= sent[me] + (end_sent[me] -> 1 : 0) && upto >= told[me]);
        told[me] = upto;
        limit[me] = credit;
        if
        :: end_sent[me] && upto == sent[me] + 1 ->
            end_acked[me] = true;
            acked[me] = sent[me]
        :: else ->
            if
            :: upto > acked[me] -> acked[me] = upto
            :: else
            fi
        fi;
        resume();
        tell_shutdown();
        check_finished()
    :: state[me] == PENDING && !(me == 0 && EARLY && resync[me]) -> assert(false)
    :: else /* late */
    fi
}

inline send_data() {
    wire[me]!DATA(sent[me], 0);
    sent[me]++;
#ifdef BREAK_KEEP
    acked[me] = sent[me]; /* forgotten before it has arrived */
#endif
    assert(sent[me] - acked[me] <= KEEP)
}

inline on_data(offset) {
    if
    :: state[me] == OPEN || (me == 1 && IS_EARLY(me)) ->
        assert(!resync[me]);
        assert(!end_received[me]);
        assert(offset == received[me]); /* no byte lost, none doubled */
        assert(received[me] < granted[me]);
        received[me]++
    :: state[me] == PENDING && !(me == 1 && EARLY) -> assert(false)
    :: else
    fi
}

/* Section "Windows that grow" ---------------------------------------------------------------- */

#ifdef BREAK_YIELD_SOON
#define ALL_TOLD true /* it does not wait until credits have acknowledged all its bytes */
#else
#define ALL_TOLD (told[me] == sent[me])
#endif

inline send_yield() {
    wire[me]!YIELD(limit[me], sent[me] + INITIAL);
    limit[me] = sent[me] + INITIAL;
    yields++
}

inline on_yield(credit, offset) {
    if
    :: state[me] == OPEN ->
        assert(!resync[me] && !end_received[me]);
        assert(credit <= granted[me] && offset >= received[me]);
        if
#ifdef BREAK_YIELD_STALE
        :: true -> /* even if more has been granted meanwhile */
#else
        :: credit == granted[me] ->
#endif
            granted[me] = offset;
            window[me] = (offset - taken[me] > INITIAL -> offset - taken[me] : INITIAL)
        :: else
        fi
    :: state[me] == PENDING -> assert(false)
    :: else
    fi
}

inline on_end(offset) {
    if
    :: state[me] == OPEN ->
        assert(!resync[me]);
        assert(!end_received[me]); /* once */
        assert(offset == received[me]);
        end_received[me] = true
    :: state[me] == PENDING -> assert(false)
    :: else
    fi
}

inline on_reset() {
    if
    :: KNOWN(me) -> lose()
    :: state[me] == LAST_WORD -> skip /* both have; one's own is still said */
    :: else
    fi
}

/* Side 1 hears what only an opener that has the answer says. */
inline on_agreed() {
    if
    :: me == 1 && state[me] == OPEN ->
        agreed = true;
        say_completed[me] = false
    :: else
    fi
}

/* Section "Opening" -------------------------------------------------------------------------- */

inline on_handshake() {
    assert(me == 1);
    if
    :: state[me] == NEW -> state[me] = PENDING
    :: KNOWN(me) -> /* "Re-attaching": it does not ask again, and no data has arrived */
        assert(resyncing[me]);
#ifdef BREAK_ASK_AGAIN
        state[me] = PENDING;
#endif
        assert(acked[me] == 0);
        told[me] = 0;
        resume()
    :: CLOSED(me) -> /* its answer was lost */
        assert(broken);
        is_refusal[me] = true;
        say_reset[me] = true
    :: else /* the last word is still to be said */
    fi
}

inline on_completed() {
    assert(me == 0);
    was_open = true;
    if
    :: state[me] == PENDING ->
        state[me] = OPEN;
        if
        :: say_handshake[me] -> /* "Re-attaching": a credit replaces it */
            say_handshake[me] = false;
            say_credit[me] = true
        :: else
        fi
    :: state[me] == OPEN -> assert(resyncing[me]) /* a second answer, if not in an account */
    :: else
    fi
}

/* Section "Re-attaching" --------------------------------------------------------------------- */

/* The other side has mentioned the stream: goes on behind what it has received. */
inline resume() {
    if
    :: resync[me] ->
        resync[me] = false;
#ifndef BREAK_RESUME
        sent[me] = acked[me];
#endif
#ifdef BREAK_END_AGAIN
        end_sent[me] = false;
        end_acked[me] = false
#else
        end_sent[me] = end_acked[me]
#endif
    :: else
    fi
}

/* The account of a side on a new connection. */
inline restate(side) {
    attached[side] = true;
    say_handshake[side] = false;
    say_completed[side] = false;
    say_credit[side] = false;
#ifdef BREAK_EARLY_SOON
    resync[side] = state[side] == OPEN || (state[side] == PENDING && side == 1);
#else
    resync[side] = state[side] == OPEN || (state[side] == PENDING && (side == 1 || EARLY));
#endif
    resyncing[side] = true;
    say_ping[side] = true;
    if
    :: state[side] == PENDING && side == 0 -> say_handshake[side] = true
    :: state[side] == PENDING && side == 1 && received[side] > 0 -> say_credit[side] = true
    :: state[side] == OPEN ->
        say_completed[side] = (side == 1 && !agreed);
        say_credit[side] = true
    :: state[side] == LAST_WORD && side == 0 && !was_open ->
        /* it cannot know whether the handshake arrived, and does not mention the stream */
        say_reset[side] = false;
        state[side] = GONE
    :: state[side] == LAST_WORD && (side == 1 || was_open) -> say_reset[side] = true
    :: else -> say_reset[side] = false
    fi
}

/* The first ping ends the account of the other side. */
inline on_ping() {
    if
    :: resyncing[me] ->
        resyncing[me] = false;
        if
        :: resync[me] && KNOWN(me) && MAY_BE_UNHEARD -> resume() /* nothing has arrived */
        :: resync[me] && KNOWN(me) && !MAY_BE_UNHEARD ->
            resync[me] = false;
            if
            :: state[me] == OPEN && end_sent[me] && confirmed[me] > received[me] ->
                end_acked[me] = true;
                tell_shutdown();
                check_finished()
            :: else -> lose()
            fi
        :: else
        fi
    :: else
    fi
}

inline detach() {
    attached[me] = false;
    if
    :: !attached[OTHER] -> /* both have found out: what was on its way is lost */
        do
        :: nempty(wire[0]) -> wire[0]?_, _, _
        :: nempty(wire[1]) -> wire[1]?_, _, _
        :: empty(wire[0]) && empty(wire[1]) -> break
        od;
        cut = false;
        restate(0);
        restate(1)
    :: else
    fi
}

/* One side ----------------------------------------------------------------------------------- */

proctype Side(byte me) {
    mtype kind;
    byte a, b;
    do
    /* Messages in. */
    :: atomic { attached[me] && nempty(wire[OTHER]) ->
        wire[OTHER]?kind(a, b);
        if
        :: kind == HANDSHAKE -> on_handshake()
        :: kind == COMPLETED -> on_completed()
        :: kind == DATA ->
            if
#ifdef BREAK_EARLY_AGREED
            :: true -> on_agreed() /* as if the byte could not be early */
#else
            :: !EARLY -> on_agreed()
            :: else
#endif
            fi;
            on_data(a)
        :: kind == CREDIT -> on_agreed(); on_credit(a, b)
        :: kind == YIELD -> on_agreed(); on_yield(a, b)
        :: kind == END -> on_agreed(); on_end(a)
        :: kind == RESET || kind == REFUSED -> on_reset()
        :: kind == PING -> on_ping()
        fi;
        kind = 0;
        a = 0;
        b = 0 }

    /* Messages out: control in its order, the ping behind the account, then data. */
    :: atomic { CAN_SEND && say_handshake[me] -> wire[me]!HANDSHAKE(0, 0); say_handshake[me] = false }
    :: atomic { CAN_SEND && !say_handshake[me] && say_completed[me] ->
        wire[me]!COMPLETED(0, 0);
#ifdef BREAK_AGREED
        agreed = true; /* as if it had arrived */
#endif
        say_completed[me] = false }
    :: atomic { CAN_SEND && !say_handshake[me] && !say_completed[me] &&
        ((state[me] == OPEN && DUE && NEWS) || (KNOWN(me) && say_credit[me])) -> send_credit() }
    :: atomic { CAN_SEND && !say_handshake[me] && !say_completed[me] && say_reset[me] ->
        if
        :: is_refusal[me] -> wire[me]!REFUSED(0, 0)
        :: else -> wire[me]!RESET(0, 0)
        fi;
        forget(GONE) }
    :: atomic { CAN_SEND && !say_handshake[me] && !say_completed[me] && !say_credit[me] &&
        !say_reset[me] && say_ping[me] ->
        wire[me]!PING(0, 0);
        say_ping[me] = false }
#ifdef BREAK_SOON
    :: atomic { CAN_SEND && state[me] == OPEN && QUIET(me) &&
#else
    :: atomic { CAN_SEND && (state[me] == OPEN || (me == 0 && IS_EARLY(me))) && QUIET(me) &&
        !resync[me] &&
#endif
        sent[me] < WRITES(me) && sent[me] < limit[me] && sent[me] - acked[me] < KEEP ->
        send_data() }
    :: atomic { CAN_SEND && state[me] == OPEN && QUIET(me) && !resync[me] && !end_sent[me] &&
        sent[me] == WRITES(me) ->
        wire[me]!END(sent[me], 0);
        end_sent[me] = true }
    :: atomic { CAN_SEND && state[me] == OPEN && QUIET(me) && !resync[me] && !end_sent[me] &&
        yields < YIELDS && ALL_TOLD && limit[me] > sent[me] + INITIAL -> send_yield() }

    /* The application. */
    :: atomic { me == 1 && state[me] == PENDING ->
        state[me] = OPEN;
#ifndef BREAK_ACCOUNT
        say_credit[me] = say_credit[me] || say_ping[me]; /* the account goes on */
#endif
        say_completed[me] = true }
    :: atomic { me == 1 && state[me] == PENDING && resets < RESETS ->
        resets++;
        broken = true;
        is_refusal[me] = true;
        say_reset[me] = true;
        state[me] = LAST_WORD }
    :: atomic { KNOWN(me) && (me == 0 || state[me] == OPEN) && resets < RESETS &&
        !say_handshake[me] ->
        resets++;
        broken = true;
        say_completed[me] = false;
        say_credit[me] = false;
        say_reset[me] = true;
        state[me] = LAST_WORD }
    :: atomic { state[me] != GONE && state[me] != PENDING && taken[me] < received[me] ->
        taken[me]++ }
    :: atomic { state[me] != GONE && end_received[me] && taken[me] == received[me] &&
        !told_end[me] ->
        assert(taken[me] == WRITES(OTHER)); /* what was cut never looks whole */
        told_end[me] = true }

    /* The connection breaks; each side finds out at its time. */
    :: atomic { cuts < CUTS && !cut && attached[me] && !ALL_DONE -> cuts++; cut = true }
    :: atomic { cut && attached[me] -> detach() }

    :: atomic { ALL_DONE -> break }
    od
}

init {
    atomic {
        byte side;
        for (side : 0 .. 1) {
            attached[side] = true;
            limit[side] = INITIAL;
            granted[side] = INITIAL;
            window[side] = INITIAL
        }
        state[0] = PENDING;
        say_handshake[0] = true;
        run Side(0);
        run Side(1)
    }
    (_nr_pr == 1);
    assert(broken || (state[0] == FINISHED && state[1] == FINISHED));
    assert(broken || (received[0] == N1 && received[1] == N0));
    assert(broken || (told_shutdown[0] && told_shutdown[1]))
}
