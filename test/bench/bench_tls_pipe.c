/* SPDX-License-Identifier: MIT */
/*
 * What mbedTLS moves without our library: a process writes records by mbedtls_ssl_write, another
 * one reads them by mbedtls_ssl_read and checks each byte. A TCP connection over loopback joins
 * them; the cipher suite is the one that our engine prefers.
 *
 *     bench_tls_pipe SECONDS
 *
 * Prints one JSON object. If a byte or the count is wrong, fails an assertion.
 */
#include "tls_raw.h"

#include <mbedtls/net_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 16384 };

typedef struct side {
    tls_raw_t raw;
    tls_end_t unused; /* the memory end that the socket replaces */
    mbedtls_net_context net;
} side_t;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* User and system time of this process, or of its children that have ended. */
static double cpu_s(int who) {
    struct rusage usage;
    assert_int_equal(getrusage(who, &usage), 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Records ------------------------------------------------------------------------------------ */

static uint8_t record[RECORD];

/* A record begins with its number. The rest is the same in each. */
static void fill_record(uint64_t number) {
    memcpy(record, &number, sizeof(number));
}

static void make_record(void) {
    uint32_t x = 2463534242;
    for (size_t i = 0; i < RECORD; i++) {
        x = x * 1664525 + 1013904223;
        record[i] = (uint8_t)(x >> 24);
    }
}

/* Writes records for so many seconds. Returns how many. */
static uint64_t write_records(mbedtls_ssl_context *ssl, double seconds) {
    uint64_t count = 0;
    for (double end = now_s() + seconds; count == 0 || now_s() < end; count++) {
        fill_record(count);
        for (size_t at = 0; at < RECORD;) {
            int n = mbedtls_ssl_write(ssl, record + at, RECORD - at);
            assert_true(n > 0);
            at += (size_t)n;
        }
    }
    assert_int_equal(mbedtls_ssl_close_notify(ssl), 0);
    return count;
}

/* Reads a record. Returns false at the end. */
static bool read_record(mbedtls_ssl_context *ssl, uint8_t out[RECORD]) {
    for (size_t at = 0; at < RECORD;) {
        int n = mbedtls_ssl_read(ssl, out + at, RECORD - at);
        if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY && at == 0)
            return false;
        assert_true(n > 0);
        at += (size_t)n;
    }
    return true;
}

/* Reads and checks records until their end. Returns how many. */
static uint64_t read_records(mbedtls_ssl_context *ssl) {
    static uint8_t got[RECORD];
    uint64_t count = 0;
    for (; read_record(ssl, got); count++) {
        fill_record(count);
        assert_memory_equal(got, record, RECORD);
    }
    return count;
}

/* The connection ----------------------------------------------------------------------------- */

static int suite[2];

static void restrict_suite(mbedtls_ssl_config *conf) {
    tls_raw_restrict(conf, suite);
}

/* The suite that our engine chooses when a client offers everything. */
static int preferred_suite(const tls_made_t *own) {
    const wst_tls_identity_t identity = tls_identity(own);
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = &identity, .identity_count = 1};
    wst__tls_engine_t *engine;
    tls_raw_t raw;
    tls_end_t ours;
    assert_int_equal(wst__tls_engine_server(&engine, &test_allocator, &options, NULL), 0);
    tls_raw_open(&raw, &ours, false, NULL, NULL);
    assert_int_equal(wst__tls_conn_new(&ours.conn, engine, &tls_end_io, &ours, NULL, NULL), 0);
    tls_raw_shake(&raw);
    assert_int_equal(raw.end.status, 0);
    int id = mbedtls_ssl_get_ciphersuite_id(mbedtls_ssl_get_ciphersuite(&raw.ssl));
    tls_raw_close(&raw);
    wst__tls_engine_free(engine);
    return id;
}

/* Unlike socket_pair's, these sockets keep the kernel's buffers. */
static void connect_pair(mbedtls_net_context *a, mbedtls_net_context *b) {
    mbedtls_net_context listener;
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    char port[8];
    int yes = 1;
    mbedtls_net_init(&listener);
    mbedtls_net_init(a);
    mbedtls_net_init(b);
    assert_int_equal(mbedtls_net_bind(&listener, "127.0.0.1", "0", MBEDTLS_NET_PROTO_TCP), 0);
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&address, &len), 0);
    snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
    assert_int_equal(mbedtls_net_connect(a, "127.0.0.1", port, MBEDTLS_NET_PROTO_TCP), 0);
    assert_int_equal(mbedtls_net_accept(&listener, b, NULL, 0, NULL), 0);
    mbedtls_net_free(&listener);
    /* A record is shorter than a segment: Nagle's algorithm would hold it back. */
    assert_int_equal(setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
}

static void open_side(side_t *side, const tls_made_t *own) {
    tls_raw_open(&side->raw, &side->unused, own != NULL, own, restrict_suite);
    mbedtls_ssl_set_bio(&side->raw.ssl, &side->net, mbedtls_net_send, mbedtls_net_recv, NULL);
    assert_int_equal(mbedtls_net_set_nonblock(&side->net), 0);
}

/* Shakes hands in turns; afterwards the sockets block. */
static void shake(side_t *client, side_t *server) {
    side_t *sides[] = {client, server};
    int status[] = {MBEDTLS_ERR_SSL_WANT_READ, MBEDTLS_ERR_SSL_WANT_READ};
    for (int i = 0; status[0] != 0 || status[1] != 0; i = !i) {
        if (status[i] != 0)
            status[i] = mbedtls_ssl_handshake(&sides[i]->raw.ssl);
        assert_true(status[i] == 0 || status[i] == MBEDTLS_ERR_SSL_WANT_READ);
    }
    assert_int_equal(mbedtls_net_set_block(&client->net), 0);
    assert_int_equal(mbedtls_net_set_block(&server->net), 0);
}

static void close_side(side_t *side) {
    mbedtls_net_free(&side->net);
    tls_raw_close(&side->raw);
}

/* The run ------------------------------------------------------------------------------------ */

/* The reader, in a process of its own; it ends with 0 if it has read all that was written. */
static pid_t start_reader(side_t *reader, const int counted[2]) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    uint64_t count = read_records(&reader->raw.ssl), expected = 0;
    ssize_t n = read(counted[0], &expected, sizeof(expected));
    _exit(n == sizeof(expected) && count == expected ? 0 : 1);
}

/* Moves records from one side to the other one and prints the result. */
static void run(side_t *writer, side_t *reader, double seconds) {
    int counted[2], status;
    assert_int_equal(pipe(counted), 0);
    pid_t pid = start_reader(reader, counted);
    double begun = now_s(), cpu = cpu_s(RUSAGE_SELF);
    uint64_t count = write_records(&writer->raw.ssl, seconds);
    assert_int_equal(write(counted[1], &count, sizeof(count)), sizeof(count));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    double took = now_s() - begun;
    cpu = cpu_s(RUSAGE_SELF) - cpu + cpu_s(RUSAGE_CHILDREN);
    printf("{\"suite\": \"%s\", \"seconds\": %.6f, \"bytes\": %llu, \"cpu_s\": %.6f}\n",
           mbedtls_ssl_get_ciphersuite(&writer->raw.ssl), took, (unsigned long long)count * RECORD,
           cpu);
}

int main(int argc, char **argv) {
    static tls_made_t root, leaf;
    static side_t client, server;
    double seconds = argc == 2 ? strtod(argv[1], NULL) : 0;
    if (seconds <= 0) {
        fputs("usage: bench_tls_pipe SECONDS\n", stderr);
        return 2;
    }
    tls_make(&root, &(tls_spec_t){.subject = "CN=Root", .ca = true}, NULL);
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=leaf", .names = "dns:server.example"}, &root);
    make_record();
    suite[0] = preferred_suite(&leaf);
    connect_pair(&client.net, &server.net);
    open_side(&client, NULL);
    open_side(&server, &leaf);
    shake(&client, &server);
    run(&client, &server, seconds);
    close_side(&client);
    close_side(&server);
    tls_made_free(&root);
    tls_made_free(&leaf);
    return 0;
}
