/* SPDX-License-Identifier: MIT */
/* A handle that is assembled of parts: how it is drained and closed, and what it tells when. */
#include "env.h"
#include "node.h"

typedef struct handle {
    wst__node_t node;
    char trace[32]; /* what happened, in order */
    size_t drained, closed;
} handle_t;

typedef struct part {
    wst__part_t part;
    handle_t *handle;
    char name; /* in lower case; traced in upper case when it closes */
    wst__ticket_t hold, busy;
    bool lasting; /* close does not end what it has */
    bool closes;  /* its drain closes the handle */
} part_t;

static void note(handle_t *h, char c) {
    size_t len = strlen(h->trace);
    assert_true(len + 1 < sizeof(h->trace));
    h->trace[len] = c;
}

static void on_drained(wst__node_t *node) {
    handle_t *h = WST__CONTAINER(node, handle_t, node);
    note(h, '!');
    h->drained++;
}

static void on_closed(wst__node_t *node) {
    handle_t *h = WST__CONTAINER(node, handle_t, node);
    note(h, '.');
    h->closed++;
    node->ctx = NULL; /* as if it were freed */
}

static void drain_part(wst__part_t *base) {
    part_t *p = WST__CONTAINER(base, part_t, part);
    assert_int_equal(p->handle->node.state, WST__NODE_DRAINING);
    note(p->handle, p->name);
    if (p->closes)
        wst__node_close(&p->handle->node);
}

static void close_part(wst__part_t *base) {
    part_t *p = WST__CONTAINER(base, part_t, part);
    assert_int_equal(p->handle->node.state, WST__NODE_CLOSING);
    note(p->handle, (char)(p->name - 'a' + 'A'));
    if (!p->lasting)
        wst__ticket_give_back(&p->hold);
}

static void add_part(handle_t *h, part_t *p, char name) {
    *p = (part_t){.part = {.drain = drain_part, .close = close_part}, .handle = h, .name = name};
    wst__node_add(&h->node, &p->part);
}

static void open_handle(test_env_t *env, handle_t *h, part_t *a, part_t *b) {
    test_env_open(env);
    memset(h, 0, sizeof(*h));
    wst__node_init(&h->node, env->ctx, on_drained, on_closed);
    add_part(h, a, 'a');
    add_part(h, b, 'b');
}

static void close_env(test_env_t *env, handle_t *h, const char *trace) {
    test_env_until_count(env, &h->closed, 1);
    assert_string_equal(h->trace, trace);
    test_env_close(env);
    assert_string_equal(h->trace, trace);
}

/* -- Draining --------------------------------------------------------------------------------- */

static void test_drain_without_work(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    wst__node_drain(&h.node, 60000);
    assert_string_equal(h.trace, "ab"); /* never from inside a call */
    test_env_turns(&env, 3);
    wst__node_drain(&h.node, 60000);
    test_env_turns(&env, 3);
    assert_string_equal(h.trace, "ab!");
    assert_int_equal(h.node.state, WST__NODE_DRAINED);
    wst__node_close(&h.node);
    close_env(&env, &h, "ab!AB.");
}

static void test_drain_waits_for_work(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    wst__ticket_take(&a.busy, &h.node.busy);
    wst__ticket_take(&b.busy, &h.node.busy);
    wst__ticket_give_back(&a.busy); /* not draining yet: nothing */
    test_env_turns(&env, 3);
    wst__node_drain(&h.node, 60000);
    test_env_turns(&env, 3);
    assert_string_equal(h.trace, "ab");
    wst__ticket_give_back(&b.busy);
    test_env_turns(&env, 3);
    wst__ticket_take(&a.busy, &h.node.busy); /* too late to be waited for, and told once */
    wst__ticket_give_back(&a.busy);
    test_env_turns(&env, 3);
    wst__node_close(&h.node);
    close_env(&env, &h, "ab!AB.");
}

static void test_drain_has_a_deadline(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    wst__ticket_take(&a.busy, &h.node.busy);
    wst__node_drain(&h.node, 20);
    test_env_until_count(&env, &h.drained, 1);
    wst__ticket_give_back(&a.busy);
    test_env_turns(&env, 3);
    wst__node_close(&h.node);
    close_env(&env, &h, "ab!AB.");
}

/* What is waiting to be told when the handle is closed is not told any more. */
static void test_close_while_draining(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        test_env_t env;
        handle_t h;
        part_t a, b;
        open_handle(&env, &h, &a, &b);
        wst__ticket_take(&a.busy, &h.node.busy);
        wst__node_drain(&h.node, 60000);
        if (i == 0)
            wst__ticket_give_back(&a.busy);
        wst__node_close(&h.node);
        wst__ticket_give_back(&a.busy);
        close_env(&env, &h, "abAB.");
    }
}

static void test_a_part_closes_while_draining(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    a.closes = true;
    wst__node_drain(&h.node, 60000);
    close_env(&env, &h, "aAB.");
}

/* -- Closing ---------------------------------------------------------------------------------- */

static void test_close(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    wst__ticket_take(&a.hold, &h.node.holds);
    wst__node_close(&h.node);
    wst__node_close(&h.node);
    wst__node_drain(&h.node, 1);
    assert_string_equal(h.trace, "AB"); /* never from inside a call */
    close_env(&env, &h, "AB.");
}

static void test_close_waits_for_holds(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    wst__ticket_take(&a.hold, &h.node.holds);
    wst__ticket_take(&b.hold, &h.node.holds);
    wst__ticket_give_back(&b.hold);
    a.lasting = true;
    wst__node_close(&h.node);
    test_env_turns(&env, 3);
    assert_string_equal(h.trace, "AB");
    wst__ticket_give_back(&a.hold);
    assert_string_equal(h.trace, "AB");
    close_env(&env, &h, "AB.");
}

static void test_holds_alone_end_nothing(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    wst__ticket_take(&a.hold, &h.node.holds);
    wst__ticket_give_back(&a.hold);
    test_env_turns(&env, 3);
    assert_string_equal(h.trace, "");
    wst__node_close(&h.node);
    close_env(&env, &h, "AB.");
}

static void test_parts_without_functions(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    part_t a, b;
    open_handle(&env, &h, &a, &b);
    a.part.drain = a.part.close = NULL;
    wst__node_drain(&h.node, 60000);
    wst__node_close(&h.node);
    close_env(&env, &h, "bB.");
}

/* -- A handle that could not be made ---------------------------------------------------------- */

static void test_undo(void **state) {
    (void)state;
    test_env_t env;
    handle_t h;
    test_env_open(&env);
    memset(&h, 0, sizeof(h));
    wst__node_init(&h.node, env.ctx, on_drained, on_closed);
    wst__node_undo(&h.node);
    test_env_close(&env); /* nothing holds the context */
    assert_string_equal(h.trace, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drain_without_work),
        cmocka_unit_test(test_drain_waits_for_work),
        cmocka_unit_test(test_drain_has_a_deadline),
        cmocka_unit_test(test_close_while_draining),
        cmocka_unit_test(test_a_part_closes_while_draining),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_waits_for_holds),
        cmocka_unit_test(test_holds_alone_end_nothing),
        cmocka_unit_test(test_parts_without_functions),
        cmocka_unit_test(test_undo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
