/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: malloc, calloc and realloc that fail at random. A page shared with the test (the
 * file FAILMALLOC_CONTROL) says how often, and counts. Whose allocations fail is told by the
 * address that the call returns to: those of the library and of what it stands on. Spared are
 *
 *   - libuv's realloc: it is the table of its watchers, without which it aborts by design;
 *   - the dynamic linker and the program itself, which is only an example.
 *
 * Where in the library they failed is kept too, as offsets into it: which of its functions have met
 * a failure is for the test to find out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under the names that it exports for the like of us. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static const char *const names[] = {"libwstunnel.", "libuv.",         "libcjson.",
                                    "libwslay.",    "libmbedcrypto.", "libc."};

enum {
    OURS,
    UV,
    MODULES = sizeof(names) / sizeof(names[0]),
    SEGMENTS_MAX = 32,
    SITES_MAX = 1024,
    DEPTH = 6 /* callers that are kept of each */
};

/* What the test sees; all little numbers in the machine's order. */
typedef struct control {
    uint64_t per_million;    /* how many fail; 0: none */
    uint64_t random;         /* state of the generator: the seed at first */
    uint64_t calls[MODULES]; /* while per_million was not 0 */
    uint64_t failed[MODULES];
    uint64_t site_count;              /* may be more than there is room for */
    uint32_t sites[SITES_MAX][DEPTH]; /* each once: return addresses in the library, or 0 */
} control_t;

static control_t nothing;
static control_t *control = &nothing;

static struct {
    uintptr_t base, from, to;
    int module;
} segments[SEGMENTS_MAX];
static int segment_count;

static int add_module(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    const char *name = strrchr(info->dlpi_name, '/');
    name = name != NULL ? name + 1 : info->dlpi_name;
    for (int m = 0; m < (int)MODULES; m++) {
        if (strncmp(name, names[m], strlen(names[m])) != 0)
            continue;
        for (int i = 0; i < info->dlpi_phnum && segment_count < (int)SEGMENTS_MAX; i++) {
            const ElfW(Phdr) *p = &info->dlpi_phdr[i];
            if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0)
                continue;
            segments[segment_count].base = info->dlpi_addr;
            segments[segment_count].from = info->dlpi_addr + p->p_vaddr;
            segments[segment_count].to = info->dlpi_addr + p->p_vaddr + p->p_memsz;
            segments[segment_count++].module = m;
        }
    }
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAILMALLOC_CONTROL");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    dl_iterate_phdr(add_module, NULL);
    void *page = mmap(NULL, sizeof(control_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED)
        return;
    void *frame;
    backtrace(&frame, 1); /* it allocates when it is used for the first time */
    control = page;
}

/* splitmix64; threads may race for the state, which makes it no less random. */
static uint64_t next_random(void) {
    uint64_t z = __atomic_add_fetch(&control->random, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The segment of that address, or segment_count. */
static int find_segment(const void *address) {
    uintptr_t at = (uintptr_t)address;
    int i = 0;
    while (i < segment_count && !(at >= segments[i].from && at < segments[i].to))
        i++;
    return i;
}

/* Threads may both note the same place, no more. */
static void note_site(void) {
    void *frames[24];
    uint32_t site[DEPTH] = {0};
    int n = backtrace(frames, 24), depth = 0;
    for (int f = 0; f < n && depth < (int)DEPTH; f++) {
        int i = find_segment(frames[f]);
        if (i < segment_count && segments[i].module == OURS)
            site[depth++] = (uint32_t)((uintptr_t)frames[f] - segments[i].base);
    }
    uint64_t known = __atomic_load_n(&control->site_count, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < known && i < SITES_MAX; i++)
        if (memcmp(control->sites[i], site, sizeof(site)) == 0)
            return;
    uint64_t place = __atomic_fetch_add(&control->site_count, 1, __ATOMIC_RELAXED);
    if (place < SITES_MAX)
        memcpy(control->sites[place], site, sizeof(site));
}

static bool must_fail(const void *caller, bool is_realloc) {
    static __thread bool inside;
    uint64_t per_million = __atomic_load_n(&control->per_million, __ATOMIC_RELAXED);
    if (per_million == 0 || inside)
        return false;
    int i = find_segment(caller);
    if (i == segment_count || (segments[i].module == UV && is_realloc))
        return false;
    int module = segments[i].module;
    __atomic_add_fetch(&control->calls[module], 1, __ATOMIC_RELAXED);
    if (next_random() % 1000000 >= per_million)
        return false;
    __atomic_add_fetch(&control->failed[module], 1, __ATOMIC_RELAXED);
    inside = true;
    note_site();
    inside = false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return must_fail(__builtin_return_address(0), false) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return must_fail(__builtin_return_address(0), false) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return must_fail(__builtin_return_address(0), true) ? NULL : __libc_realloc(old, size);
}
