/* SPDX-License-Identifier: MIT */
/* Built without the talk's protocol: whoever asks for it is told so. */
#include "env.h"

#include <wstunnel/agent.h>
#include <wstunnel/error.h>
#include <wstunnel/server.h>

static void expect_told(test_env_t *env) {
    assert_string_equal(env->log, "that protocol has not been built in");
    env->log[0] = '\0';
}

static void test_it_is_refused(void **state) {
    (void)state;
    test_env_t env;
    wst_server_t *server;
    wst_agent_t *agent;
    test_env_open(&env);
    const wst_server_options_t server_options = {.size = sizeof(server_options),
                                                 .protocol = WST_PROTOCOL_TALK};
    assert_int_equal(wst_server_new(&server, env.ctx, &server_options), WST_EINVAL);
    expect_told(&env);
    const wst_agent_options_t agent_options = {
        .size = sizeof(agent_options), .url = "ws://127.0.0.1:1", .protocol = WST_PROTOCOL_TALK};
    assert_int_equal(wst_agent_new(&agent, env.ctx, &agent_options), WST_EINVAL);
    expect_told(&env);
    test_env_close(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_is_refused)};
    return cmocka_run_group_tests_name("no_talk", tests, NULL, NULL);
}
