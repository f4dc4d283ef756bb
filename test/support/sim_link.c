/* SPDX-License-Identifier: MIT */
/*
 * The simulated link: two queues of messages. A message arrives in pieces, each in memory of its
 * own. A cut lets some of the bytes on their way arrive and no more; a side that has not found out
 * yet goes on talking, to nobody. When both have, the link can be attached anew, by each at its
 * time.
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
    fail_msg("TEST_SEEDS=%llu: %s", (unsigned long long)sim->seed, text);
    abort();
}

uint64_t sim_random(sim_t *sim, uint64_t below) {
    return (test_random(&sim->random) >> 16) % below;
}

bool sim_chance(sim_t *sim, unsigned percent) {
    return sim_random(sim, 100) < percent;
}

void sim_link_init(sim_t *sim) {
    for (int i = 0; i < 2; i++)
        sim->sides[i].out.last = &sim->sides[i].out.first;
}

static void drop_first(sim_pipe_t *pipe) {
    sim_message_t *m = pipe->first;
    pipe->first = m->next;
    if (pipe->first == NULL)
        pipe->last = &pipe->first;
    pipe->bytes -= m->len - m->at;
    free(m);
}

static void drop_all(sim_pipe_t *pipe) {
    while (pipe->first != NULL)
        drop_first(pipe);
}

void sim_link_free(sim_t *sim) {
    for (int i = 0; i < 2; i++)
        drop_all(&sim->sides[i].out);
}

static int next(sim_t *sim, sim_side_t *side, wst__outgoing_t *out) {
    if (!side->greeting.said)
        return wst__greeting_next(&side->greeting, out);
    return wst__session_next(side->s, sim->now * 1000, out);
}

bool sim_pull(sim_t *sim, int from) {
    sim_side_t *side = &sim->sides[from];
    if (!side->attached || side->out.bytes >= sim->capacity)
        return false;
    wst__outgoing_t out;
    int status = next(sim, side, &out);
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
    *side->out.last = m;
    side->out.last = &m->next;
    side->out.bytes += len;
    return true;
}

/* A piece for a side: until the peer's hello is complete for the greeting, then for the session. */
static void receive(sim_t *sim, sim_side_t *to, bool text, wst_slice_t piece, bool fin) {
    int status;
    if (to->greeting.heard) {
        status = wst__session_recv(to->s, sim->now * 1000, text, piece, fin);
        if (status != 0)
            sim_fail(sim, "side %d: %d, %s", to->index, status, wst__session_error_detail(to->s));
        return;
    }
    status = wst__greeting_recv(&to->greeting, text, piece, fin);
    if (status == 1)
        status = wst__session_attach(to->s, sim->now * 1000, sim->encoding, &to->greeting.peer);
    if (status != 0)
        sim_fail(sim, "side %d: hello: %d, %s", to->index, status, to->greeting.detail);
}

bool sim_deliver(sim_t *sim, int from, bool all) {
    sim_pipe_t *pipe = &sim->sides[from].out;
    sim_side_t *to = &sim->sides[1 - from];
    sim_message_t *m = pipe->first;
    if (m == NULL || !to->attached)
        return false;
    size_t n = m->len - m->at;
    if (!all && sim_chance(sim, 40))
        n = 1 + sim_random(sim, n);
    if (sim->cut) {
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
    receive(sim, to, text, piece, fin);
    wst_slice_unref(piece);
    assert_int_equal(plain.live, 0);
    wst__pool_free(&plain);
    return true;
}

void sim_cut(sim_t *sim) {
    if (sim->cut)
        return;
    sim->cut = true;
    sim->cuts++;
    for (int i = 0; i < 2; i++) {
        sim_pipe_t *pipe = &sim->sides[i].out;
        pipe->left = sim_random(sim, pipe->bytes + 1);
    }
}

void sim_detach(sim_t *sim, int side) {
    if (sim->sides[side].attached) {
        wst__session_detach(sim->sides[side].s);
        wst__greeting_end(&sim->sides[side].greeting);
        sim->sides[side].attached = false;
    }
    if (sim->sides[1 - side].attached)
        return;
    for (int i = 0; i < 2; i++)
        drop_all(&sim->sides[i].out);
    sim->cut = false;
}

void sim_attach(sim_t *sim, int side) {
    sim_side_t *s = &sim->sides[side];
    if (sim->cut || s->attached)
        return;
    assert_int_equal(wst__greeting_init(&s->greeting, &s->pool, &s->s->o.hello), 0);
    assert_int_equal(wst__greeting_begin(&s->greeting, sim->encoding), 0);
    s->attached = true;
}

void sim_pass(sim_t *sim, uint64_t ms) {
    sim->now += ms;
    for (int i = 0; i < 2; i++)
        wst__deadlines_run(&sim->sides[i].deadlines, sim->now);
}
