/* SPDX-License-Identifier: MIT */
#include "status.h"

#include "status_options.h"
#include "status_view.h"
#include "terminal.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WHY_MAX = 512, TYPED_MAX = 256, SIGNALS = 7 };

static const char usage[] =
    "usage: wstunnel-server status [options] [ADDRESS]\n"
    "Shows what a server does: its agents, open connections and figures, as its address for\n"
    "operators (role admin) tells. At a terminal the table is renewed each second; keys: q\n"
    "ends, s sorts by the next of rate, bytes, age, user, destination (or r, b, a, u, d), /\n"
    "shows those with a text in them, Tab turns to the agents and back, arrows or j and k\n"
    "scroll. Elsewhere the table is printed once.\n"
    "\n"
    "  ADDRESS               http://HOST:PORT, https://HOST:PORT or unix:/PATH (default: the\n"
    "                        first such address of the configuration)\n"
    "  --config FILE         the server's configuration: address, certificate, and the first\n"
    "                        of its operators, or the one of --user, with the password\n"
    "  --user NAME           the operator whose account to use\n"
    "  --password-file FILE  the password: the first line of FILE (default: asked for at the\n"
    "                        terminal, else the first line of standard input)\n"
    "  --ca FILE             with https://: whose certificates count (default: the system's)\n"
    "  --pin sha256/BASE64   with https://: a key of the server's chain must have this hash;\n"
    "                        may be repeated\n"
    "  --sort KEY            rate (default), bytes, age, user or destination\n"
    "  --interval SECONDS    between two looks (default 1)\n"
    "  --once                print the table once\n"
    "  --json                print the server's answer instead, which is JSON\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-server status http://127.0.0.1:9000\n"
    "  wstunnel-server status --config conf/wstunnel.json\n"
    "  wstunnel-server status --user ann --once --sort bytes https://server.example:9000\n";

typedef struct status {
    status_options_t o;
    uv_loop_t loop;
    wst_ctx_t *ctx;
    wst_tls_config_t *tls;
    status_client_t *client;
    uv_timer_t renewal;

    bool has_terminal, live; /* live: the table is on the terminal */
    uv_tty_t keyboard;
    uv_signal_t signals[SIGNALS];
    char typed[TYPED_MAX];

    bool ended, failed; /* failed: `why` */
    status_data_t data;
    uint64_t data_ms; /* when it came */
    status_view_t view;
    screen_t screen;
    char why[WHY_MAX]; /* there is no newer status, or none at all */
} status_t;

/* The end ------------------------------------------------------------------------------------ */

static void end(status_t *s) {
    if (s->ended)
        return;
    s->ended = true;
    terminal_restore();
    if (s->live) {
        uv_close((uv_handle_t *)&s->keyboard, NULL);
        for (size_t i = 0; i < SIGNALS; i++)
            uv_close((uv_handle_t *)&s->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&s->renewal, NULL);
    if (s->client != NULL)
        status_client_close(s->client);
    wst_tls_config_unref(s->tls);
    wst_ctx_close(s->ctx, NULL);
}

static void end_failed(status_t *s, const char *why) {
    s->failed = true;
    snprintf(s->why, sizeof(s->why), "%s", why);
    end(s);
}

/* Printing ----------------------------------------------------------------------------------- */

static void end_printed(status_t *s, bool written) {
    if (written && fflush(stdout) == 0)
        end(s);
    else
        end_failed(s, strerror(errno));
}

enum { PIECE = 64 };

static bool is_blank(char c) {
    return c == '\n' || c == '\r' || c == '\t';
}

/* The length of the first piece of a text: a blank, or what fits, without cutting a character. */
static size_t piece_of(const char *text, size_t len) {
    size_t n = 0;
    while (n < len && n < PIECE && !is_blank(text[n]))
        n++;
    if (n < PIECE)
        return n > 0 ? n : 1;
    while (n < len && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* Prints JSON, which stays the same for its readers: what could control a terminal is in strings,
 * where it can be escaped; between them are blanks only. */
static void print_json(status_t *s, const char *text, size_t len) {
    bool written = true;
    while (len > 0 && written) {
        char harmless[6 * PIECE + 1];
        size_t n = piece_of(text, len);
        wst_log_escape(harmless, sizeof(harmless), text, n);
        written = fputs(is_blank(*text) ? "\n" : harmless, stdout) >= 0;
        text += n;
        len -= n;
    }
    end_printed(s, written);
}

static void print_table(status_t *s) {
    size_t rows, columns = 0;
    if (isatty(STDOUT_FILENO) != 0)
        terminal_size(&rows, &columns);
    status_view_draw(&s->screen, &s->view, &s->data, 0, columns);
    if (s->screen.failed)
        end_failed(s, "out of memory");
    else
        end_printed(s, fwrite(s->screen.text, 1, s->screen.len, stdout) == s->screen.len);
}

/* The terminal ------------------------------------------------------------------------------- */

static void draw(status_t *s) {
    size_t rows, columns;
    terminal_size(&rows, &columns);
    s->view.trouble_ms = uv_now(&s->loop) - s->data_ms;
    status_view_draw(&s->screen, &s->view, &s->data, rows, columns);
    if (!s->screen.failed && !terminal_show(&s->screen))
        end_failed(s, "the terminal is gone");
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    status_t *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init(s->typed, sizeof(s->typed));
}

static void on_typed(uv_stream_t *keyboard, ssize_t count, const uv_buf_t *buf) {
    status_t *s = keyboard->data;
    const char *typed = buf->base;
    size_t left = count > 0 ? (size_t)count : 0;
    if (count < 0) {
        end_failed(s, "the terminal is gone");
        return;
    }
    while (left > 0) {
        if (!status_view_press(&s->view, terminal_key(&typed, &left))) {
            end(s);
            return;
        }
    }
    draw(s);
}

/* Takes the terminal, perhaps again after others have had it. */
static void take_terminal(status_t *s) {
    int error = terminal_take();
    if (error != 0)
        end_failed(s, strerror(error));
    else
        draw(s);
}

static void on_redraw(uv_signal_t *signal, int number) {
    status_t *s = signal->data;
    (void)number;
    if (!s->ended)
        take_terminal(s);
}

/* Does what the signal does by default. */
static void do_default(uv_signal_t *signal, int number) {
    terminal_restore();
    uv_signal_stop(signal);
    raise(number);
}

static void on_suspend(uv_signal_t *signal, int number) {
    do_default(signal, number); /* and goes on here some day */
    uv_signal_start(signal, on_suspend, number);
    on_redraw(signal, number);
}

static int watch_signals(status_t *s) {
    static const struct {
        int number;
        uv_signal_cb callback;
    } watched[SIGNALS] = {{SIGINT, do_default},  {SIGTERM, do_default}, {SIGHUP, do_default},
                          {SIGQUIT, do_default}, {SIGTSTP, on_suspend}, {SIGCONT, on_redraw},
                          {SIGWINCH, on_redraw}};
    int status = 0;
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_init(&s->loop, &s->signals[i]);
        s->signals[i].data = s;
        if (status == 0)
            status = uv_signal_start(&s->signals[i], watched[i].callback, watched[i].number);
    }
    return status;
}

static void on_renewal(uv_timer_t *timer) {
    status_t *s = timer->data;
    status_client_ask(s->client);
    if (s->view.trouble != NULL && !s->ended)
        draw(s);
}

/* The first status has come. */
static void go_live(status_t *s) {
    int status = uv_tty_init(&s->loop, &s->keyboard, STDIN_FILENO, 0);
    if (status != 0) {
        end_failed(s, uv_strerror(status));
        return;
    }
    s->live = true;
    s->keyboard.data = s;
    status = watch_signals(s);
    if (status == 0)
        status = uv_read_start((uv_stream_t *)&s->keyboard, on_room, on_typed);
    if (status == 0)
        status = uv_timer_start(&s->renewal, on_renewal, 1000 * (uint64_t)s->o.interval,
                                1000 * (uint64_t)s->o.interval);
    if (status != 0)
        end_failed(s, uv_strerror(status));
    else
        take_terminal(s);
}

/* Answers ------------------------------------------------------------------------------------ */

static void on_failure(const char *why, bool refused, void *user_data) {
    status_t *s = user_data;
    if (s->ended)
        return;
    if (!s->live || refused) {
        end_failed(s, why);
        return;
    }
    snprintf(s->why, sizeof(s->why), "%s", why);
    s->view.trouble = s->why;
    draw(s);
}

static void on_answer(const char *text, size_t len, void *user_data) {
    status_t *s = user_data;
    status_data_t data;
    const char *why;
    if (!status_data_read(&data, text, len, &why)) {
        on_failure(why, false, s);
        return;
    }
    status_data_free(&s->data);
    s->data = data;
    s->data_ms = uv_now(&s->loop);
    s->view.trouble = NULL;
    if (s->o.json)
        print_json(s, text, len);
    else if (!s->has_terminal)
        print_table(s);
    else if (!s->live)
        go_live(s);
    else
        draw(s);
}

/* -------------------------------------------------------------------------------------------- */

/* Asks, and goes on until the end. False: a fault, which has been noted. */
static bool run(status_t *s) {
    const wst_ctx_options_t options = {.size = sizeof(options)};
    const status_client_callbacks_t callbacks = {on_answer, on_failure, s};
    int status = uv_loop_init(&s->loop);
    if (status == 0)
        status = wst_ctx_new(&s->ctx, &s->loop, &options);
    if (status != 0) {
        config_fault(&s->o.config, NULL, "%s", wst_strerror(status));
        return false;
    }
    uv_timer_init(&s->loop, &s->renewal);
    s->renewal.data = s;
    if (!status_options_tls(&s->o, s->ctx, &s->tls))
        end(s);
    else if ((status = status_client_new(&s->client, s->ctx, &s->o.place, s->tls, &callbacks)) != 0)
        end_failed(s, wst_strerror(status));
    else
        status_client_ask(s->client);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    if (s->failed)
        config_fault(&s->o.config, NULL, "%s: %s", s->view.address, s->why);
    return s->o.config.error_count == 0;
}

int status_main(int argc, char **argv) {
    static const options_syntax_t syntax = {.program = STATUS_PROGRAM,
                                            .usage = usage,
                                            .fields = &status_options_fields,
                                            .takes_arguments = true};
    static options_t options;
    static status_t s;
    status_options_t *o = &s.o;
    int status;
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    if (!options_parse(&options, &syntax, argc, argv, &status))
        return status;
    status = 2;
    if (status_options_read(o, &options)) {
        s.has_terminal = !o->once && !o->json && terminal_is_there();
        s.view.address = o->address;
        s.view.order = (status_order_t)o->order;
        status = status_options_ask(o) && run(&s) ? 0 : 1;
    }
    config_print(&o->config, STATUS_PROGRAM, status == 2 && o->config.error_count > 0);
    status_data_free(&s.data);
    screen_free(&s.screen);
    status_options_free(o);
    return status;
}
