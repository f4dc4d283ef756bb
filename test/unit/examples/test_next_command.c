/* SPDX-License-Identifier: MIT */
/* The command that starts an agent, for all kinds of servers. */
#include "support.h"

#include "next_command.h"

static const wst_tls_name_t names[] = {{WST_TLS_NAME_DNS, "*.wild.test"},
                                       {WST_TLS_NAME_EMAIL, "me@test"},
                                       {WST_TLS_NAME_DNS, "a.test"}},
                            address[] = {{WST_TLS_NAME_IP, "2001:db8::1"}};
static const wst_tls_certificate_t own = {.subject = "CN=a.test",
                                          .issuer = "CN=a.test",
                                          .names = names,
                                          .name_count = 3,
                                          .pin = "sha256/x="},
                                   issued = {.subject = "CN=a.test",
                                             .issuer = "CN=CA",
                                             .names = address,
                                             .name_count = 1,
                                             .pin = "sha256/x="},
                                   nameless = {.subject = "CN=x", .issuer = "CN=CA"};

static const char *command(const next_command_t *next) {
    static char text[1024];
    return next_command_write(text, sizeof(text), next) ? text : "";
}

static void test_commands(void **state) {
    (void)state;
    static const server_config_t plain = {.options.path = NULL}, path = {.options.path = "/x"},
                                 talk = {.protocol = WST_PROTOCOL_TALK},
                                 certified = {.certified = true};
    const struct {
        next_command_t next;
        const char *text;
    } cases[] = {
        {{&plain, "127.0.0.1:8080", false, false, NULL}, "wstunnel-agent ws://127.0.0.1:8080"},
        {{&talk, "[::1]:80", false, true, NULL},
         "wstunnel-agent --protocol talk --token-file agent.token ws://[::1]:80"},
        {{&path, "127.0.0.1:1", false, false, &own}, "wstunnel-agent ws://127.0.0.1:1/x"},
        {{&plain, "0.0.0.0:8443", true, true, &own},
         "wstunnel-agent --token-file agent.token --pin sha256/x= wss://a.test:8443"},
        {{&plain, "127.0.0.1:443", true, true, &issued},
         "wstunnel-agent --token-file agent.token wss://[2001:db8::1]:443"},
        {{&certified, "192.0.2.1:443", true, false, &nameless},
         "wstunnel-agent --cert FILE --key FILE wss://192.0.2.1:443"},
        {{&plain, "unix:/a/b:1", false, false, NULL}, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(command(&cases[i].next), cases[i].text);
    const next_command_t any = {&plain, "[::]:8080", false, false, NULL};
    assert_memory_equal(command(&any), "wstunnel-agent ws://", 20);
    assert_null(strstr(command(&any), "[::]"));
}

static void test_no_room(void **state) {
    (void)state;
    static const server_config_t plain = {.options.path = NULL};
    const next_command_t next = {&plain, "127.0.0.1:8080", false, false, NULL};
    char text[64];
    size_t len = strlen("wstunnel-agent ws://127.0.0.1:8080");
    assert_false(next_command_write(text, len, &next));
    assert_true(next_command_write(text, len + 1, &next));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_commands),
                                       cmocka_unit_test(test_no_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
