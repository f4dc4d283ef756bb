/* SPDX-License-Identifier: MIT */
/*
 * A model for spin (spinroot.com) of how an agent continues its session on a new connection
 * (PROTOCOL.md, "Re-attaching"): attempts that overtake each other, hellos that are lost, and the
 * two secrets of the server. test/model/run.py checks it: every order in which attempts, hellos and
 * first words are sent, arrive, and are lost. What then happens to streams is in protocol.pml.
 *
 *   - The agent proves each attempt with the secret of the last hello it has heard. It hears the
 *     hello of its latest attempt only, and says nothing behind its own hello before that.
 *   - The server makes a new secret for each hello and accepts two: the *confirmed* one, which the
 *     agent is known to have, and the *offered* one, that of its last hello, which may be lost. An
 *     attempt with the offered one confirms it; so does the first word behind the agent's hello.
 *   - An attempt is accepted only if its epoch is higher than that of all accepted before. This
 *     comes first: an older attempt whose proof is wrong by now must not begin a new session in the
 *     place of the one that is there.
 *
 * What must hold after every step:
 *
 *   - No lock-out: the server accepts the secret of the last hello that the agent has heard,
 *     however many hellos were lost in a row.
 *   - Once the agent has shown that it has a secret, those before it open nothing.
 *   - An older attempt, or one that is replayed, never takes the session from a newer one.
 *
 * Secrets are numbered in the order in which they are made; 0 is none. An attempt is its epoch. The
 * number of attempts is bounded (ATTEMPTS). Each BREAK_... switch breaks one rule; spin must find a
 * violation then.
 *
 * Left out: other agents, since a proof is bound to its session; the credentials, which are checked
 * before all this; and a session that ends.
 */
#ifndef ATTEMPTS
#define ATTEMPTS 5 /* the first one, which has begun the session, included */
#endif

/* On their way, by attempt: the request with the agent's hello; the server's hello, which is its
 * secret; the agent's first word behind its hello. */
bool request[ATTEMPTS + 1], word[ATTEMPTS + 1];
byte hello[ATTEMPTS + 1];

byte proof[ATTEMPTS + 1];   /* the secret that the attempt was proved with */
byte heard[ATTEMPTS + 1];   /* the secret that the agent has heard there */
bool arrived[ATTEMPTS + 1]; /* the request; whoever saw it can replay it */

/* The agent. */
byte secret, attempts;
byte latest; /* attempt whose hello it waits for; 0: none */

/* The server. */
byte confirmed, offered, secrets;
byte highest;  /* epoch accepted */
byte attached; /* attempt whose messages reach the session */

byte shown; /* the latest secret that the agent has shown to have */

#define ACCEPTS(s) ((s) != 0 && ((s) == confirmed || (s) == offered))

#ifdef BREAK_EPOCH
#define NEWER(epoch) true
#elif defined BREAK_ONCE
#define NEWER(epoch) ((epoch) >= highest) /* an epoch may be used again */
#else
#define NEWER(epoch) ((epoch) > highest)
#endif

inline note_shown(s) {
    if
    :: (s) > shown -> shown = (s)
    :: else
    fi
}

/* The server makes a secret and says its hello. */
inline offer(epoch) {
    secrets++;
#ifdef BREAK_TWO
    confirmed = offered; /* the current and the previous one, whatever is heard of them */
#endif
    offered = secrets;
    hello[epoch] = offered
}

inline accept(epoch) {
    assert(epoch > highest);
    note_shown(proof[epoch]);
    if
#ifndef BREAK_USE
    :: proof[epoch] == offered -> confirmed = offered
#endif
    :: else
    fi;
    highest = epoch;
    attached = epoch;
    offer(epoch)
}

inline judge(epoch) {
    if
    :: ACCEPTS(proof[epoch]) && NEWER(epoch) -> accept(epoch)
#ifdef BREAK_NEW
    :: !ACCEPTS(proof[epoch]) ->
#else
    :: !ACCEPTS(proof[epoch]) && epoch > highest ->
#endif
        assert(false) /* a new session replaces this one */
    :: else /* refused; the session is as before */
    fi
}

/* The first message behind the agent's hello. Only the attached connection reaches the session. */
inline on_word(epoch) {
    if
#ifdef BREAK_LATE_WORD
    :: offered != 0 ->
#else
    :: attached == epoch && offered != 0 ->
#endif
        note_shown(heard[epoch]);
#ifdef BREAK_WIPE
        byte before = confirmed;
        confirmed = offered;
        offered = before
#else
        confirmed = offered;
        offered = 0
#endif
    :: else
    fi
}

inline check() {
    assert(ACCEPTS(secret));
    assert(confirmed == 0 || confirmed >= shown);
    assert(offered == 0 || offered >= shown)
}

inline dial() {
    attempts++;
    latest = attempts;
    proof[attempts] = secret;
    request[attempts] = true;
#ifdef BREAK_SOON
    word[attempts] = true /* it does not wait for the hello */
#endif
}

inline hear(epoch) {
    secret = hello[epoch];
    heard[epoch] = secret;
    hello[epoch] = 0;
    latest = 0;
    word[epoch] = true
}

#ifdef BREAK_GIVE_UP
#define LISTENS(epoch) true /* to an attempt that it has followed by another one */
#else
#define LISTENS(epoch) ((epoch) == latest)
#endif

active proctype Attempts() {
    byte e;
    atomic { /* The first attempt has begun the session, and the agent has heard the hello. */
        attempts = 1;
        secrets = 1;
        secret = 1;
        offered = 1;
        highest = 1;
        attached = 1;
        arrived[1] = true;
        heard[1] = 1;
        word[1] = true
    }
    do
    :: atomic { attempts < ATTEMPTS -> dial() }
    :: atomic {
        select(e : 1 .. ATTEMPTS);
        if
        :: request[e] -> /* it arrives */
            request[e] = false;
            arrived[e] = true;
            judge(e)
        :: request[e] -> request[e] = false /* or is lost, as all that follows */
        :: arrived[e] -> judge(e) /* replayed */
        :: hello[e] != 0 && LISTENS(e) -> hear(e)
        :: hello[e] != 0 -> hello[e] = 0
        :: word[e] && arrived[e] -> word[e] = false; on_word(e)
        :: word[e] -> word[e] = false
        :: else
        fi;
        check();
        e = 0 }
    :: attempts == ATTEMPTS -> break
    od
}
