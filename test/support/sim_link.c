/* SPDX-License-Identifier: MIT */
/*
 * The simulated links: two queues of messages each. A message arrives in pieces, each in memory of
 * its own. A cut lets some of the bytes on their way arrive and no more; a side that has not found
 * out yet goes on talking, to nobody.
 *
 * Side 0 dials, also while it has a link that is alive or believed to be. Each side attaches its
 * session to the new link when it hears the other's hello there, at its own time, and closes the
 * link it had; what still comes on that reaches nothing. Side 0 gives up an attempt for the next
 * one; its hello may still reach side 1, which follows it unless it has heard of a later attempt.
 */
#include "sim.h"

#include <stdio.h>
#include <wstunnel/error.h>

void sim_fail(const sim_t *sim, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (sim->input != NULL)
        fail_msg("%s", text);
    else
        fail_msg("TEST_SEEDS=%llu: %s", (unsigned long long)sim->seed, text);
    abort();
}

uint64_t sim_random(sim_t *sim, uint64_t below) {
    if (sim->input < sim->input_end) {
        uint64_t value = *sim->input++;
        for (uint64_t most = 255; most < below - 1 && sim->input < sim->input_end;
             most = most << 8 | 255)
            value = value << 8 | *sim->input++;
        return value % below;
    }
    return (test_random(&sim->random) >> 16) % below;
}

bool sim_chance(sim_t *sim, unsigned percent) {
    return sim_random(sim, 100) < percent;
}

static void init_link(sim_link_t *link) {
    *link = (sim_link_t){0};
    for (int i = 0; i < 2; i++)
        link->ends[i].out.last = &link->ends[i].out.first;
}

void sim_link_init(sim_t *sim) {
    for (int i = 0; i < SIM_LINKS; i++)
        init_link(&sim->links[i]);
}

static void drop_first(sim_pipe_t *pipe) {
    sim_message_t *m = pipe->first;
    pipe->first = m->next;
    if (pipe->first == NULL)
        pipe->last = &pipe->first;
    pipe->bytes -= m->len - m->at;
    free(m);
}

static void free_link(sim_link_t *link) {
    for (int i = 0; i < 2; i++) {
        while (link->ends[i].out.first != NULL)
            drop_first(&link->ends[i].out);
        wst__greeting_end(&link->ends[i].greeting);
    }
    init_link(link);
}

void sim_link_free(sim_t *sim) {
    for (int i = 0; i < SIM_LINKS; i++)
        free_link(&sim->links[i]);
}

bool sim_has_mail(const sim_t *sim) {
    for (int i = 0; i < SIM_LINKS; i++)
        for (int side = 0; side < 2; side++)
            if (sim->links[i].ends[side].out.first != NULL)
                return true;
    return false;
}

/* -- Messages --------------------------------------------------------------------------------- */

static int next(sim_t *sim, sim_link_t *link, int from, wst__outgoing_t *out) {
    wst__greeting_t *greeting = &link->ends[from].greeting;
    sim_side_t *side = &sim->sides[from];
    if (!greeting->said)
        return from == 1 && sim->waits && !greeting->heard ? 0 : wst__greeting_next(greeting, out);
    if (side->link != link || !side->woken)
        return 0;
    int status = wst__session_next(side->s, sim->now * 1000, out);
    side->woken = status != 0;
    return status;
}

/* Behind its hello, who has said bye says that, once on each link. */
static void check_bye(sim_t *sim, sim_link_t *link, int from, const sim_message_t *m) {
    static const char bye[] = "{\"method\":12,", hello[] = "{\"method\":4,";
    if (!sim->sides[from].said_bye || (m->text && memcmp(m->bytes, hello, strlen(hello)) == 0))
        return;
    if (!m->text || memcmp(m->bytes, bye, strlen(bye)) != 0 || link->ends[from].byes++ > 0)
        sim_fail(sim, "side %d: a word behind bye", from);
}

static bool pull(sim_t *sim, sim_link_t *link, int from) {
    sim_pipe_t *pipe = &link->ends[from].out;
    if (!link->ends[from].open || pipe->bytes >= sim->capacity)
        return false;
    wst__outgoing_t out;
    int status = next(sim, link, from, &out);
    if (status < 0)
        sim_fail(sim, "next: %d", status);
    if (status == 0)
        return false;
    size_t len = out.head_len + out.payload.len;
    sim_message_t *m = malloc(sizeof(*m) + len);
    assert_non_null(m);
    *m = (sim_message_t){.text = out.text, .len = len};
    memcpy(m->bytes, out.head, out.head_len);
    if (out.payload.len > 0)
        memcpy(m->bytes + out.head_len, out.payload.data, out.payload.len);
    wst_slice_unref(out.payload);
    check_bye(sim, link, from, m);
    *pipe->last = m;
    pipe->last = &m->next;
    pipe->bytes += len;
    return true;
}

bool sim_pull(sim_t *sim, int from) {
    for (int i = 0; i < SIM_LINKS; i++)
        if (pull(sim, &sim->links[i], from))
            return true;
    return false;
}

static void attach(sim_t *sim, sim_link_t *link, sim_side_t *to);

/* A piece for a side: until the peer's hello is complete for the greeting, then for the session. */
static void receive(sim_t *sim, sim_link_t *link, sim_side_t *to, bool text, wst_slice_t piece,
                    bool fin) {
    wst__greeting_t *greeting = &link->ends[to->index].greeting;
    if (greeting->heard) {
        assert_ptr_equal(to->link, link);
        int status = wst__session_recv(to->s, sim->now * 1000, text, piece, fin);
        if (status != 0)
            sim_fail(sim, "side %d: %d, %s", to->index, status, wst__session_error_detail(to->s));
        return;
    }
    int status = wst__greeting_recv(greeting, text, piece, fin);
    if (status < 0)
        sim_fail(sim, "side %d: hello: %d, %s", to->index, status, greeting->detail);
    if (status == 1)
        attach(sim, link, to);
}

static bool deliver(sim_t *sim, sim_link_t *link, int from, bool all) {
    sim_pipe_t *pipe = &link->ends[from].out;
    sim_message_t *m = pipe->first;
    if (m == NULL)
        return false;
    if (!link->ends[1 - from].open) {
        drop_first(pipe);
        return true;
    }
    size_t n = m->len - m->at;
    if (!all && sim_chance(sim, 40))
        n = 1 + sim_random(sim, n);
    if (link->cut) {
        n = n < pipe->left ? n : pipe->left;
        pipe->left -= n;
        if (n == 0)
            return false;
    }
    wst__pool_t plain;
    wst_slice_t piece;
    wst__pool_init(&plain, &wst__default_allocator);
    assert_int_equal(wst__pool_copy(&plain, &piece, m->bytes + m->at, n), 0);
    m->at += n;
    pipe->bytes -= n;
    bool fin = m->at == m->len, text = m->text;
    if (fin)
        drop_first(pipe);
    receive(sim, link, &sim->sides[1 - from], text, piece, fin);
    wst_slice_unref(piece);
    assert_int_equal(plain.live, 0);
    wst__pool_free(&plain);
    return true;
}

bool sim_deliver(sim_t *sim, int from, bool all) {
    uint64_t first = sim_random(sim, SIM_LINKS);
    for (uint64_t i = 0; i < SIM_LINKS; i++)
        if (deliver(sim, &sim->links[(first + i) % SIM_LINKS], from, all))
            return true;
    return false;
}

/* -- Life ------------------------------------------------------------------------------------- */

static void close_end(sim_link_t *link, int side) {
    link->ends[side].open = false;
    if (!link->ends[1 - side].open)
        free_link(link);
}

/* What no stream needs while it waits has been given back. */
static void check_suspended(sim_t *sim, const sim_side_t *side) {
    const wst__session_stream_t *st = wst__session_first_stream(side->s);
    for (; st != NULL; st = wst__session_next_stream(st)) {
        uint64_t granted = (st->rx_ended ? st->rx_received : st->rx_limit) - st->rx_delivered;
        uint64_t initial = side->s->o.hello.initial_credit;
        if (st->local && st->state == WST__PENDING && !wst__session_stream_early_delivered(st))
            sim_fail(sim, "side %d: an open waits for its answer", side->index);
        if (st->state == WST__OPEN && st->rx_reserved > (granted > initial ? granted : initial))
            sim_fail(sim, "side %d: a window larger than needed", side->index);
        if (st->tx.len == 0 && st->tx_reserved > WST__SEND_LEAST)
            sim_fail(sim, "side %d: an allowance for nothing", side->index);
    }
}

/* The side has done with the link that it had. */
static void leave(sim_t *sim, sim_side_t *side) {
    close_end(side->link, side->index);
    side->link = NULL;
    sim->cuts++;
    if (!sim->suspends) {
        wst__session_detach(side->s);
        return;
    }
    side->suspending = true;
    wst__session_suspend(side->s);
    side->suspending = false;
    check_suspended(sim, side);
}

/* The other side's hello has come on the link: it takes the place of what the side has. */
static void attach(sim_t *sim, sim_link_t *link, sim_side_t *to) {
    if (link->epoch < to->epoch) {
        close_end(link, to->index);
        return;
    }
    if (to->link != NULL)
        leave(sim, to);
    to->link = link;
    to->epoch = link->epoch;
    wst__greeting_t *greeting = &link->ends[to->index].greeting;
    int status = wst__session_attach(to->s, sim->now * 1000, sim->encoding, &greeting->peer);
    if (status != 0)
        sim_fail(sim, "side %d: attach: %d", to->index, status);
}

/* Whether side 0 still waits for a hello on the link. */
static bool is_attempt(const sim_t *sim, const sim_link_t *link) {
    return link->ends[0].open && link != sim->sides[0].link;
}

void sim_dial(sim_t *sim) {
    sim_link_t *unused = NULL;
    for (int i = 0; i < SIM_LINKS; i++) {
        if (is_attempt(sim, &sim->links[i]))
            close_end(&sim->links[i], 0);
        if (sim->links[i].epoch == 0)
            unused = &sim->links[i];
    }
    if (unused == NULL)
        return;
    unused->epoch = ++sim->epochs;
    for (int i = 0; i < 2; i++) {
        sim_side_t *side = &sim->sides[i];
        wst__greeting_t *greeting = &unused->ends[i].greeting;
        assert_int_equal(wst__greeting_init(greeting, &side->pool, &side->s->o.hello), 0);
        assert_int_equal(wst__greeting_begin(greeting, sim->encoding), 0);
        greeting->ours.early = side->s->o.hello.early;
        unused->ends[i].open = true;
    }
}

bool sim_is_away(const sim_t *sim) {
    for (int i = 0; i < SIM_LINKS; i++)
        if (sim->links[i].ends[0].open)
            return false;
    return true;
}

/* False: it is dead already, or not in use. */
static bool cut(sim_t *sim, sim_link_t *link) {
    if (link->epoch == 0 || link->cut)
        return false;
    link->cut = true;
    for (int i = 0; i < 2; i++) {
        sim_pipe_t *pipe = &link->ends[i].out;
        pipe->left = sim_random(sim, pipe->bytes + 1);
    }
    return true;
}

void sim_cut(sim_t *sim) {
    uint64_t first = sim_random(sim, SIM_LINKS);
    for (uint64_t i = 0; i < SIM_LINKS; i++)
        if (cut(sim, &sim->links[(first + i) % SIM_LINKS]))
            return;
}

void sim_lose(sim_t *sim, int side) {
    if (sim->sides[side].link == NULL)
        return;
    cut(sim, sim->sides[side].link);
    leave(sim, &sim->sides[side]);
}

bool sim_find_out(sim_t *sim, int side) {
    for (int i = 0; i < SIM_LINKS; i++) {
        sim_link_t *link = &sim->links[i];
        if (!link->ends[side].open || (!link->cut && link->ends[1 - side].open))
            continue;
        if (link == sim->sides[side].link)
            leave(sim, &sim->sides[side]);
        else
            close_end(link, side);
        return true;
    }
    return false;
}

void sim_pass(sim_t *sim, uint64_t ms) {
    sim->now += ms;
    for (int i = 0; i < 2; i++)
        wst__deadlines_run(&sim->sides[i].deadlines, sim->now);
}
