/* SPDX-License-Identifier: MIT */
/* The agent as a program: options, the token, and the end. */
#include "program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_MAX = 256 };

static const char usage[] =
    "usage: wstunnel-agent [options] ws://HOST[:PORT][/PATH]\n"
    "Dials a wstunnel-server and opens the destinations that it names from where this runs.\n"
    "\n"
    "  --name NAME           its name (default: the host's): 1 to 64 of A-Z a-z 0-9 . _ -\n"
    "  --token-file FILE     the token to present: the first line of FILE, read at each attempt\n"
    "  --encoding ENCODING   binary (default) or json: readable on the wire\n"
    "  --protocol PROTOCOL   wstunnel (default) or talk: that of the Go Conference 2022 talk; the\n"
    "                        server must use the same\n"
    "  --spare-connections N with --protocol talk: connections that wait to be used (default 1)\n"
    "  --exit-on-refusal     exit with status 1 if the server refuses it (401, 403)\n"
    "  --log-level LEVEL     error, warn, info (default) or debug\n"
    "  --help, --version\n"
    "\n"
    "SIGINT and SIGTERM let open streams finish for up to 30 s; a second one breaks them off.\n";

typedef struct state {
    program_t program;
    wst_agent_t *agent;
    const char *url, *name, *token_file;
    wst_encoding_t encoding;
    wst_protocol_t protocol;
    size_t spare_connections;
    bool exit_on_refusal, refused;
    wst_log_level_t level;
} state_t;

static void on_credentials(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    (void)agent;
    const state_t *s = user_data;
    char token[SECRET_MAX], fields[SECRET_MAX + 32];
    if (!program_read_secret(token, sizeof(token), s->token_file)) {
        wst_request_deny(request, 401, "the token cannot be read", NULL);
        return;
    }
    snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", token);
    wst_request_allow_with(request, fields);
    memset(token, 0, sizeof(token));
    memset(fields, 0, sizeof(fields));
}

static void on_agent_closed(void *user_data) {
    state_t *s = user_data;
    program_finish(&s->program);
}

static void on_down(wst_agent_t *agent, const wst_agent_failure_t *failure, void *user_data) {
    state_t *s = user_data;
    if (failure->refused && s->exit_on_refusal) {
        s->refused = true;
        wst_agent_close(agent, on_agent_closed);
    }
}

static void on_drained(wst_agent_t *agent, void *user_data) {
    (void)user_data;
    wst_agent_close(agent, on_agent_closed);
}

static void on_stop(void *user_data, bool now) {
    state_t *s = user_data;
    if (now)
        wst_agent_close(s->agent, on_agent_closed);
    else
        wst_agent_drain(s->agent);
}

/* A number from 1 to 1000. */
static bool parse_count(size_t *count, const char *text) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *count = (size_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value >= 1 && value <= 1000;
}

/* Whether to go on; if not, *status is the exit status. */
static bool parse_options(state_t *s, int argc, char **argv, int *status) {
    enum { NAME = 256, TOKEN, ENCODING, PROTOCOL, SPARE, REFUSAL, LEVEL, HELP, VERSION };
    static const struct option options[] = {{"name", required_argument, NULL, NAME},
                                            {"token-file", required_argument, NULL, TOKEN},
                                            {"encoding", required_argument, NULL, ENCODING},
                                            {"protocol", required_argument, NULL, PROTOCOL},
                                            {"spare-connections", required_argument, NULL, SPARE},
                                            {"exit-on-refusal", no_argument, NULL, REFUSAL},
                                            {"log-level", required_argument, NULL, LEVEL},
                                            {"help", no_argument, NULL, HELP},
                                            {"version", no_argument, NULL, VERSION},
                                            {0}};
    *status = 2;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case NAME:
            s->name = optarg;
            break;
        case TOKEN:
            s->token_file = optarg;
            break;
        case ENCODING:
            if (strcmp(optarg, "json") != 0 && strcmp(optarg, "binary") != 0) {
                fprintf(stderr, "wstunnel-agent: unknown encoding '%s'\n", optarg);
                return false;
            }
            s->encoding = strcmp(optarg, "json") == 0 ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
            break;
        case PROTOCOL:
            if (!program_parse_protocol(&s->protocol, optarg)) {
                fprintf(stderr, "wstunnel-agent: unknown protocol '%s'\n", optarg);
                return false;
            }
            break;
        case SPARE:
            if (!parse_count(&s->spare_connections, optarg)) {
                fprintf(stderr, "wstunnel-agent: not a number from 1 to 1000: '%s'\n", optarg);
                return false;
            }
            break;
        case REFUSAL:
            s->exit_on_refusal = true;
            break;
        case LEVEL:
            if (!program_parse_level(&s->level, optarg)) {
                fprintf(stderr, "wstunnel-agent: unknown log level '%s'\n", optarg);
                return false;
            }
            break;
        case HELP:
            fputs(usage, stdout);
            *status = 0;
            return false;
        case VERSION:
            printf("wstunnel-agent %s\n", wst_version());
            *status = 0;
            return false;
        default:
            fputs("Try wstunnel-agent --help\n", stderr);
            return false;
        }
    }
    if (optind + 1 != argc) {
        fputs("wstunnel-agent: one URL is needed\nTry wstunnel-agent --help\n", stderr);
        return false;
    }
    s->url = argv[optind];
    return true;
}

int main(int argc, char **argv) {
    static state_t s = {.level = WST_LOG_INFO};
    int status;
    if (!parse_options(&s, argc, argv, &status))
        return status;
    status = program_init(&s.program, s.level, on_stop, &s);
    const wst_agent_options_t options = {
        .callbacks = {.on_credentials = s.token_file != NULL ? on_credentials : NULL,
                      .on_down = on_down,
                      .on_drained = on_drained},
        .user_data = &s,
        .url = s.url,
        .name = s.name,
        .encoding = s.encoding,
        .protocol = s.protocol,
        .spare_connections = s.spare_connections};
    if (status == 0)
        status = wst_agent_new(&s.agent, s.program.ctx, &options);
    if (status != 0) {
        program_log(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
        return status == WST_EINVAL ? 2 : 1;
    }
    program_log(WST_LOG_INFO, "agent %s for %s", wst_agent_name(s.agent), s.url);
    uv_run(&s.program.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.program.loop);
    return s.refused ? 1 : s.program.exit_status;
}
