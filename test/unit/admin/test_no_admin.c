/* SPDX-License-Identifier: MIT */
/* Built without what serves operators: whoever asks for it is told so. */
#include "server_world.h"

static void test_it_is_refused(void **state) {
    server_world_t w;
    wst_admin_t *admin;
    (void)state;
    server_world_open(&w);
    const wst_admin_options_t options = {.size = sizeof(options), .server = w.server};
    assert_int_equal(wst_admin_new(&admin, w.env.ctx, &options), WST_EINVAL);
    server_world_assert_logged(&w, "what serves operators has not been built in");
    server_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_is_refused)};
    return cmocka_run_group_tests_name("no_admin", tests, NULL, NULL);
}
