/* SPDX-License-Identifier: MIT */
/*
 * The clients of the tunnels that are measured: one thread, no more work than to check each byte.
 * bench_wire.h says how they converse with bench_origin.
 *
 *     bench_load WHAT [options] IPV4:PORT
 *
 * Prints one JSON object. If any byte or count is wrong, says what and exits with status 1.
 */
#include "bench_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
    "usage: bench_load WHAT [options] IPV4:PORT\n"
    "  get, put     blocks, from or to the origin: for --seconds, or --bytes a stream\n"
    "  echo         64 bytes back and forth on one connection, for --seconds\n"
    "  visit        --count connections, each for one byte, --streams at a time; with --seconds\n"
    "               no more than begin in that time\n"
    "  hold         --streams connections that stay open until the standard input ends\n"
    "\n"
    "  --via HOW    direct (default), connect (HTTP) or socks (SOCKS5)\n"
    "  --to HOST:PORT  what to ask for via connect or socks (an IPv4 address)\n"
    "  --field LINE a field of the request via connect, as 'Name: value'\n"
    "  --streams N, --seconds S, --bytes N, --count N\n"
    "  --rate N     bytes a second that get and put pass, all streams together (default: all)\n"
    "  --timeout S  give up after so long (default 60)\n"
    "  --lenient    visits that fail are counted; else the first one ends the run\n";

enum { EVENTS = 256, ECHO = 64, ECHO_WARM_UP = 10, ABREAST = 64, ANSWER_MAX = 1024 };

static const double LONGEST_NAP = 0.01; /* seconds */

typedef struct conn {
    int fd;
    enum { CONNECTING, ASKING, TALKING } stage;
    uint8_t answer[ANSWER_MAX]; /* of the proxy, or of an echo or a visit */
    size_t got;                 /* of it */
    wire_sender_t sender;
    wire_receiver_t receiver;
    uint64_t turn;   /* of an echo */
    double asked_at; /* of an echo; of a visit: when it began to connect */
} conn_t;

/* What a load does. Functions return 0; 1: the conversation is complete; -1: it went wrong. */
typedef struct kind {
    const char *name;
    int verb;
    int (*begin)(conn_t *c);
    int (*take)(conn_t *c, const uint8_t *data, size_t len);
    int (*end)(conn_t *c); /* NULL: too early */
    void (*stop)(conn_t *c);
    bool stays; /* open when it is complete */
} kind_t;

typedef struct via {
    const char *name;
    int (*ask)(conn_t *c);
    int (*answered)(conn_t *c); /* 0: not yet; 1; -1: refused */
} via_t;

static struct {
    const kind_t *kind;
    const via_t *via;
    struct sockaddr_in address, to_address;
    const char *to, *field;
    size_t streams, count;
    uint64_t bytes;
    double seconds, timeout, rate;
    bool lenient;

    int poller;
    conn_t **conns;
    size_t opened, open, complete, failed;
    double begun, stop_at, ended;
    float *waits_us; /* for the answer to an echo, or the byte of a visit */
    size_t waits, waits_max;
    uint64_t moved, resets;
} load;

_Noreturn static void die_wrong(const char *what) {
    fprintf(stderr, "bench_load %s: %zu of %zu complete: %s\n", load.kind->name, load.complete,
            load.count, what);
    exit(1);
}

static void watch(conn_t *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(load.poller, EPOLL_CTL_MOD, c->fd, &event) != 0)
        wire_die("epoll_ctl");
}

/* Few enough bytes to fit into any socket's buffer. */
static int say(conn_t *c, const void *data, size_t len) {
    return send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

/* Proxies ------------------------------------------------------------------------------------ */

static int ask_connect(conn_t *c) {
    char request[ANSWER_MAX];
    int len =
        snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", load.to,
                 load.to, load.field != NULL ? load.field : "", load.field != NULL ? "\r\n" : "");
    return len < ANSWER_MAX ? say(c, request, (size_t)len) : -1;
}

static int answered_connect(conn_t *c) {
    if (c->got < 12 || memcmp(c->answer + c->got - 4, "\r\n\r\n", 4) != 0)
        return 0;
    return memcmp(c->answer, "HTTP/1.", 7) == 0 && memcmp(c->answer + 8, " 200", 4) == 0 ? 1 : -1;
}

static int ask_socks(conn_t *c) {
    return say(c, "\5\1\0", 3);
}

/* Not before the greeting is answered: not every proxy takes both at once. */
static int ask_socks_connect(conn_t *c) {
    uint8_t request[10] = {5, 1, 0, 1};
    memcpy(request + 4, &load.to_address.sin_addr, 4);
    memcpy(request + 8, &load.to_address.sin_port, 2);
    return say(c, request, sizeof(request));
}

static int answered_socks(conn_t *c) {
    if (c->got == 2)
        return ask_socks_connect(c);
    if (c->got < 12)
        return 0;
    return memcmp(c->answer, "\5\0\5\0\0\1", 6) == 0 ? 1 : -1;
}

static const via_t vias[] = {
    {"direct", NULL, NULL},
    {"connect", ask_connect, answered_connect},
    {"socks", ask_socks, answered_socks},
};

/* Loads -------------------------------------------------------------------------------------- */

static int get_begin(conn_t *c) {
    wire_receiver_init(&c->receiver);
    return 0;
}

static int get_take(conn_t *c, const uint8_t *data, size_t len) {
    if (wire_receive(&c->receiver, data, len) != 0)
        return -1;
    return wire_receiver_done(&c->receiver);
}

static void get_stop(conn_t *c) {
    if (say(c, "s", 1) != 0)
        wire_die("a byte to the origin");
}

static int put_begin(conn_t *c) {
    wire_sender_init(&c->sender, load.bytes / WIRE_BLOCK);
    watch(c, EPOLLIN | EPOLLOUT);
    return 0;
}

static int put_more(conn_t *c) {
    if (wire_send(&c->sender, c->fd) != 0)
        return -1;
    if (wire_sender_done(&c->sender))
        watch(c, EPOLLIN);
    return 0;
}

/* The receipt. */
static int put_take(conn_t *c, const uint8_t *data, size_t len) {
    return len == WIRE_RECEIPT && data[0] == WIRE_RIGHT && wire_sender_done(&c->sender) ? 1 : -1;
}

static void put_stop(conn_t *c) {
    wire_sender_stop(&c->sender);
}

static void fill_echo(uint8_t out[ECHO], uint64_t turn) {
    for (size_t i = 0; i < ECHO; i++)
        out[i] = (uint8_t)(turn * 131 + i * 7);
}

static int echo_ask(conn_t *c) {
    uint8_t message[ECHO];
    fill_echo(message, c->turn);
    c->got = 0;
    c->asked_at = wire_now_s();
    return say(c, message, ECHO);
}

/* 1: the answer is complete. */
static int echo_answer(conn_t *c, const uint8_t *data, size_t len) {
    uint8_t message[ECHO];
    if (len > ECHO - c->got)
        return -1;
    memcpy(c->answer + c->got, data, len);
    c->got += len;
    if (c->got < ECHO)
        return 0;
    fill_echo(message, c->turn);
    return memcmp(message, c->answer, ECHO) == 0 ? 1 : -1;
}

static void record_wait(double seconds) {
    if (load.waits == load.waits_max) {
        load.waits_max = load.waits_max * 2 + 4096;
        load.waits_us = realloc(load.waits_us, load.waits_max * sizeof(float));
        if (load.waits_us == NULL)
            wire_die("memory");
    }
    load.waits_us[load.waits++] = (float)(seconds * 1e6);
}

static int echo_take(conn_t *c, const uint8_t *data, size_t len) {
    int status = echo_answer(c, data, len);
    if (status <= 0)
        return status;
    double now = wire_now_s();
    if (c->turn++ >= ECHO_WARM_UP)
        record_wait(now - c->asked_at);
    return now < load.stop_at || load.waits == 0 ? echo_ask(c) : 1;
}

static int visit_take(conn_t *c, const uint8_t *data, size_t len) {
    c->got += len;
    if (c->got != 1 || data[0] != WIRE_RIGHT)
        return -1;
    record_wait(wire_now_s() - c->asked_at);
    return 0;
}

static int visit_end(conn_t *c) {
    load.resets += errno != 0;
    return c->got == 1 ? 1 : -1;
}

static const kind_t kinds[] = {
    {"get", WIRE_GET, get_begin, get_take, NULL, get_stop, false},
    {"put", WIRE_PUT, put_begin, put_take, NULL, put_stop, false},
    {"echo", WIRE_ECHO, echo_ask, echo_take, NULL, NULL, false},
    {"visit", WIRE_BYE, NULL, visit_take, visit_end, NULL, false},
    {"hold", WIRE_ECHO, echo_ask, echo_answer, NULL, NULL, true},
};

/* Connections -------------------------------------------------------------------------------- */

static void open_conn(void) {
    int yes = 1;
    conn_t *c = calloc(1, sizeof(*c));
    if (c == NULL)
        wire_die("memory");
    c->asked_at = wire_now_s();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
        (connect(c->fd, (struct sockaddr *)&load.address, sizeof(load.address)) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(load.poller, EPOLL_CTL_ADD, c->fd, &event) != 0)
        wire_die("a connection");
    load.conns[load.opened++] = c;
    load.open++;
}

static void close_conn(conn_t *c) {
    close(c->fd);
    c->fd = -1;
}

static void complete_conn(conn_t *c) {
    load.moved += c->sender.position + c->receiver.position;
    load.complete++;
    load.open--;
    load.ended = wire_now_s();
    if (load.kind->stays)
        watch(c, EPOLLIN);
    else
        close_conn(c);
}

static void fail_conn(conn_t *c) {
    if (!load.lenient)
        die_wrong(errno != 0 ? strerror(errno) : "bytes are wrong or missing");
    load.failed++;
    load.open--;
    close_conn(c);
}

static int begin_talk(conn_t *c) {
    uint8_t request[WIRE_REQUEST];
    c->stage = TALKING;
    c->got = 0;
    watch(c, EPOLLIN);
    wire_write_request(request, load.kind->verb, load.bytes / WIRE_BLOCK);
    if (say(c, request, sizeof(request)) != 0)
        return -1;
    return load.kind->begin != NULL ? load.kind->begin(c) : 0;
}

static int on_connected(conn_t *c) {
    socklen_t len = sizeof(errno);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errno, &len) != 0 || errno != 0)
        return -1;
    if (load.via->ask == NULL)
        return begin_talk(c);
    c->stage = ASKING;
    watch(c, EPOLLIN);
    return load.via->ask(c);
}

static int on_answer(conn_t *c, const uint8_t *data, size_t len) {
    if (len > ANSWER_MAX - c->got)
        return -1;
    memcpy(c->answer + c->got, data, len);
    c->got += len;
    int status = load.via->answered(c);
    return status == 1 ? begin_talk(c) : status;
}

static int on_readable(conn_t *c) {
    int n = wire_read(c->fd);
    if (n == 0)
        return 0;
    if (n < 0)
        return c->stage == TALKING && load.kind->end != NULL ? load.kind->end(c) : -1;
    return c->stage == ASKING ? on_answer(c, wire_buffer, (size_t)n)
                              : load.kind->take(c, wire_buffer, (size_t)n);
}

static int on_event(conn_t *c, uint32_t events) {
    int status = 0;
    if (c->stage == CONNECTING)
        return on_connected(c);
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        status = on_readable(c);
    if (status == 0 && (events & EPOLLOUT) != 0)
        status = put_more(c);
    return status;
}

/* The run ------------------------------------------------------------------------------------ */

static size_t abreast(void) {
    return load.kind->stays && load.streams > ABREAST ? ABREAST : load.streams;
}

static void stop_all(void) {
    for (size_t i = 0; i < load.opened; i++) {
        if (load.conns[i]->fd >= 0 && load.conns[i]->stage == TALKING)
            load.kind->stop(load.conns[i]);
        else if (load.conns[i]->fd >= 0)
            die_wrong("a connection was not open in time");
    }
    load.stop_at = 0;
}

/* Waits until the bytes that have been moved are due. */
static void keep_pace(void) {
    if (load.rate <= 0)
        return;
    uint64_t moved = 0;
    for (size_t i = 0; i < load.opened; i++)
        moved += load.conns[i]->sender.position + load.conns[i]->receiver.position;
    double early = load.begun + (double)moved / load.rate - wire_now_s();
    if (early > 0)
        usleep((useconds_t)((early < LONGEST_NAP ? early : LONGEST_NAP) * 1e6));
}

static void turn(void) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(load.poller, events, EVENTS, 10);
    for (int i = 0; i < n; i++) {
        conn_t *c = events[i].data.ptr;
        int status = on_event(c, events[i].events);
        if (status < 0)
            fail_conn(c);
        if (status > 0)
            complete_conn(c);
        keep_pace();
    }
}

static void run(void) {
    load.begun = wire_now_s();
    load.stop_at = load.seconds > 0 ? load.begun + load.seconds : 0;
    while (load.complete + load.failed < load.count) {
        while (load.open < abreast() && load.opened < load.count)
            open_conn();
        turn();
        double now = wire_now_s();
        if (load.kind->verb == WIRE_BYE && load.stop_at > 0 && now >= load.stop_at)
            load.count = load.opened;
        if (load.kind->stop != NULL && load.stop_at > 0 && now >= load.stop_at)
            stop_all();
        if (now > load.begun + load.timeout)
            die_wrong("timed out");
    }
}

/* Results ------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b) {
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double quantile(double q) {
    size_t at = (size_t)(q * (double)load.waits);
    return load.waits > 0 ? (double)load.waits_us[at < load.waits ? at : load.waits - 1] : 0;
}

static void print_results(void) {
    if (load.waits > 0)
        qsort(load.waits_us, load.waits, sizeof(float), compare);
    printf("{\"seconds\": %.6f, \"bytes\": %llu, \"complete\": %zu, \"failed\": %zu, "
           "\"resets\": %llu, \"waits\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f}\n",
           load.ended - load.begun, (unsigned long long)load.moved, load.complete, load.failed,
           (unsigned long long)load.resets, load.waits, quantile(0.5), quantile(0.99), quantile(1));
    fflush(stdout);
}

/* Options ------------------------------------------------------------------------------------ */

_Noreturn static void die_usage(void) {
    fputs(usage, stderr);
    exit(2);
}

static const kind_t *find_kind(const char *name) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (name != NULL && strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    die_usage();
}

static const via_t *find_via(const char *name) {
    for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
        if (strcmp(vias[i].name, name) == 0)
            return &vias[i];
    }
    die_usage();
}

/* To what is due in a millisecond, lest a slow load come in bursts. */
static void limit_pieces(void) {
    double due = load.rate / 1000;
    wire_piece = due < 4096 ? 4096 : due < WIRE_PIECE ? (size_t)due : WIRE_PIECE;
}

static void take_option(int option) {
    switch (option) {
    case 'v':
        load.via = find_via(optarg);
        break;
    case 't':
        load.to = optarg;
        break;
    case 'f':
        load.field = optarg;
        break;
    case 'n':
        load.streams = strtoul(optarg, NULL, 10);
        break;
    case 's':
        load.seconds = strtod(optarg, NULL);
        break;
    case 'b':
        load.bytes = strtoull(optarg, NULL, 10);
        break;
    case 'c':
        load.count = strtoul(optarg, NULL, 10);
        break;
    case 'o':
        load.timeout = strtod(optarg, NULL);
        break;
    case 'r':
        load.rate = strtod(optarg, NULL);
        limit_pieces();
        break;
    case 'l':
        load.lenient = true;
        break;
    default:
        die_usage();
    }
}

static void take_options(int argc, char **argv) {
    static const struct option options[] = {
        {"via", 1, NULL, 'v'},     {"to", 1, NULL, 't'},    {"streams", 1, NULL, 'n'},
        {"seconds", 1, NULL, 's'}, {"bytes", 1, NULL, 'b'}, {"count", 1, NULL, 'c'},
        {"timeout", 1, NULL, 'o'}, {"field", 1, NULL, 'f'}, {"rate", 1, NULL, 'r'},
        {"lenient", 0, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    int option;
    load.via = &vias[0];
    load.streams = 1;
    load.timeout = 60;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(option);
    if (optind != argc - 2 || load.streams == 0)
        die_usage();
    load.kind = find_kind(argv[optind]);
    load.address = wire_address(argv[optind + 1]);
    if ((load.via->ask != NULL && load.to == NULL) || (load.lenient && load.kind->verb != WIRE_BYE))
        die_usage();
    if (load.via->ask == ask_socks)
        load.to_address = wire_address(load.to);
    if (load.kind->verb != WIRE_BYE)
        load.count = load.streams;
    bool endless = load.kind->stop != NULL || load.kind->verb == WIRE_ECHO;
    if (load.count == 0 ||
        (endless && !load.kind->stays && load.seconds <= 0 && load.bytes < WIRE_BLOCK))
        die_usage();
}

int main(int argc, char **argv) {
    take_options(argc, argv);
    wire_init();
    wire_raise_limits();
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    load.conns = calloc(load.count, sizeof(*load.conns));
    if (load.poller < 0 || load.conns == NULL)
        wire_die("epoll");
    run();
    print_results();
    while (load.kind->stays && getchar() != EOF) {
    }
    return 0;
}
