/* SPDX-License-Identifier: MIT */
/* How many descriptors this process has open. */
#include "admin.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { COUNT_MAX = 1 << 16, COUNT_STEP = 256 };

/* Linux 6.2 and later give the number as the size of this directory. */
static bool ask_kernel(uint64_t *open) {
    struct stat info;
    if (stat("/proc/self/fd", &info) != 0 || info.st_size <= 0)
        return false;
    *open = (uint64_t)info.st_size;
    return true;
}

/* Elsewhere each descriptor up to COUNT_MAX is tried. */
static void try_some(wst__admin_count_t *c) {
    struct pollfd polled[COUNT_STEP];
    nfds_t count = 0;
    for (; count < COUNT_STEP && c->next < c->limit && c->next < COUNT_MAX; count++)
        polled[count] = (struct pollfd){.fd = (int)c->next++};
    if (poll(polled, count, 0) < 0)
        return;
    for (nfds_t i = 0; i < count; i++)
        c->open += (polled[i].revents & POLLNVAL) == 0;
}

bool wst__admin_count_descriptors(wst__admin_count_t *c) {
    if (c->limit == 0) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return false;
        c->limit = (uint64_t)limit.rlim_cur;
        if (ask_kernel(&c->open))
            return false;
    }
    try_some(c);
    return c->next < c->limit && c->next < COUNT_MAX;
}
