/* SPDX-License-Identifier: MIT */
/*
 * Dialling, over real sockets of this machine. Names are answered by a hook: a test says which
 * addresses a name has. All of 127.0.0.0/8 is this machine, so one port can be open at one address,
 * closed at another, and a black hole (a listener whose queue is full) at a third.
 */
#include "support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>
#include <wstunnel/dial.h>
#include <wstunnel/error.h>
#include <wstunnel/resolver.h>

static uv_loop_t loop;
static wst_ctx_t *ctx;
static int ctx_closed;
static bool waiting;

/* Runs until `*count` has come to `n`, which a callback of this file has to say by came(). */
static void run_until(const int *count, int n) {
    waiting = true;
    while (*count < n)
        assert_true(uv_run(&loop, UV_RUN_DEFAULT) != 0 || *count >= n);
    waiting = false;
}

static void came(int *count) {
    ++*count;
    if (waiting)
        uv_stop(&loop);
}

/* Fixtures ----------------------------------------------------------------------------------- */

/* The hook: NULL ends the addresses; without any it keeps the look-up for later. */
static const char *const *addresses;
static wst_lookup_t *lookup;
static int hook_calls;

static void answer(wst_lookup_t *to) {
    struct sockaddr_storage list[WST_ADDRESSES_MAX];
    size_t count = 0;
    memset(list, 0, sizeof(list));
    for (; addresses[count] != NULL; count++)
        if (uv_ip4_addr(addresses[count], 0, (struct sockaddr_in *)&list[count]) != 0)
            assert_int_equal(uv_ip6_addr(addresses[count], 0, (struct sockaddr_in6 *)&list[count]),
                             0);
    wst_lookup_answer(to, 0, list, count);
}

static void hook(wst_lookup_t *asked, const char *host, void *user_data) {
    (void)user_data;
    assert_string_equal(host, "host.test");
    if (addresses != NULL)
        answer(asked);
    else
        lookup = asked;
    came(&hook_calls);
}

static void on_ctx_closed(void *user_data) {
    (void)user_data;
    ctx_closed++;
}

static void start(void) {
    wst_ctx_options_t options = {
        .size = sizeof(options), .allocator = &test_allocator, .resolve = hook};
    addresses = NULL;
    lookup = NULL;
    ctx_closed = hook_calls = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(wst_ctx_new(&ctx, &loop, &options), 0);
}

static void stop(void) {
    wst_ctx_close(ctx, on_ctx_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ctx_closed, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(test_alloc_live(), 0);
}

/* A port that is free at every address of this machine: a test may bind it at several, and other
 * tests, which run meanwhile, have connections from any of them. */
static uint16_t free_port(void) {
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof(any6);
    int fd = socket(AF_INET6, SOCK_STREAM, 0); /* takes IPv4 as well */
    if (fd < 0 || bind(fd, (struct sockaddr *)&any6, len) != 0) {
        if (fd >= 0)
            close(fd);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any6, &len), 0);
    close(fd);
    return ntohs(any6.sin6_port); /* at the same place in IPv4 */
}

/* A socket bound to an address and port (0: any, which is then told); -1 if there is no such. */
static int bound(const char *address, uint16_t *port) {
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(own);
    if (*port == 0)
        *port = free_port();
    if (uv_ip4_addr(address, *port, (struct sockaddr_in *)&own) == 0)
        len = sizeof(struct sockaddr_in);
    else if (uv_ip6_addr(address, *port, (struct sockaddr_in6 *)&own) == 0)
        len = sizeof(struct sockaddr_in6);
    int fd = socket(own.ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&own, len) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listening(const char *address, uint16_t *port) {
    int fd = bound(address, port);
    assert_true(fd >= 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* A listener whose queue is full: who connects hears nothing. Keeps its fillers open. */
typedef struct black_hole {
    int listener, fillers[4];
} black_hole_t;

static black_hole_t black_hole(const char *address, uint16_t *port) {
    black_hole_t hole;
    struct sockaddr_in to;
    hole.listener = bound(address, port);
    assert_true(hole.listener >= 0);
    assert_int_equal(listen(hole.listener, 0), 0);
    uv_ip4_addr(address, *port, &to);
    for (int i = 0; i < 4; i++) {
        hole.fillers[i] = socket(AF_INET, SOCK_STREAM, 0);
        fcntl(hole.fillers[i], F_SETFL, O_NONBLOCK);
        (void)!connect(hole.fillers[i], (struct sockaddr *)&to, sizeof(to));
    }
    return hole;
}

static void fill_up(black_hole_t *hole) {
    for (int i = 0; i < 4; i++)
        close(hole->fillers[i]);
    close(hole->listener);
}

/* One dial and what came of it. */
typedef struct dialled {
    wst_dial_t *dial;
    int calls, status;
    wst_stream_t *stream;
    uint64_t begun_ms, told_ms;
    struct dialled *cancel; /* in the callback */
    bool close;             /* the stream and the context, in the callback */
} dialled_t;

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    dialled_t *dialled = user_data;
    assert_true(status <= 0 && (stream != NULL) == (status == 0));
    came(&dialled->calls);
    dialled->status = status;
    dialled->stream = stream;
    dialled->told_ms = uv_hrtime() / 1000000;
    if (dialled->cancel != NULL)
        wst_dial_cancel(dialled->cancel->dial);
    if (dialled->close) {
        if (stream != NULL)
            wst_stream_close(stream, NULL);
        wst_ctx_close(ctx, on_ctx_closed);
    }
}

static void dial_for(dialled_t *dialled, const char *host, uint16_t port, uint64_t timeout_ms) {
    wst_dial_options_t options = {
        .size = sizeof(options), .host = host, .port = port, .timeout_ms = timeout_ms};
    memset(dialled, 0, offsetof(dialled_t, cancel));
    dialled->begun_ms = uv_hrtime() / 1000000;
    uv_update_time(&loop);
    assert_int_equal(wst_dial(&dialled->dial, ctx, &options, on_dialled, dialled), 0);
    assert_int_equal(dialled->calls, 0);
}

static void dial(dialled_t *dialled, const char *host, uint16_t port) {
    dial_for(dialled, host, port, 0);
}

static void dial_path(dialled_t *dialled, const char *path) {
    wst_dial_options_t options = {.size = sizeof(options), .path = path};
    memset(dialled, 0, offsetof(dialled_t, cancel));
    assert_int_equal(wst_dial(&dialled->dial, ctx, &options, on_dialled, dialled), 0);
    assert_int_equal(dialled->calls, 0);
}

/* Runs until nothing is left to do, and expects this outcome; closes the stream. */
static void expect(dialled_t *dialled, int status, const char *peer) {
    run_until(&dialled->calls, 1);
    assert_int_equal(dialled->status, status);
    if (peer != NULL)
        assert_string_equal(wst_stream_peer(dialled->stream), peer);
    if (dialled->stream != NULL)
        wst_stream_close(dialled->stream, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(dialled->calls, 1);
}

static const char *peer_of(const char *address, uint16_t port) {
    static char text[80];
    snprintf(text, sizeof(text), "%s:%d", address, port);
    return text;
}

/* A connection waits in the listener's queue. */
static void expect_accepted(int listener) {
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    close(fd);
}

/* Outcomes ----------------------------------------------------------------------------------- */

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream;
    assert_int_equal(data.len, 5);
    assert_memory_equal(data.data, "hello", 5);
    came(user_data);
}

/* The stream comes paused, and is what it says. */
static void test_connects(void **state) {
    (void)state;
    uint16_t port = 0;
    dialled_t dialled = {0};
    int reads = 0;
    wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks), .on_read = on_read};
    start();
    int listener = listening("127.0.0.1", &port);
    dial(&dialled, "127.0.0.1", port);
    run_until(&dialled.calls, 1);
    assert_int_equal(dialled.status, 0);
    int fd = accept(listener, NULL, NULL);
    assert_int_equal(write(fd, "hello", 5), 5);
    wst_stream_set_callbacks(dialled.stream, &callbacks, &reads);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(reads, 0);
    wst_stream_read_start(dialled.stream, 0);
    run_until(&reads, 1);
    expect(&dialled, 0, peer_of("127.0.0.1", port));
    close(fd);
    close(listener);
    stop();
}

static char asked[200];

static bool only_second(const char *address, void *user_data) {
    assert_non_null(user_data);
    snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked), "%s ", address);
    return strcmp(address, "127.0.0.2") == 0;
}

static bool none(const char *address, void *user_data) {
    (void)address, (void)user_data;
    return false;
}

/* Addresses that may not be tried are not, whether others may or none. */
static void test_filter(void **state) {
    (void)state;
    static const char *const list[] = {"127.0.0.1", "::ffff:192.0.2.1", "127.0.0.2", "::1", NULL};
    uint16_t port = 0;
    start();
    int listener = listening("127.0.0.1", &port), second = listening("127.0.0.2", &port);
    addresses = list;
    dialled_t dialled = {0};
    wst_dial_options_t options = {
        .size = sizeof(options), .host = "host.test", .port = port, .allow = only_second};
    asked[0] = '\0';
    assert_int_equal(wst_dial(&dialled.dial, ctx, &options, on_dialled, &dialled), 0);
    expect(&dialled, 0, peer_of("127.0.0.2", port));
    assert_string_equal(asked, "127.0.0.1 192.0.2.1 127.0.0.2 ::1 ");
    expect_accepted(second);

    options.allow = none;
    for (int literal = 0; literal <= 1; literal++) {
        options.host = literal ? "127.0.0.1" : "host.test";
        memset(&dialled, 0, sizeof(dialled));
        assert_int_equal(wst_dial(&dialled.dial, ctx, &options, on_dialled, &dialled), 0);
        expect(&dialled, WST_EDENIED, NULL);
    }
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    close(listener);
    close(second);
    stop();
}

static void test_ip6(void **state) {
    (void)state;
    uint16_t port = 0;
    dialled_t dialled = {0};
    int listener = bound("::1", &port);
    if (listener < 0)
        skip();
    start();
    assert_int_equal(listen(listener, 16), 0);
    dial(&dialled, "::1", port);
    expect(&dialled, 0, NULL);
    /* with a zone, through the system's own reading of it */
    dial(&dialled, "::1%1", port);
    expect(&dialled, 0, NULL);
    /* IPv6 preferred but closed: IPv4 is next. Both sockets hold the port against other programs.
     */
    static const char *const both[] = {"::1", "127.0.0.1", NULL};
    uint16_t both_port = 0;
    int other = listening("127.0.0.1", &both_port), closed = bound("::1", &both_port);
    assert_true(closed >= 0);
    addresses = both;
    dial(&dialled, "host.test", both_port);
    expect(&dialled, 0, peer_of("127.0.0.1", both_port));
    close(closed);
    close(listener);
    close(other);
    stop();
}

static void test_fails(void **state) {
    (void)state;
    uint16_t port = 0;
    dialled_t dialled = {0};
    start();
    int closed = bound("127.0.0.1", &port);
    dial(&dialled, "127.0.0.1", port);
    expect(&dialled, UV_ECONNREFUSED, NULL);
    /* nobody has a TCP connection with a broadcast address */
    dial(&dialled, "255.255.255.255", port);
    expect(&dialled, UV_ENETUNREACH, NULL);
    dial(&dialled, "1:2", port);
    expect(&dialled, UV_EAI_NONAME, NULL);
    close(closed);
    stop();
}

static void test_most_telling_error(void **state) {
    (void)state;
    static const char *const last[] = {"255.255.255.255", "127.0.0.1", NULL};
    static const char *const first[] = {"127.0.0.1", "255.255.255.255", NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    start();
    int closed = bound("127.0.0.1", &port);
    addresses = last;
    dial(&dialled, "host.test", port);
    expect(&dialled, UV_ECONNREFUSED, NULL);
    addresses = first;
    dial(&dialled, "host.test", port);
    expect(&dialled, UV_ECONNREFUSED, NULL);
    close(closed);
    stop();
}

static void test_bad_arguments(void **state) {
    (void)state;
    char name[257], path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    memset(name, 'a', sizeof(name));
    memset(path, 'a', sizeof(path));
    name[256] = path[sizeof(path) - 1] = '\0';
    const wst_dial_options_t bad[] = {
        {.size = sizeof(wst_dial_options_t), .host = NULL, .port = 1},
        {.size = sizeof(wst_dial_options_t), .host = "", .port = 1},
        {.size = sizeof(wst_dial_options_t), .host = "a.test", .port = 0},
        {.size = sizeof(wst_dial_options_t), .host = name, .port = 1},
        {.size = sizeof(wst_dial_options_t), .path = ""},
        {.size = sizeof(wst_dial_options_t), .path = path}};
    wst_dial_t *none = NULL;
    start();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(wst_dial(&none, ctx, &bad[i], on_dialled, NULL), WST_EINVAL);
    const wst_dial_options_t good = {.size = sizeof(good), .host = "::1", .port = 1};
    assert_int_equal(wst_dial(&none, ctx, &good, NULL, NULL), WST_EINVAL);
    assert_null(none);
    stop();
}

/* No descriptor left for a socket. */
static void test_no_descriptor(void **state) {
    (void)state;
    static const char *const two[] = {"127.0.0.1", "127.0.0.2", NULL};
    uint16_t port = 0;
    struct rlimit old, tight;
    dialled_t dialled = {0};
    start();
    int closed = bound("127.0.0.1", &port);
    uv_run(&loop, UV_RUN_NOWAIT);
    addresses = two;
    dial(&dialled, "host.test", port);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    int lowest = dup(0);
    close(lowest);
    tight.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    run_until(&dialled.calls, 1);
    setrlimit(RLIMIT_NOFILE, &old);
    expect(&dialled, UV_EMFILE, NULL);
    close(closed);
    stop();
}

static void test_unix(void **state) {
    (void)state;
    char dir[] = "/tmp/test_dial_XXXXXX", path[64], text[80];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    dialled_t dialled = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
    snprintf(text, sizeof(text), "unix:%s", path);
    memcpy(address.sun_path, path, strlen(path));
    start();
    dial_path(&dialled, path);
    expect(&dialled, UV_ENOENT, NULL);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    dial_path(&dialled, path);
    expect(&dialled, UV_ECONNREFUSED, NULL);
    assert_int_equal(listen(fd, 4), 0);
    dial_path(&dialled, path);
    expect(&dialled, 0, text);
    /* cancelled at once */
    dial_path(&dialled, path);
    wst_dial_cancel(dialled.dial);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(dialled.calls, 0);
    close(fd);
    unlink(path);
    rmdir(dir);
    stop();
}

/* Several addresses -------------------------------------------------------------------------- */

/* The next address is tried at once when one fails; with the delay this would take 2 s. */
static void test_next_at_once(void **state) {
    (void)state;
    static const char *const list[] = {
        "127.0.0.1",       "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6",
        "255.255.255.255", "127.0.0.7", "127.0.0.8", "127.0.0.9", NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    start();
    int closed = bound("127.0.0.1", &port), listener = listening("127.0.0.9", &port);
    addresses = list;
    dial(&dialled, "host.test", port);
    expect(&dialled, 0, peer_of("127.0.0.9", port));
    assert_in_range(dialled.told_ms - dialled.begun_ms, 0, 1500);
    close(closed);
    close(listener);
    stop();
}

/*
 * A black hole costs the delay, once: what fails behind it makes way for the next at once (with the
 * delay for each this would take 2 s). The loser is closed, and nobody behind the winner tried.
 */
static void test_black_hole(void **state) {
    (void)state;
    static const char *const list[] = {"127.0.0.1", "127.0.0.2",  "127.0.0.3",  "127.0.0.4",
                                       "127.0.0.5", "127.0.0.6",  "127.0.0.7",  "127.0.0.8",
                                       "127.0.0.9", "127.0.0.10", "127.0.0.11", NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    start();
    black_hole_t hole = black_hole("127.0.0.1", &port);
    int listener = listening("127.0.0.10", &port), unused = listening("127.0.0.11", &port);
    addresses = list;
    dial(&dialled, "host.test", port);
    expect(&dialled, 0, peer_of("127.0.0.10", port));
    assert_in_range(dialled.told_ms - dialled.begun_ms, 249, 1500);
    expect_accepted(listener);
    fcntl(unused, F_SETFL, O_NONBLOCK);
    assert_int_equal(accept(unused, NULL, NULL), -1);
    fill_up(&hole);
    close(listener);
    close(unused);
    stop();
}

/* An attempt that is slow may still win after the next one has started. */
static void test_first_comes_late(void **state) {
    (void)state;
    static const char *const list[] = {"127.0.0.1", "127.0.0.2", NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    start();
    black_hole_t first = black_hole("127.0.0.1", &port), second = black_hole("127.0.0.2", &port);
    addresses = list;
    dial(&dialled, "host.test", port);
    run_until(&hook_calls, 1);
    /* Room in the queue of the first: its attempt succeeds when the kernel tries again. */
    for (int i = 0; i < 4; i++)
        close(first.fillers[i]);
    fcntl(first.listener, F_SETFL, O_NONBLOCK);
    int accepted[4];
    for (int i = 0; i < 4; i++)
        accepted[i] = accept(first.listener, NULL, NULL);
    expect(&dialled, 0, peer_of("127.0.0.1", port));
    assert_true(dialled.told_ms - dialled.begun_ms > 250);
    for (int i = 0; i < 4; i++)
        if (accepted[i] >= 0)
            close(accepted[i]);
    close(first.listener);
    fill_up(&second);
    stop();
}

/* Sixteen addresses are tried, the seventeenth is not. */
static void test_bound(void **state) {
    (void)state;
    static char text[17][32];
    const char *list[18] = {NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    for (int i = 0; i < 17; i++) {
        snprintf(text[i], sizeof(text[i]), "127.0.1.%d", i + 1);
        list[i] = text[i];
    }
    start();
    int listener = listening("127.0.1.17", &port);
    addresses = list;
    dial(&dialled, "host.test", port);
    expect(&dialled, UV_ECONNREFUSED, NULL);
    list[0] = "127.0.1.2"; /* one given twice does not count */
    dial(&dialled, "host.test", port);
    expect(&dialled, 0, peer_of("127.0.1.17", port));
    close(listener);
    stop();
}

/* Deadlines ---------------------------------------------------------------------------------- */

static void test_timeouts(void **state) {
    (void)state;
    static const char *const list[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    start();
    black_hole_t hole = black_hole("127.0.0.1", &port);
    int closed = bound("127.0.0.2", &port);
    dial_for(&dialled, "127.0.0.1", port, 30);
    expect(&dialled, WST_EDIALTIMEOUT, NULL);
    assert_true(dialled.told_ms - dialled.begun_ms >= 29);
    /* with one that fails as well; no attempt is started after the end */
    addresses = list + 1;
    dial_for(&dialled, "host.test", port, 0);
    expect(&dialled, UV_ECONNREFUSED, NULL);
    addresses = list;
    dial_for(&dialled, "host.test", port, 30);
    expect(&dialled, WST_EDIALTIMEOUT, NULL);
    /* the name */
    addresses = NULL;
    dial_for(&dialled, "host.test", port, 30);
    expect(&dialled, WST_ENAMETIMEOUT, NULL);
    addresses = list;
    if (lookup != NULL)
        answer(lookup);
    fill_up(&hole);
    close(closed);
    stop();
}

static void answer_later(uv_timer_t *timer) {
    (void)timer;
    static const char *const list[] = {"127.0.0.1", NULL};
    addresses = list;
    assert_non_null(lookup);
    answer(lookup);
}

/* The look-up's time counts: there is one deadline for everything. */
static void test_one_deadline(void **state) {
    (void)state;
    uint16_t port = 0;
    uv_timer_t timer;
    dialled_t dialled = {0};
    start();
    black_hole_t hole = black_hole("127.0.0.1", &port);
    uv_timer_init(&loop, &timer);
    dial_for(&dialled, "host.test", port, 700);
    uv_timer_start(&timer, answer_later, 600, 0);
    expect(&dialled, WST_EDIALTIMEOUT, NULL);
    assert_in_range(dialled.told_ms - dialled.begun_ms, 699, 1290);
    uv_close((uv_handle_t *)&timer, NULL);
    fill_up(&hole);
    stop();
}

/* Cancel and close --------------------------------------------------------------------------- */

static void no_outcome(dialled_t *dialled) {
    wst_dial_cancel(dialled->dial);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(dialled->calls, 0);
}

static void on_tick(uv_timer_t *timer) {
    came(timer->data);
}

/* Runs behind the attempt's start and before libuv looks how it went. */
static void cancel_early(uv_prepare_t *prepare) {
    dialled_t *dialled = prepare->data;
    wst_dial_cancel(dialled->dial);
    uv_close((uv_handle_t *)prepare, NULL);
}

/* Cancelled in every state: no callback, and nothing keeps the loop alive. */
static void test_cancel(void **state) {
    (void)state;
    static const char *const list[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", NULL};
    uint16_t port = 0;
    dialled_t dialled = {0};
    int ticks = 0;
    uv_timer_t timer;
    start();
    black_hole_t first = black_hole("127.0.0.1", &port), second = black_hole("127.0.0.2", &port);
    int listener = listening("127.0.0.3", &port);

    dial(&dialled, "127.0.0.3", port); /* before anything has happened */
    no_outcome(&dialled);
    dial(&dialled, "host.test", port); /* while the name is looked up */
    run_until(&hook_calls, 1);
    no_outcome(&dialled);
    addresses = list;
    answer(lookup);
    dial(&dialled, "host.test", port); /* one attempt runs */
    run_until(&hook_calls, 2);
    no_outcome(&dialled);
    dial(&dialled, "host.test", port); /* two attempts run */
    uv_timer_init(&loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, on_tick, 300, 0);
    run_until(&ticks, 1);
    no_outcome(&dialled);
    dial(&dialled, "127.0.0.3", port); /* connected, but not told yet */
    uv_prepare_t prepare = {.data = &dialled};
    uv_prepare_init(&loop, &prepare);
    uv_prepare_start(&prepare, cancel_early);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(dialled.calls, 0);
    expect_accepted(listener);

    uv_close((uv_handle_t *)&timer, NULL);
    fill_up(&first);
    fill_up(&second);
    close(listener);
    stop();
}

static void test_cancel_in_callback(void **state) {
    (void)state;
    static const char *const list[] = {"127.0.0.1", NULL};
    uint16_t port = 0, open_port = 0;
    start();
    black_hole_t hole = black_hole("127.0.0.1", &port);
    int listener = listening("127.0.0.1", &open_port);
    addresses = list;
    /* from a success, and from a failure told by a deadline */
    dialled_t other = {0}, dialled = {.cancel = &other};
    dial(&other, "host.test", port);
    dial(&dialled, "127.0.0.1", open_port);
    expect(&dialled, 0, NULL);
    assert_int_equal(other.calls, 0);
    dial(&other, "host.test", port);
    dial_for(&dialled, "127.0.0.1", port, 20);
    expect(&dialled, WST_EDIALTIMEOUT, NULL);
    assert_int_equal(other.calls, 0);
    /* one that waits for the same name, whose answer fails the first within the same call */
    static const char *const nowhere[] = {"255.255.255.255", NULL};
    addresses = nowhere;
    dial(&dialled, "host.test", port);
    dial(&other, "host.test", port);
    expect(&dialled, UV_ENETUNREACH, NULL);
    assert_int_equal(other.calls, 0);
    close(listener);
    fill_up(&hole);
    stop();
}

/* Stream and context closed from the outcome, good or bad. */
static void test_close_in_callback(void **state) {
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "255.255.255.255", "1:2",
                                        "host.test"};
    static const char *const list[] = {"127.0.0.2", "127.0.0.1", NULL};
    uint16_t port = 0;
    int listener = listening("127.0.0.1", &port);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        start();
        addresses = list;
        dialled_t dialled = {.close = true};
        dial(&dialled, hosts[i], port);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(dialled.calls, 1);
        assert_int_equal(ctx_closed, 1);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(test_alloc_live(), 0);
    }
    close(listener);
}

/* Memory ------------------------------------------------------------------------------------- */

static void scenario(void *arg) {
    const wst_dial_options_t *options = arg;
    static const char *const list[] = {"127.0.0.2", "127.0.0.1", NULL};
    wst_ctx_options_t ctx_options = {
        .size = sizeof(ctx_options), .allocator = &test_allocator, .resolve = hook};
    assert_int_equal(uv_loop_init(&loop), 0);
    addresses = list;
    if (wst_ctx_new(&ctx, &loop, &ctx_options) == 0) {
        dialled_t dialled = {0};
        int status = wst_dial(&dialled.dial, ctx, options, on_dialled, &dialled);
        assert_true(status == 0 || status == WST_ENOMEM);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(dialled.calls, status == 0);
        /* An address that was out of luck does not spoil the next one. */
        if (status == 0 && dialled.status != 0)
            assert_int_equal(dialled.status, WST_ENOMEM);
        if (dialled.stream != NULL)
            wst_stream_close(dialled.stream, NULL);
        wst_ctx_close(ctx, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_no_memory(void **state) {
    (void)state;
    uint16_t port = 0;
    int listener = listening("127.0.0.1", &port);
    wst_dial_options_t literal = {.size = sizeof(literal), .host = "127.0.0.1", .port = port},
                       name = {.size = sizeof(name), .host = "host.test", .port = port};
    /* context, dial, request, attempt, socket, stream at least */
    assert_true(test_alloc_each(scenario, &literal) >= 6);
    assert_true(test_alloc_each(scenario, &name) >= 10);
    close(listener);

    char dir[] = "/tmp/test_dial_XXXXXX", path[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    wst_dial_options_t local = {.size = sizeof(local), .path = path};
    assert_true(test_alloc_each(scenario, &local) >= 5);
    close(fd);
    unlink(path);
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_ip6),
        cmocka_unit_test(test_fails),
        cmocka_unit_test(test_most_telling_error),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_no_descriptor),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_next_at_once),
        cmocka_unit_test(test_black_hole),
        cmocka_unit_test(test_first_comes_late),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_one_deadline),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_in_callback),
        cmocka_unit_test(test_close_in_callback),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
