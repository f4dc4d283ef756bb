/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t live, bytes, countdown;
static bool failed;
static const char *watched;
static size_t spilled;

static bool holds_watched(const char *block) {
    size_t size = malloc_usable_size((void *)(uintptr_t)block), len = strlen(watched);
    for (size_t i = 0; i + len <= size; i++)
        if (memcmp(block + i, watched, len) == 0)
            return true;
    return false;
}

static size_t bytes_of(void *block) {
    return block != NULL ? malloc_usable_size(block) + sizeof(size_t) : 0;
}

static bool fails_now(void) {
    if (countdown == 0 || --countdown > 0)
        return false;
    failed = true;
    return true;
}

/* The block, asked for in the size that it has, without what others left in there. */
static void *overwritten(void *block) {
    size_t size = malloc_usable_size(block);
    void *whole = realloc(block, size);
    if (whole == NULL)
        return block;
    memset(whole, 0xa5, size);
    return whole;
}

static void *counting_malloc(size_t size, void *user_data) {
    (void)user_data;
    if (fails_now())
        return NULL;
    void *ptr = malloc(size);
    live += ptr != NULL;
    if (watched != NULL && ptr != NULL)
        ptr = overwritten(ptr);
    bytes += bytes_of(ptr);
    return ptr;
}

static void *counting_realloc(void *ptr, size_t size, void *user_data) {
    (void)user_data;
    if (fails_now())
        return NULL;
    size_t before = bytes_of(ptr);
    void *moved = realloc(ptr, size);
    live += ptr == NULL && moved != NULL;
    if (moved != NULL)
        bytes += bytes_of(moved) - before;
    return moved;
}

static void counting_free(void *ptr, void *user_data) {
    (void)user_data;
    if (watched != NULL && ptr != NULL && holds_watched(ptr))
        spilled++;
    live -= ptr != NULL;
    bytes -= bytes_of(ptr);
    free(ptr);
}

const wst_allocator_t test_allocator = {counting_malloc, counting_realloc, counting_free, NULL};

void test_alloc_fail(size_t n) {
    countdown = n;
    failed = false;
}

bool test_alloc_failed(void) {
    return failed;
}

size_t test_alloc_live(void) {
    return live;
}

size_t test_alloc_bytes(void) {
    return bytes;
}

void test_alloc_watch(const char *secret) {
    watched = secret;
    spilled = 0;
}

size_t test_alloc_spilled(void) {
    return spilled;
}

size_t test_alloc_each(void (*scenario)(void *arg), void *arg) {
    assert_int_equal(live, 0);
    for (size_t n = 1;; n++) {
        test_alloc_fail(n);
        scenario(arg);
        bool met = failed;
        test_alloc_fail(0);
        if (live != 0)
            fail_msg("%zu blocks live after failing allocation %zu", live, n);
        if (!met)
            return n - 1;
    }
}

static size_t guarded_size(size_t len) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (len + page - 1) / page * page + page;
}

uint8_t *test_guarded(const void *data, size_t len) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = guarded_size(len);
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    assert_int_equal(mprotect(base + size - page, page, PROT_NONE), 0);
    uint8_t *copy = base + size - page - len;
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

void test_guarded_free(uint8_t *copy, size_t len) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = guarded_size(len);
    munmap(copy + len + page - size, size);
}

uint64_t test_random(uint64_t *state) {
    uint64_t x = *state != 0 ? *state : 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

void test_seeds(uint64_t *first, uint64_t *count, uint64_t default_count) {
    const char *text = getenv("TEST_SEEDS");
    *first = 1;
    *count = default_count;
    if (text == NULL)
        return;
    char *end;
    *first = strtoull(text, &end, 10);
    *count = *end == ':' ? strtoull(end + 1, NULL, 10) : 1;
}
