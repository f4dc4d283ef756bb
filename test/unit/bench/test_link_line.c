/* SPDX-License-Identifier: MIT */
/* One direction of the emulated link, in virtual time. */
#include "support.h"

#include "link_line.h"
#include "link_packet.h"

#include <linux/virtio_net.h>

enum { VIRTIO = sizeof(struct virtio_net_hdr), HEADERS = 40, MSS = 100 };

#define RATE       UINT64_C(8000000) /* bit/s: a microsecond a byte */
#define BYTE_NS    UINT64_C(1000)
#define DELAY      UINT64_C(5000000) /* ns */
#define HALF_OF_64 (UINT64_C(1) << 63)

static void open_line(line_t *line, uint64_t queue, double loss) {
    const line_options_t options = {
        .delay_ns = DELAY, .rate = RATE, .queue = queue, .loss = loss, .seed = 3};
    line_init(line, &options);
}

/* Packets ------------------------------------------------------------------------------------ */

/* A packet of `len` bytes, which carries `number`. */
static void push_plain(line_t *line, uint64_t now, size_t len, uint8_t number) {
    uint8_t *space = line_space(line);
    assert_non_null(space);
    memset(space, 0, VIRTIO);
    memset(space + VIRTIO, number, len);
    assert_true(line_push(line, now, VIRTIO + len));
}

static void put(uint8_t *at, size_t bytes, uint64_t value) {
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static uint64_t get(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* In one's complement: `total` and 16-bit words. */
static uint64_t sum(uint64_t total, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i += 2)
        total += get(data + i, 2);
    while (total > 0xffff)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

/* A run of TCP segments with `payload` bytes: byte n is n modulo 251, and so is its sequence. */
static size_t make_run(uint8_t *out, size_t payload) {
    struct virtio_net_hdr virtio = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                    .hdr_len = (uint16_t)(HEADERS + payload), /* of any length */
                                    .gso_size = MSS,
                                    .csum_start = 20,
                                    .csum_offset = 16};
    uint8_t *ip = out + VIRTIO, *tcp = ip + 20;
    memcpy(out, &virtio, VIRTIO);
    memset(ip, 0, HEADERS);
    put(ip, 1, 0x45);
    put(ip + 2, 2, HEADERS + payload);
    put(ip + 4, 2, 0xffff); /* the identification, which wraps */
    put(ip + 9, 1, 6);
    put(ip + 12, 4, 0xc6120001);
    put(ip + 16, 4, 0xc6120002);
    put(ip + 10, 2, ~sum(0, ip, 20));
    put(tcp + 4, 4, 0xffffffff); /* the sequence number, which wraps */
    put(tcp + 12, 1, 0x50);
    put(tcp + 13, 1, 0x99); /* CWR, ACK, PSH, FIN */
    put(tcp + 16, 2, sum(6 + 20 + payload, ip + 12, 8));
    for (size_t i = 0; i < payload; i++)
        ip[HEADERS + i] = (uint8_t)(i % 251);
    return VIRTIO + HEADERS + payload;
}

static void push_run(line_t *line, uint64_t now, size_t payload) {
    uint8_t *space = line_space(line);
    assert_non_null(space);
    assert_true(line_push(line, now, make_run(space, payload)));
}

/* Checks every header field of a packet that was cut out of make_run()'s. Returns its payload's
 * length and writes where that begins in the whole. */
static size_t check_cut(const uint8_t *packet, size_t len, size_t whole, size_t *begin) {
    const uint8_t *ip = packet + VIRTIO, *tcp = ip + 20;
    const size_t payload = len - VIRTIO - HEADERS;
    struct virtio_net_hdr virtio;
    memcpy(&virtio, packet, VIRTIO);
    *begin = (uint32_t)get(tcp + 4, 4) + 1;
    assert_true(virtio.hdr_len >= HEADERS && virtio.hdr_len <= HEADERS + payload);
    assert_int_equal(virtio.gso_size, payload > MSS ? MSS : 0);
    assert_int_equal(virtio.gso_type,
                     payload > MSS ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE);
    assert_int_equal(get(ip + 2, 2), HEADERS + payload);
    assert_int_equal(get(ip + 4, 2), (0xffff + *begin / MSS) & 0xffff);
    assert_int_equal(sum(0, ip, 20), 0xffff);
    assert_int_equal(tcp[13],
                     0x10 | (*begin == 0 ? 0x80 : 0) | (*begin + payload == whole ? 9 : 0));
    assert_int_equal(get(tcp + 16, 2), sum(6 + 20 + payload, ip + 12, 8));
    for (size_t i = 0; i < payload; i++)
        assert_int_equal(ip[HEADERS + i], (*begin + i) % 251);
    return payload;
}

/* The number and the time of the next packet. */
static void assert_arrives(line_t *line, uint8_t number, uint64_t at) {
    size_t len;
    uint64_t due;
    const uint8_t *packet = line_front(line, &len, &due);
    assert_non_null(packet);
    assert_int_equal(packet[VIRTIO], number);
    assert_int_equal(due, at);
    line_pop(line);
}

static void assert_empty(const line_t *line) {
    size_t len;
    uint64_t due;
    assert_null(line_front(line, &len, &due));
}

/* Tests -------------------------------------------------------------------------------------- */

static void test_packets_are_sent_one_after_the_other_and_delayed(void **state) {
    (void)state;
    line_t line;
    open_line(&line, 10000, 0);
    push_plain(&line, 0, 100, 1);
    push_plain(&line, 50 * BYTE_NS, 300, 2);
    push_plain(&line, 1000 * BYTE_NS, 100, 3);
    assert_arrives(&line, 1, 100 * BYTE_NS + DELAY);
    assert_arrives(&line, 2, 400 * BYTE_NS + DELAY);
    assert_arrives(&line, 3, 1100 * BYTE_NS + DELAY);
    assert_empty(&line);
    assert_int_equal(line.stats.packets, 3);
    assert_int_equal(line.stats.bytes, 500);
    assert_int_equal(line.stats.queue_most, 350);
    line_free(&line);
}

/* A rate that does not divide: each packet takes at least its time. */
static void test_the_rate_is_never_exceeded(void **state) {
    (void)state;
    const line_options_t options = {.rate = UINT64_C(7000000000), .queue = 1 << 20};
    line_t line;
    size_t len;
    uint64_t due = 0;
    line_init(&line, &options);
    for (uint8_t i = 0; i < 100; i++)
        push_plain(&line, 0, 41, i);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_non_null(line_front(&line, &len, &due));
        assert_true(due * 7 >= i * 41 * 8);
        line_pop(&line);
    }
    assert_true(due * 7 < 101 * 41 * 8 + 100 * 7);
    line_free(&line);
}

static void test_a_full_queue_drops(void **state) {
    (void)state;
    line_t line;
    open_line(&line, 250, 0);
    push_plain(&line, 0, 100, 1);
    push_plain(&line, 0, 100, 2);
    push_plain(&line, 0, 100, 3);            /* the tail is dropped */
    push_plain(&line, 0, 50, 4);             /* fits exactly */
    push_plain(&line, 99 * BYTE_NS, 100, 5); /* a byte too early */
    push_plain(&line, 100 * BYTE_NS, 100, 6);
    assert_arrives(&line, 1, 100 * BYTE_NS + DELAY);
    assert_arrives(&line, 2, 200 * BYTE_NS + DELAY);
    assert_arrives(&line, 4, 250 * BYTE_NS + DELAY);
    assert_arrives(&line, 6, 350 * BYTE_NS + DELAY);
    assert_empty(&line);
    assert_int_equal(line.stats.dropped, 2);
    assert_int_equal(line.stats.queue_most, 250);
    line_free(&line);
}

/* Through many blocks, which are used again. */
static void test_the_order_stays(void **state) {
    (void)state;
    line_t line;
    size_t len;
    uint64_t random = 1, due, last = 0, in = 0, out = 0;
    open_line(&line, 1 << 30, 0);
    while (out < 20000) {
        if (in < 20000 && test_random(&random) < HALF_OF_64 + HALF_OF_64 / 8)
            push_plain(&line, in, 20 + test_random(&random) % 1480, (uint8_t)in), in++;
        const uint8_t *packet = line_front(&line, &len, &due);
        if (packet == NULL || (in < 20000 && test_random(&random) > HALF_OF_64))
            continue;
        assert_int_equal(packet[VIRTIO], out % 256);
        assert_int_equal(packet[len - 1], out % 256);
        assert_true(due >= last);
        last = due;
        line_pop(&line);
        out++;
    }
    assert_empty(&line);
    line_free(&line);
}

/* By a splitmix64 of the test's own. */
static bool is_lost(uint64_t *state, double loss) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (double)((z ^ z >> 31) >> 11) / (double)(UINT64_C(1) << 53) < loss;
}

static void test_losses_are_those_of_the_seed(void **state) {
    (void)state;
    line_t line;
    uint64_t seed = 3, lost = 0;
    open_line(&line, 1 << 20, 0.1);
    for (size_t i = 0; i < 1000; i++)
        push_plain(&line, 0, 40, (uint8_t)i);
    for (size_t i = 0; i < 1000; i++) {
        if (is_lost(&seed, 0.1))
            lost++;
        else
            assert_arrives(&line, (uint8_t)i, (i + 1 - lost) * 40 * BYTE_NS + DELAY);
    }
    assert_empty(&line);
    assert_int_equal(line.stats.lost, lost);
    assert_true(lost > 50 && lost < 150);
    line_free(&line);
}

static void test_segments_stay_together(void **state) {
    (void)state;
    line_t line;
    size_t len, begin;
    uint64_t due;
    open_line(&line, 1 << 20, 0);
    push_run(&line, 0, 7 * MSS + 30);
    const uint8_t *packet = line_front(&line, &len, &due);
    assert_int_equal(len, VIRTIO + HEADERS + 7 * MSS + 30);
    assert_int_equal(check_cut(packet, len, 7 * MSS + 30, &begin), 7 * MSS + 30);
    assert_int_equal(begin, 0);
    assert_int_equal(due, (8 * HEADERS + 7 * MSS + 30) * BYTE_NS + DELAY);
    line_pop(&line);
    assert_int_equal(line.stats.packets, 8);
    assert_int_equal(line.stats.bytes, 8 * HEADERS + 7 * MSS + 30);
    line_free(&line);
}

/* Every payload that survived came once, in order; the others are those of the seed. */
static void test_segments_are_lost_alone(void **state) {
    (void)state;
    line_t line;
    size_t len, begin;
    uint64_t due, seed = 3;
    open_line(&line, 1 << 30, 0.3);
    for (size_t payload = 1; payload < 40 * MSS; payload += 37) {
        push_run(&line, 0, payload);
        const uint8_t *packet = line_front(&line, &len, &due);
        size_t left = 0; /* of the packet at the front */
        for (size_t at = 0; at < payload; at += MSS) {
            const size_t segment = payload - at < MSS ? payload - at : MSS;
            if (is_lost(&seed, 0.3)) {
                assert_int_equal(left, 0);
                continue;
            }
            if (left == 0) {
                left = payload > MSS ? check_cut(packet, len, payload, &begin) : payload;
                assert_true(payload <= MSS || begin == at);
            }
            left -= segment;
            if (left == 0) {
                line_pop(&line);
                packet = line_front(&line, &len, &due);
            }
        }
        assert_empty(&line);
    }
    line_free(&line);
}

/* The queue takes the first segments of a run and drops the rest. */
static void test_a_run_fits_in_part(void **state) {
    (void)state;
    line_t line;
    size_t len, begin;
    uint64_t due;
    open_line(&line, 3 * (HEADERS + MSS) + 20, 0);
    push_run(&line, 0, 5 * MSS);
    const uint8_t *packet = line_front(&line, &len, &due);
    assert_int_equal(check_cut(packet, len, 5 * MSS, &begin), 3 * MSS);
    assert_int_equal(begin, 0);
    line_pop(&line);
    assert_empty(&line);
    assert_int_equal(line.stats.packets, 3);
    assert_int_equal(line.stats.dropped, 2);
    line_free(&line);
}

/* Headers that lie about themselves: one segment, and nothing is read beyond the packet. */
static void test_malformed_runs_are_one_segment(void **state) {
    (void)state;
    uint8_t run[PACKET_MAX];
    const size_t whole = make_run(run, 3 * MSS);
    for (size_t len = 0; len <= whole; len++) {
        uint8_t *guarded = test_guarded(run, len);
        const packet_t p = packet_of(guarded, len);
        const size_t payload = len > VIRTIO + HEADERS ? len - VIRTIO - HEADERS : 0;
        assert_int_equal(p.segments, payload > 0 ? (payload + MSS - 1) / MSS : 1);
        test_guarded_free(guarded, len);
    }
    static const struct {
        size_t at;
        uint8_t value;
    } others[] = {
        {VIRTIO, 0x65},      /* not IPv4 */
        {VIRTIO, 0x44},      /* an IP header of 16 bytes */
        {VIRTIO + 9, 17},    /* not TCP */
        {VIRTIO + 32, 0x40}, /* a TCP header of 16 bytes */
        {1, 0},              /* not to be segmented */
        {1, 4},              /* for another protocol */
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        make_run(run, 3 * MSS);
        run[others[i].at] = others[i].value;
        assert_int_equal(packet_of(run, whole).segments, 1);
    }
    const size_t len = make_run(run, 30);
    run[VIRTIO + 32] = 0xf0; /* a TCP header of 60 bytes, beyond the end */
    assert_int_equal(packet_of(run, len).segments, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets_are_sent_one_after_the_other_and_delayed),
        cmocka_unit_test(test_the_rate_is_never_exceeded),
        cmocka_unit_test(test_a_full_queue_drops),
        cmocka_unit_test(test_the_order_stays),
        cmocka_unit_test(test_losses_are_those_of_the_seed),
        cmocka_unit_test(test_segments_stay_together),
        cmocka_unit_test(test_segments_are_lost_alone),
        cmocka_unit_test(test_a_run_fits_in_part),
        cmocka_unit_test(test_malformed_runs_are_one_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
