/* SPDX-License-Identifier: MIT */
/* The applications at both ends of the simulated link, and the model of what may happen to them. */
#include "sim.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* What the writer's bytes from `n` on are: up to *len of them that lie together, out of one pattern
 * of a prime length that all streams go through, each from a place of its own. */
static const uint8_t *bytes_at(const sim_end_t *writer, uint64_t n, size_t *len) {
    enum { PERIOD = 65521 };
    static uint8_t pattern[PERIOD];
    if (pattern[0] == 0) {
        uint64_t random = 1;
        for (size_t i = 0; i < PERIOD; i++)
            pattern[i] = (uint8_t)(test_random(&random) >> 32);
        pattern[0] = 1;
    }
    uint64_t own = writer->pair->id * 1009 + (uint64_t)writer->side * 30011;
    size_t at = (size_t)((n + own) % PERIOD);
    if (*len > PERIOD - at)
        *len = PERIOD - at;
    return pattern + at;
}

static sim_end_t *other(const sim_end_t *end) {
    return &end->pair->ends[1 - end->side];
}

static void check(const sim_end_t *end, bool condition, const char *what) {
    if (!condition)
        sim_fail(end->sim, "stream %llu at side %d: %s", (unsigned long long)end->pair->id,
                 end->side, what);
}

static bool is_done(const sim_end_t *end) {
    return end->saw_end && end->saw_shutdown;
}

/* -- What an application does ----------------------------------------------------------------- */

static void close_end(sim_end_t *end, int reset_reason) {
    wst__session_stream_t *st = end->st;
    if (!end->dead && !end->aborted && (!is_done(end) || reset_reason != 0)) {
        end->aborted = true;
        end->reason = reset_reason != 0 ? reset_reason : WST_ECANCELLED;
        end->cuts = end->sim->cuts;
        end->had_all = st->rx_ended;
    }
    end->st = NULL;
    wst__session_stream_close(st, reset_reason);
}

static void refuse(sim_end_t *end) {
    static const int reasons[] = {WST_EDENIED, WST_EREFUSED, WST_ENAME};
    end->aborted = true;
    end->reason = reasons[sim_random(end->sim, 3)];
    end->cuts = end->sim->cuts;
    wst__session_stream_refuse(end->st, end->reason, end->pair->dest);
}

static void write_some(sim_end_t *end, uint64_t n) {
    wst__pool_t *pool = &end->sim->sides[end->side].pool;
    wst_chunk_t *chunk = wst__pool_chunk(pool, (size_t)n << sim_random(end->sim, 3));
    assert_non_null(chunk);
    uint8_t *data = wst_chunk_data(chunk);
    for (size_t done = 0, len; done < n; done += len) {
        len = (size_t)n - done;
        const uint8_t *from = bytes_at(end, end->written + done, &len);
        memcpy(data + done, from, len);
    }
    end->written += n;
    int status = wst__session_stream_write(end->st, (wst_slice_t){chunk, data, (size_t)n});
    check(end, status >= 0, "write failed");
    if (status == WST_WAIT)
        end->waiting = true;
}

static void read_from_now(sim_end_t *end, bool wanted) {
    end->reading = wanted;
    wst__session_stream_read(end->st, wanted);
    if (wanted)
        wst__session_stream_deliver(end->st);
}

static void accept_end(sim_end_t *end) {
    end->opened = true;
    wst__session_stream_accept(end->st, "");
    if (end->reading)
        wst__session_stream_deliver(end->st);
}

static void open_one(sim_t *sim, int side) {
    wst__session_t *s = sim->sides[side].s;
    if (sim->pair_count == SIM_PAIRS || wst__session_can_open(s) != 0)
        return;
    sim_pair_t *pair = &sim->pairs[sim->pair_count];
    *pair = (sim_pair_t){.opener = side};
    snprintf(pair->dest, sizeof(pair->dest), "host%zu:%d", sim->pair_count, side);
    for (int i = 0; i < 2; i++) {
        /* Mostly a little, sometimes many windows. */
        uint64_t window = sim->sides[1 - i].s->o.hello.initial_credit;
        uint64_t target = sim_random(sim, UINT64_C(1) << sim_random(sim, 18));
        if (target > 30 * window)
            target = 30 * window;
        pair->ends[i] = (sim_end_t){.sim = sim, .pair = pair, .side = i, .target = target};
    }
    sim_end_t *end = &pair->ends[side];
    int status = wst__session_open(s, &end->st, pair->dest, &sim->sides[side].opener, end);
    if (status == WST_EMEMORY && sim->limited)
        return;
    check(end, status == 0, "open failed");
    pair->id = wst__session_stream_id(end->st);
    end->asked = true;
    sim->pair_count++;
    end->reading = sim_chance(sim, 80);
    wst__session_stream_read(end->st, end->reading);
}

/* A random thing to do with one end. */
static void act_on(sim_end_t *end) {
    sim_t *sim = end->sim;
    uint64_t dice = sim_random(sim, 100);
    bool answered = end->opened || end->pair->opener == end->side;
    if (end->dead || end->aborted || is_done(end)) {
        if (dice < 50)
            close_end(end, 0);
    } else if (dice < 2) {
        close_end(end, dice == 0 ? WST_EIDLE : 0);
    } else if (!answered) {
        if (dice < 20)
            refuse(end);
        else if (dice < 80)
            accept_end(end);
    } else if (dice < 20) {
        read_from_now(end, !end->reading || dice < 10);
    } else if (dice < 25 || (end->written == end->target && dice < 50)) {
        if (!end->shut)
            check(end, wst__session_stream_shutdown(end->st) == 0, "shutdown failed");
        end->shut = true;
    } else if (!end->shut && end->written < end->target) {
        uint64_t room = wst__session_stream_room(end->st), rest = end->target - end->written;
        if (dice == 99) {
            end->overfilled = true;
            room += 1 + sim_random(sim, 1000);
        }
        if (room > rest)
            room = rest;
        if (room > 0)
            write_some(end, 1 + sim_random(sim, room));
    }
}

static sim_end_t *pick(sim_t *sim, int side) {
    if (sim->pair_count == 0)
        return NULL;
    sim_end_t *end = &sim->pairs[sim_random(sim, sim->pair_count)].ends[side];
    return end->st != NULL ? end : NULL;
}

void sim_act(sim_t *sim, int side) {
    if (sim_chance(sim, 8))
        open_one(sim, side);
    sim_end_t *end = pick(sim, side);
    if (end != NULL)
        act_on(end);
    if (sim_random(sim, 2000) == 0) {
        sim->sides[side].goaway = true;
        wst__session_goaway(sim->sides[side].s, WST_EGOAWAY);
    }
}

/* -- What it does to come to an end ----------------------------------------------------------- */

static bool finish_end(sim_end_t *end) {
    sim_t *sim = end->sim;
    if (end->dead || end->aborted || is_done(end)) {
        close_end(end, 0);
        return true;
    }
    bool any = false;
    if (!end->opened && end->pair->opener != end->side) {
        accept_end(end);
        any = true;
    }
    if (!end->reading && !(sim->half && sim_chance(sim, 95))) {
        read_from_now(end, true);
        any = true;
        if (end->st == NULL)
            return true;
    }
    if (end->shut || end->dead)
        return any;
    uint64_t target = sim->half ? end->target / 2 : end->target;
    uint64_t room = wst__session_stream_room(end->st);
    uint64_t rest = target > end->written ? target - end->written : 0;
    if (rest == 0 && sim->half)
        return any;
    if (rest == 0) {
        end->shut = true;
        check(end, wst__session_stream_shutdown(end->st) == 0, "shutdown failed");
        return true;
    }
    if (end->waiting || room == 0) /* then on_drain must come */
        return any;
    write_some(end, room < rest ? room : rest);
    return true;
}

bool sim_finish(sim_t *sim, int side) {
    bool any = false;
    for (size_t i = 0; i < sim->pair_count; i++) {
        sim_end_t *end = &sim->pairs[i].ends[side];
        if (end->st != NULL)
            any |= finish_end(end);
    }
    return any;
}

/* -- What happens to it ----------------------------------------------------------------------- */

/* Sometimes an application does something at once, to this stream or another one. */
static void react(sim_t *sim, int side) {
    const sim_side_t *s = &sim->sides[side];
    if ((s->said_bye || s->heard_bye) && !sim->given_up && !s->suspending)
        sim_fail(sim, "side %d: told of a stream behind bye", side);
    if (!sim->reentrant || sim->finishing || sim->depth > 3 || !sim_chance(sim, 20))
        return;
    sim->depth++;
    sim_act(sim, side);
    sim->depth--;
}

static void on_open(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest, void *user_data) {
    sim_side_t *side = user_data;
    sim_t *sim = side->sim;
    (void)s;
    uint64_t id = wst__session_stream_id(st);
    for (size_t i = 0; i < sim->pair_count; i++) {
        sim_pair_t *pair = &sim->pairs[i];
        if (pair->id != id)
            continue;
        sim_end_t *end = &pair->ends[side->index];
        check(end, pair->opener != side->index && !end->asked, "opened twice");
        check(end, dest.len == strlen(pair->dest) && memcmp(dest.ptr, pair->dest, dest.len) == 0,
              "opened for another destination");
        check(end, !side->goaway, "opened after goaway");
        end->asked = true;
        end->st = st;
        wst__session_stream_set_data(st, end);
        end->reading = sim_chance(sim, 80);
        wst__session_stream_read(st, end->reading);
        if (sim->finishing || sim_chance(sim, 40))
            accept_end(end);
        react(sim, side->index);
        return;
    }
    sim_fail(sim, "stream %llu was not opened", (unsigned long long)id);
}

static void on_opened(wst__session_stream_t *st, wst_str_t address, void *data) {
    (void)address;
    sim_end_t *end = data;
    check(end, end->st == st && end->pair->opener == end->side, "opened at the wrong end");
    check(end, !end->opened && !end->dead, "opened twice");
    check(end, other(end)->opened, "opened though not accepted");
    end->opened = true;
    react(end->sim, end->side);
}

/* Only who has aborted a stream, or lost sight of one so aborted, may have it lost. */
static bool may_be_lost(const sim_end_t *end) {
    const sim_end_t *peer = other(end);
    return end->sim->cuts > 0 && (peer->aborted || peer->dead) && !is_done(peer);
}

static void on_failed(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    sim_end_t *end = data;
    const sim_end_t *peer = other(end);
    const sim_side_t *peer_side = &end->sim->sides[peer->side];
    check(end, end->st == st && end->pair->opener == end->side && !end->opened && !end->dead,
          "failed though it was open");
    bool right;
    if (end->sim->sides[end->side].suspending) {
        right = reason == WST_ELOST && !wst__session_stream_early_delivered(st);
    } else if (peer->aborted && reason == peer->reason) {
        right = peer->opened || text.len == 0 ||
                (text.len == strlen(end->pair->dest) &&
                 memcmp(text.ptr, end->pair->dest, text.len) == 0);
    } else if (reason == WST_EGOAWAY) {
        right = peer_side->goaway && !peer->opened;
    } else if (reason == WST_EMEMORY || reason == WST_ELIMIT) {
        right = end->sim->limited && !peer->asked;
    } else {
        /* If the peer was not even asked, its refusal was lost. */
        right = reason == WST_ELOST &&
                (may_be_lost(end) ||
                 (end->sim->cuts > 0 && !peer->asked && (end->sim->limited || peer_side->goaway)));
    }
    check(end, right || end->sim->given_up, "failed without a cause");
    end->dead = true;
    react(end->sim, end->side);
}

static void on_data(wst__session_stream_t *st, wst_slice_t data, void *stream_data) {
    sim_end_t *end = stream_data;
    const sim_end_t *peer = other(end);
    check(end, end->st == st && end->opened && !end->dead && !end->aborted && !end->saw_end,
          "data out of place");
    check(end, end->reading, "data while reading was stopped");
    check(end, data.len > 0 && data.len <= peer->written - end->read, "data never written");
    for (size_t done = 0, len; done < data.len; done += len) {
        len = data.len - done;
        const uint8_t *expected = bytes_at(peer, end->read + done, &len);
        check(end, memcmp(data.data + done, expected, len) == 0, "wrong data");
    }
    end->read += data.len;
    react(end->sim, end->side);
}

static void on_end(wst__session_stream_t *st, void *data) {
    sim_end_t *end = data;
    check(end, end->st == st && end->opened && !end->dead && !end->aborted && !end->saw_end,
          "end out of place");
    check(end, end->reading, "end while reading was stopped");
    check(end, other(end)->shut && end->read == other(end)->written, "end before all data");
    end->saw_end = true;
    react(end->sim, end->side);
}

static void on_drain(wst__session_stream_t *st, void *data) {
    sim_end_t *end = data;
    check(end, end->st == st && end->waiting && !end->dead && !end->aborted, "drain out of place");
    check(end, wst__session_stream_room(st) > 0, "drain without room");
    end->waiting = false;
    react(end->sim, end->side);
}

static void on_shutdown(wst__session_stream_t *st, void *data) {
    sim_end_t *end = data;
    const sim_end_t *peer = other(end);
    check(end, end->st == st && end->shut && !end->saw_shutdown && !end->dead && !end->aborted,
          "shutdown out of place");
    bool arrived = peer->saw_end || peer->had_all;
    if (peer->st != NULL && !peer->aborted && !peer->dead)
        arrived = peer->st->rx_ended && peer->st->rx_received == end->written;
    /* A reset that was lost with its carrier cannot be told from an orderly end. */
    bool reset_lost = peer->aborted && end->sim->cuts > peer->cuts;
    check(end, arrived || reset_lost, "shutdown told before all has arrived");
    end->saw_shutdown = true;
    react(end->sim, end->side);
}

static void on_reset(wst__session_stream_t *st, int reason, wst_str_t text, void *data) {
    sim_end_t *end = data;
    const sim_end_t *peer = other(end);
    (void)text;
    check(end, end->st == st && !end->dead && !end->aborted, "reset out of place");
    check(end, end->opened || end->pair->opener != end->side, "reset instead of failed");
    check(end,
          (peer->aborted && reason == peer->reason) || (reason == WST_ELOST && may_be_lost(end)) ||
              end->sim->given_up,
          "reset without a cause");
    end->dead = true;
    react(end->sim, end->side);
}

/* A deadline is one way to find out that the link is dead. */
static void on_dead(wst__session_t *s, int error, void *user_data) {
    sim_side_t *side = user_data;
    (void)s;
    assert_int_equal(error, WST_ETIMEOUT);
    sim_lose(side->sim, side->index);
}

static const char farewell[] = "drained";

void sim_say_bye(sim_t *sim, int side) {
    sim->sides[side].said_bye = true;
    wst__session_bye(sim->sides[side].s, WST_EGOAWAY, farewell);
}

static void on_bye(wst__session_t *s, int reason, wst_str_t text, void *user_data) {
    sim_side_t *side = user_data;
    sim_t *sim = side->sim;
    if (!sim->sides[1 - side->index].said_bye || side->said_bye || side->heard_bye)
        sim_fail(sim, "side %d: bye out of place", side->index);
    if (reason != WST_EGOAWAY || text.len != strlen(farewell) ||
        memcmp(text.ptr, farewell, text.len) != 0)
        sim_fail(sim, "side %d: another bye than was said", side->index);
    side->heard_bye = true;
    if (!sim_chance(sim, 50))
        return;
    sim->given_up = true;
    wst__session_drop_streams(s, WST_ELOST);
}

static void on_wakeup(wst__session_t *s, void *user_data) {
    (void)s;
    sim_side_t *side = user_data;
    side->woken = true;
}

const wst__session_callbacks_t sim_callbacks = {.on_open = on_open,
                                                .on_opened = on_opened,
                                                .on_failed = on_failed,
                                                .on_data = on_data,
                                                .on_end = on_end,
                                                .on_drain = on_drain,
                                                .on_shutdown = on_shutdown,
                                                .on_reset = on_reset,
                                                .on_bye = on_bye,
                                                .on_dead = on_dead,
                                                .on_wakeup = on_wakeup};

/* -- What must hold --------------------------------------------------------------------------- */

void sim_check(sim_t *sim) {
    for (int i = 0; i < 2; i++) {
        const sim_side_t *side = &sim->sides[i];
        size_t reserved = 0, count = 0;
        uint64_t in_flight = 0;
        const wst__session_stream_t *st = wst__session_first_stream(side->s);
        for (; st != NULL; st = wst__session_next_stream(st)) {
            const sim_end_t *end = st->owned ? st->data : NULL;
            reserved += st->reserved;
            count++;
            in_flight += st->resync ? 0 : st->tx_sent - st->tx_acked;
            size_t least = wst__bufq_bound_append(WST__SEND_LEAST);
            size_t kept =
                st->tx_reserved > WST__SEND_LEAST ? wst__bufq_bound_push(st->tx_reserved) : least;
            if (wst__bufq_capacity(&st->rx) > wst__bufq_bound_append((size_t)st->rx_reserved))
                sim_fail(sim, "side %d: more received than the window", i);
            if (end != NULL && !end->overfilled && wst__bufq_capacity(&st->tx) > kept)
                sim_fail(sim, "side %d: more kept than was reserved", i);
        }
        if (in_flight != side->s->flight.in_flight)
            sim_fail(sim, "side %d: in flight %llu, not %llu", i,
                     (unsigned long long)side->s->flight.in_flight, (unsigned long long)in_flight);
        if (count != wst__session_stream_count(side->s))
            sim_fail(sim, "side %d: %zu streams, not %zu", i, count,
                     wst__session_stream_count(side->s));
        if (reserved + side->budget.lent != side->budget.used ||
            side->budget.used > side->budget.limit || side->budget.lent > side->budget.limit / 4)
            sim_fail(sim, "side %d: budget %zu, lent %zu, reserved %zu", i, side->budget.used,
                     side->budget.lent, reserved);
        if (side->opener.used > side->budget.used || side->opener.lent > side->budget.lent)
            sim_fail(sim, "side %d: the opener holds %zu of %zu", i, side->opener.used,
                     side->budget.used);
        if (wst__session_pinned(side->s) != side->budget.used)
            sim_fail(sim, "side %d: %zu pinned", i, wst__session_pinned(side->s));
        if (side->s->error != 0 && side->s->error != WST_ETIMEOUT)
            sim_fail(sim, "side %d: %d, %s", i, side->s->error, side->s->detail);
    }
}

void sim_check_finished(sim_t *sim) {
    for (size_t i = 0; i < sim->pair_count; i++) {
        sim_end_t *a = &sim->pairs[i].ends[0], *b = &sim->pairs[i].ends[1];
        check(a, a->st == NULL, "hangs");
        check(b, b->st == NULL, "hangs");
        if (!a->aborted && !b->aborted && !a->dead && !b->dead) {
            check(a, is_done(a) && a->read == b->written, "not done");
            check(b, is_done(b) && b->read == a->written, "not done");
        }
    }
    for (int i = 0; i < 2; i++) {
        if (wst__session_stream_count(sim->sides[i].s) != 0 || sim->sides[i].budget.used != 0 ||
            sim->sides[i].opener.used != 0)
            sim_fail(sim, "side %d: %zu streams left", i,
                     wst__session_stream_count(sim->sides[i].s));
        assert_int_equal(sim->sides[i].pool.live, 0);
    }
}
