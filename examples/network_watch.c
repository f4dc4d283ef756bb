/* SPDX-License-Identifier: MIT */
/* Listens to the kernel's messages about addresses and routes (network_watch.h). */
#include "network_watch.h"

#ifdef __linux__

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GATHER_MS = 1000,
    READS = 16, /* messages of a turn */
    GROUPS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
             RTMGRP_IPV6_ROUTE
};

/* What is there ------------------------------------------------------------------------------ */

/* FNV-1a */
static uint64_t mix(uint64_t hash, const void *data, size_t len) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static uint64_t hash_of(const uv_interface_address_t *a) {
    uint64_t hash = mix(0xcbf29ce484222325, a->name, strlen(a->name));
    if (a->address.address4.sin_family == AF_INET)
        return mix(hash, &a->address.address4.sin_addr, sizeof(a->address.address4.sin_addr));
    return mix(hash, &a->address.address6.sin6_addr, sizeof(a->address.address6.sin6_addr));
}

static bool counts(const uv_interface_address_t *a) {
    bool link_local = a->address.address4.sin_family == AF_INET6 &&
                      IN6_IS_ADDR_LINKLOCAL(&a->address.address6.sin6_addr);
    return !a->is_internal && !link_local;
}

/* The addresses of the interfaces that are up, as a sum: their order does not matter. The kernel
 * also tells of addresses that are only confirmed, as those of IPv6 often are. */
static uint64_t sum_of_addresses(void) {
    uv_interface_address_t *all;
    int count;
    uint64_t sum = 0;
    if (uv_interface_addresses(&all, &count) != 0)
        return 0;
    for (int i = 0; i < count; i++)
        sum += counts(&all[i]) ? hash_of(&all[i]) : 0;
    uv_free_interface_addresses(all, count);
    return sum;
}

/* Changes ------------------------------------------------------------------------------------ */

static int watch(network_watch_t *w);

static void on_gathered(uv_timer_t *timer) {
    network_watch_t *w = timer->data;
    (void)watch(w); /* it has worked before */
    uint64_t addresses = sum_of_addresses();
    bool changed = w->route || addresses != w->addresses;
    w->route = false;
    w->addresses = addresses;
    if (changed)
        w->on_change(w->user_data);
}

static bool is_default_route(const struct nlmsghdr *header) {
    const struct rtmsg *route = NLMSG_DATA(header);
    return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*route)) && route->rtm_dst_len == 0 &&
           route->rtm_type == RTN_UNICAST && (route->rtm_flags & RTM_F_CLONED) == 0;
}

/* Whether the message may tell of a change; sets `route` if that is certain. */
static bool is_of_interest(const struct nlmsghdr *header, bool *route) {
    switch (header->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        if (!is_default_route(header))
            return false;
        *route = true;
        return true;
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return true;
    default:
        return false;
    }
}

/* False: nothing is waiting. */
static bool read_some(network_watch_t *w, bool *changed) {
    /* As the kernel's own tools: longer messages are cut, and read up to there. */
    static union {
        struct nlmsghdr header;
        char bytes[32768];
    } buffer;
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof(from);
    ssize_t len = recvfrom(w->fd, &buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &from_len);
    if (len < 0 && errno == ENOBUFS) /* there were too many to keep */
        *changed = w->route = true;
    if (len < 0)
        return errno == EINTR || errno == ENOBUFS;
    if (from.nl_pid != 0) /* not the kernel */
        return true;
    for (const struct nlmsghdr *h = &buffer.header; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len))
        *changed |= is_of_interest(h, &w->route);
    return true;
}

/* `status` < 0: messages were lost, and libuv has stopped watching; on_gathered goes on. */
static void on_readable(uv_poll_t *poll, int status, int events) {
    network_watch_t *w = poll->data;
    bool changed = status < 0;
    (void)events;
    for (int i = 0; i < READS && read_some(w, &changed); i++)
        continue;
    if (changed && !uv_is_active((uv_handle_t *)&w->timer))
        uv_timer_start(&w->timer, on_gathered, GATHER_MS, 0);
}

/* Also goes on watching. 0 or libuv's error. */
static int watch(network_watch_t *w) {
    return uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

/* Life --------------------------------------------------------------------------------------- */

/* A socket that hears of changes, or libuv's error. */
static int open_socket(void) {
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = GROUPS};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int status = uv_translate_sys_error(errno);
    close(fd);
    return status;
}

int network_watch_start(network_watch_t *w, uv_loop_t *loop, void (*on_change)(void *user_data),
                        void *user_data) {
    *w = (network_watch_t){.fd = -1, .on_change = on_change, .user_data = user_data};
    int fd = open_socket();
    if (fd < 0)
        return fd;
    int status = uv_poll_init(loop, &w->poll, fd);
    if (status != 0) {
        close(fd);
        return status;
    }
    w->fd = fd;
    w->addresses = sum_of_addresses();
    w->poll.data = w->timer.data = w;
    uv_timer_init(loop, &w->timer);
    uv_unref((uv_handle_t *)&w->poll);
    uv_unref((uv_handle_t *)&w->timer);
    status = watch(w);
    if (status != 0)
        network_watch_stop(w);
    return status;
}

static void on_poll_closed(uv_handle_t *poll) {
    network_watch_t *w = poll->data;
    close(w->fd);
    w->fd = -1;
}

void network_watch_stop(network_watch_t *w) {
    if (w->poll.data == NULL || uv_is_closing((uv_handle_t *)&w->poll))
        return;
    uv_close((uv_handle_t *)&w->poll, on_poll_closed);
    uv_close((uv_handle_t *)&w->timer, NULL);
}

#else

int network_watch_start(network_watch_t *w, uv_loop_t *loop, void (*on_change)(void *user_data),
                        void *user_data) {
    (void)w, (void)loop, (void)on_change, (void)user_data;
    return UV_ENOSYS;
}

void network_watch_stop(network_watch_t *w) {
    (void)w;
}

#endif
