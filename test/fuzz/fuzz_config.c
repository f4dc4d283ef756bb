/* SPDX-License-Identifier: MIT */
/*
 * The programs' configurations. The first byte says whose, the rest is the file. Whatever it is:
 * it is refused with a text for people that says where, or it is read and, the server's, made into
 * an access object. Nothing is left behind.
 */
#include "../../examples/agent_config.h"
#include "../../examples/server_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "fuzz_config: %s\n", what);
        abort();
    }
}

static void check_faults(const config_t *c) {
    for (size_t i = 0; i < c->error_count && i < CONFIG_ERRORS_MAX; i++) {
        require(c->errors[i] != NULL && strlen(c->errors[i]) > 4, "a fault without a text");
        require(strncmp(c->errors[i], "f:", 2) == 0, "a fault that does not say where");
        require(strcmp(c->errors[i], "f: out of memory") != 0, "cJSON refuses what was checked");
        for (const char *at = c->errors[i]; *at != '\0'; at++)
            require((unsigned char)*at >= 0x20 && *at != 0x7f, "a fault of several lines");
    }
}

static wst_ctx_t *context(void) {
    static wst_ctx_t *ctx;
    if (ctx == NULL)
        require(wst_ctx_new(&ctx, uv_default_loop(), NULL) == 0, "no context");
    return ctx;
}

static void read_server(const char *text, size_t len) {
    server_config_t config = {.config = {.file = "f"}};
    wst_access_t *access;
    config_read_json(&config.config, text, len, &server_config_fields, &config);
    if (config.config.error_count == 0 &&
        access_config_make(&config.config, &config.access, context(), &access) == 0)
        wst_access_free(access);
    check_faults(&config.config);
    server_config_free(&config);
}

static void read_agent(const char *text, size_t len) {
    agent_config_t config = {.config = {.file = "f"}};
    config_read_json(&config.config, text, len, &agent_config_fields, &config);
    check_faults(&config.config);
    agent_config_free(&config);
}

/* Names of files are for other tests: who knows what a mutated one leads to. */
static bool names_file(const char *text, size_t len) {
    for (size_t i = 0; i + 5 <= len; i++)
        if (memcmp(text + i, "_file", 5) == 0)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data + 1;
    if (size == 0 || names_file(text, size - 1))
        return 0;
    if ((data[0] & 1) == 0)
        read_server(text, size - 1);
    else
        read_agent(text, size - 1);
    return 0;
}
