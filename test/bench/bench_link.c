/* SPDX-License-Identifier: MIT */
/*
 * An emulated link: two network namespaces, joined by a TUN device in each, and this program
 * between the two devices. See `usage` for its options and output; lab/link.py runs it.
 *
 * The namespaces have no name and no process: they exist as long as this program, or a process that
 * entered one by the path in the ready line. The devices hand over TCP segments in runs of up to
 * 64 KiB, so that a packet costs two system calls where a wire would carry 44.
 */
#include "link_line.h"
#include "link_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <math.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEVICE  "link0"
#define SECOND  UINT64_C(1000000000)
#define LATE_NS UINT64_C(1000000)

enum {
    ENDS = 2,
    MTU = 1500,
    DEVICE_QUEUE = 10000, /* packets that wait until this program reads them */
    BATCH = 64,           /* packets read from one end before the other end has its turn */
    QUEUE_MIN = 128 << 10 /* of --queue-bdp: two of the longest runs of segments */
};

typedef struct settings {
    line_options_t line;
    double queue_bdp; /* 0: line.queue is given */
} settings_t;

typedef struct end {
    const char *name, *address;
    int namespace;
    int tun;
    int devices;      /* its /proc/net/dev */
    line_t line;      /* from here to the other end */
    uint64_t refused; /* packets from the other end that the kernel rejected */
} end_t;

typedef struct bench_link {
    end_t ends[ENDS];
    uint64_t late;         /* packets that were more than LATE_NS behind their time */
    uint64_t late_most_ns; /* the most that one was */
    int signals;
} bench_link_t;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("bench_link: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* Dies with the reason of a failed system call. */
static void check(int result, const char *what) {
    if (result < 0)
        die("%s: %s", what, strerror(errno));
}

/* Options ------------------------------------------------------------------------------------ */

static const char usage[] =
    "usage: bench_link [options]\n"
    "\n"
    "Joins two new network namespaces, \"near\" and \"far\", by an emulated link (MTU 1500, IPv4\n"
    "only). Needs /dev/net/tun, CAP_NET_ADMIN and CAP_SYS_ADMIN: root, or unshare -Urn.\n"
    "\n"
    "  --delay MS       one-way delay, 0 to 10000, up to three decimals (default 0)\n"
    "  --rate MBIT      10^6 bits of IP packets a second each way, 0.001 to 100000\n"
    "                   (default 1000)\n"
    "  --queue BYTES    length of the drop-tail queue each way, at least 1500\n"
    "  --queue-bdp N    the same as a multiple of rate x 2 x delay, and at least 128 KiB\n"
    "                   (default 1)\n"
    "  --loss PERCENT   random loss of packets each way, 0 to 100 (default 0), drawn before\n"
    "                   the queue; each TCP segment is a packet, as on a wire\n"
    "  --seed N         seed of the loss: N for near to far, N + 1 for far to near\n"
    "                   (default 1)\n"
    "  --help           print this text\n"
    "\n"
    "Prints a line of JSON when the link is up. \"namespace\" is a path for nsenter --net=PATH\n"
    "or setns(2):\n"
    "\n"
    "  {\"ready\": {\"near\": {\"address\": \"198.18.0.1\", \"namespace\": \"/proc/7/fd/4\"},\n"
    "   \"far\": {...}}}\n"
    "\n"
    "Prints another on SIGUSR1 and at the end:\n"
    "\n"
    "  {\"statistics\": {\"near\": {...}, \"far\": {...}, \"late\": 0, \"late_most_us\": 80}}\n"
    "\n"
    "  packets, bytes   sent by that end and delivered\n"
    "  lost, dropped    packets lost at random; dropped by the full queue\n"
    "  queue_most       most bytes in the queue\n"
    "  overflow         packets lost in that end's device because this program did not keep\n"
    "                   up; a measurement is valid only if this is 0\n"
    "  refused          packets rejected by the other end's kernel; the same\n"
    "  late             packets or runs of segments delivered more than 1 ms too late\n"
    "  late_most_us     the most that one was late, in microseconds\n"
    "\n"
    "On two cores shared with both ends of a TCP connection the link forwards 5 Gbit/s. The\n"
    "program runs under SCHED_FIFO where it may, so that the measured programs do not delay it.\n"
    "\n"
    "Ends at SIGTERM, SIGINT or the end of its standard input.\n";

static double number(const char *option, const char *text, double least, double most) {
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        die("%s: \"%s\" is not a number from %g to %g", option, text, least, most);
    return value;
}

static void take_option(settings_t *s, int option, const char *value) {
    switch (option) {
    case 'd':
        s->line.delay_ns = (uint64_t)llround(number("--delay", value, 0, 10000) * 1e6);
        break;
    case 'r':
        s->line.rate = (uint64_t)llround(number("--rate", value, 0.001, 100000) * 1e6);
        break;
    case 'q':
        s->line.queue = (uint64_t)number("--queue", value, MTU, 1e12);
        s->queue_bdp = 0;
        break;
    case 'b':
        s->queue_bdp = number("--queue-bdp", value, 0.001, 1000);
        break;
    case 'l':
        s->line.loss = number("--loss", value, 0, 100) / 100;
        break;
    case 's':
        s->line.seed = (uint64_t)number("--seed", value, 0, 1e15);
        break;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        exit(2);
    }
}

static uint64_t bdp_queue(const settings_t *s) {
    const double round_trip_s = 2 * (double)s->line.delay_ns / 1e9;
    const double bytes = s->queue_bdp * (double)s->line.rate / 8 * round_trip_s;
    return bytes < QUEUE_MIN ? QUEUE_MIN : (uint64_t)bytes;
}

static settings_t read_options(int argc, char **argv) {
    static const struct option options[] = {
        {"delay", required_argument, NULL, 'd'}, {"rate", required_argument, NULL, 'r'},
        {"queue", required_argument, NULL, 'q'}, {"queue-bdp", required_argument, NULL, 'b'},
        {"loss", required_argument, NULL, 'l'},  {"seed", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},        {0},
    };
    settings_t s = {.line = {.rate = UINT64_C(1000000000), .seed = 1}, .queue_bdp = 1};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        take_option(&s, option, optarg);
    if (optind < argc)
        die("unexpected argument \"%s\"; see --help", argv[optind]);
    if (s.queue_bdp > 0)
        s.line.queue = bdp_queue(&s);
    return s;
}

/* Namespaces and devices --------------------------------------------------------------------- */

static void write_setting(const char *path, const char *value) {
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return;
    check(fd, path);
    check((int)write(fd, value, strlen(value)), path);
    close(fd);
}

static struct ifreq request_for(const char *device) {
    struct ifreq request = {0};
    strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
    return request;
}

static void set_address(int sock, unsigned long what, const char *address) {
    struct ifreq request = request_for(DEVICE);
    struct sockaddr_in in = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&request.ifr_addr, &in, sizeof(in));
    check(ioctl(sock, what, &request), address);
}

static void bring_up(int sock, const char *device) {
    struct ifreq request = request_for(device);
    check(ioctl(sock, SIOCGIFFLAGS, &request), device);
    request.ifr_flags |= IFF_UP;
    check(ioctl(sock, SIOCSIFFLAGS, &request), device);
}

/* The network of the netmask is the route to the other end. */
static void configure(const char *address) {
    const int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq queue = request_for(DEVICE);
    check(sock, "socket");
    set_address(sock, SIOCSIFADDR, address);
    set_address(sock, SIOCSIFNETMASK, "255.255.255.252");
    queue.ifr_qlen = DEVICE_QUEUE;
    (void)ioctl(sock, SIOCSIFTXQLEN, &queue); /* refused in a user namespace: 500 have to do */
    bring_up(sock, "lo");
    bring_up(sock, DEVICE);
    close(sock);
}

static int open_tun(void) {
    struct ifreq request = request_for(DEVICE);
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    check(fd, "/dev/net/tun");
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    check(ioctl(fd, TUNSETIFF, &request), "TUNSETIFF");
    check(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4), "TUNSETOFFLOAD");
    return fd;
}

/* Leaves this program in the new namespace. Without IPv6 the kernel sends no packets of its own.
 */
static void open_end(end_t *e, const char *name, const char *address) {
    e->name = name;
    e->address = address;
    check(unshare(CLONE_NEWNET), "a network namespace");
    e->namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    check(e->namespace, "/proc/self/ns/net");
    write_setting("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    e->devices = open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
    check(e->devices, "/proc/self/net/dev");
    e->tun = open_tun();
    configure(address);
}

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    check(fd, "signalfd");
    return fd;
}

/* Goes before the measured programs where it may: a wire does not wait for a processor. */
static void keep_time(void) {
    const struct sched_param first = {.sched_priority = 1};
    prctl(PR_SET_TIMERSLACK, 1); /* nanosecond, instead of 50,000 */
    (void)sched_setscheduler(0, SCHED_FIFO, &first);
}

static void open_link(bench_link_t *l, const settings_t *s) {
    line_options_t options = s->line;
    open_end(&l->ends[0], "near", "198.18.0.1");
    open_end(&l->ends[1], "far", "198.18.0.2");
    for (int i = 0; i < ENDS; i++, options.seed++)
        line_init(&l->ends[i].line, &options);
    l->signals = open_signals();
    keep_time();
}

static void close_link(bench_link_t *l) {
    for (int i = 0; i < ENDS; i++) {
        line_free(&l->ends[i].line);
        close(l->ends[i].tun);
        close(l->ends[i].devices);
        close(l->ends[i].namespace);
    }
    close(l->signals);
}

/* What it prints ----------------------------------------------------------------------------- */

static void print_ready(const bench_link_t *l) {
    for (int i = 0; i < ENDS; i++)
        printf("%s\"%s\": {\"address\": \"%s\", \"namespace\": \"/proc/%d/fd/%d\"}",
               i == 0 ? "{\"ready\": {" : ", ", l->ends[i].name, l->ends[i].address, (int)getpid(),
               l->ends[i].namespace);
    puts("}}");
    fflush(stdout);
}

/* Packets that the device dropped because its queue was full: the 12th figure of its line. */
static uint64_t overflow(const end_t *e) {
    char text[4096];
    const ssize_t len = pread(e->devices, text, sizeof(text) - 1, 0);
    check((int)len, "/proc/self/net/dev");
    text[len] = '\0';
    char *at = strstr(text, DEVICE ":");
    uint64_t value = 0;
    at = at != NULL ? at + strlen(DEVICE ":") : text + len;
    for (int i = 0; i < 12; i++)
        value = strtoull(at, &at, 10);
    return value;
}

static void print_end(const end_t *e, const end_t *other) {
    const line_stats_t *s = &e->line.stats;
    printf("\"%s\": {\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"dropped\": %" PRIu64 ", \"queue_most\": %" PRIu64 ", \"overflow\": %" PRIu64
           ", \"refused\": %" PRIu64 "}, ",
           e->name, s->packets, s->bytes, s->lost, s->dropped, s->queue_most, overflow(e),
           other->refused);
}

static void print_statistics(const bench_link_t *l) {
    fputs("{\"statistics\": {", stdout);
    print_end(&l->ends[0], &l->ends[1]);
    print_end(&l->ends[1], &l->ends[0]);
    printf("\"late\": %" PRIu64 ", \"late_most_us\": %" PRIu64 "}}\n", l->late,
           l->late_most_ns / 1000);
    fflush(stdout);
}

/* Packets ------------------------------------------------------------------------------------ */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* Returns whether there may be more. */
static bool receive_from(end_t *e) {
    for (int i = 0; i < BATCH; i++) {
        uint8_t *space = line_space(&e->line);
        if (space == NULL)
            die("out of memory");
        const ssize_t len = read(e->tun, space, PACKET_MAX);
        if (len < 0 && errno == EAGAIN)
            return false;
        check((int)len, DEVICE);
        if (!line_push(&e->line, now_ns(), (size_t)len))
            die("out of memory");
    }
    return true;
}

static void deliver_to(bench_link_t *l, end_t *e, const uint8_t *data, size_t len, uint64_t late) {
    if (write(e->tun, data, len) != (ssize_t)len)
        e->refused++;
    l->late += late > LATE_NS;
    if (late > l->late_most_ns)
        l->late_most_ns = late;
}

/* Delivers what is due. Returns when the next packet is, or UINT64_MAX. */
static uint64_t deliver(bench_link_t *l, end_t *from, end_t *to) {
    const uint8_t *data;
    size_t len;
    uint64_t due = UINT64_MAX;
    for (int i = 0; (data = line_front(&from->line, &len, &due)) != NULL && i < BATCH; i++) {
        const uint64_t now = now_ns();
        if (due > now)
            return due;
        deliver_to(l, to, data, len, now - due);
        line_pop(&from->line);
    }
    return data != NULL ? due : UINT64_MAX;
}

/* Returns false if the link must end. */
static bool take_signals(const bench_link_t *l) {
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGUSR1)
            return false;
        print_statistics(l);
    }
    return true;
}

static bool stdin_ended(void) {
    char ignored[256];
    return read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0;
}

/* Waits for a packet, a signal or the time `due`. Returns false if the link must end. */
static bool wait_until(bench_link_t *l, uint64_t due) {
    struct pollfd fds[] = {
        {.fd = l->ends[0].tun, .events = POLLIN},
        {.fd = l->ends[1].tun, .events = POLLIN},
        {.fd = l->signals, .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    const uint64_t now = now_ns(), ns = due > now ? due - now : 0;
    const struct timespec timeout = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
    const int ready = ppoll(fds, 4, due == UINT64_MAX ? NULL : &timeout, NULL);
    if (ready < 0 && errno != EINTR)
        check(ready, "ppoll");
    if (ready <= 0)
        return true;
    return !(fds[2].revents != 0 && !take_signals(l)) && !(fds[3].revents != 0 && stdin_ended());
}

static void run(bench_link_t *l) {
    end_t *near = &l->ends[0], *far = &l->ends[1];
    uint64_t due = UINT64_MAX;
    while (wait_until(l, due)) {
        bool more = receive_from(near);
        more = receive_from(far) || more;
        const uint64_t there = deliver(l, near, far), back = deliver(l, far, near);
        due = more ? 0 : there < back ? there : back;
    }
}

int main(int argc, char **argv) {
    const settings_t settings = read_options(argc, argv);
    bench_link_t l = {0};
    open_link(&l, &settings);
    print_ready(&l);
    run(&l);
    print_statistics(&l);
    close_link(&l);
    return 0;
}
