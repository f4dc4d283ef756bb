/* SPDX-License-Identifier: MIT */
#include "fake_getaddrinfo.h"

#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

enum { CALLS_MAX = 4096, NAME_SIZE = 32 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its destructor sees threads end */
static bool released;
static size_t calls, returned, stuck, threads;
static char names[CALLS_MAX][NAME_SIZE];

static void thread_ended(void *value) {
    (void)value;
    pthread_mutex_lock(&mutex);
    threads--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void make_key(void) {
    pthread_key_create(&key, thread_ended);
}

static bool starts(const char *host, const char *word) {
    return strncmp(host, word, strlen(word)) == 0;
}

static struct addrinfo *make_info(struct addrinfo *next, const void *address, socklen_t len) {
    struct addrinfo *info = calloc(1, sizeof(*info) + sizeof(struct sockaddr_storage));
    info->ai_addr = (struct sockaddr *)(info + 1);
    memcpy(info->ai_addr, address, len);
    info->ai_family = info->ai_addr->sa_family;
    info->ai_addrlen = len;
    info->ai_next = next;
    return info;
}

static struct addrinfo *make_ip4(struct addrinfo *next, uint32_t last) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = 7};
    in.sin_addr.s_addr = htonl(0xc0000200 + last);
    return make_info(next, &in, sizeof(in));
}

static struct addrinfo *make_ip6(const char *text, unsigned scope) {
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = 7, .sin6_scope_id = scope};
    return inet_pton(AF_INET6, text, &in.sin6_addr) == 1 ? make_info(NULL, &in, sizeof(in)) : NULL;
}

static int numeric(const char *host, struct addrinfo **out) {
    char text[NAME_SIZE] = "";
    size_t len = strcspn(host, "%");
    memcpy(text, host, len < NAME_SIZE ? len : NAME_SIZE - 1);
    *out = make_ip6(text, host[len] == '%' ? if_nametoindex(host + len + 1) : 0);
    return *out != NULL ? 0 : EAI_NONAME;
}

static int answer(const char *host, struct addrinfo **out) {
    struct sockaddr alien = {.sa_family = AF_UNIX};
    *out = NULL;
    if (starts(host, "none"))
        return EAI_NONAME;
    if (starts(host, "again") || starts(host, "stuck-again"))
        return EAI_AGAIN;
    if (starts(host, "fail"))
        return EAI_FAIL;
    if (starts(host, "system")) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (starts(host, "short")) {
        errno = starts(host, "short-memory") ? ENOMEM : EMFILE;
        return EAI_NONAME;
    }
    if (starts(host, "alien")) {
        *out = make_info(NULL, &alien, sizeof(alien));
    } else if (starts(host, "many")) {
        for (uint32_t last = 40; last > 0; last--)
            *out = make_ip4(*out, last);
    } else {
        *out = make_ip4(make_ip6("2001:db8::1", 0), 1);
    }
    return 0;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    (void)service;
    if (hints->ai_flags & AI_NUMERICHOST)
        return numeric(host, out);
    pthread_once(&once, make_key);
    pthread_mutex_lock(&mutex);
    if (pthread_getspecific(key) == NULL) {
        pthread_setspecific(key, &key);
        threads++;
    }
    strncpy(names[calls % CALLS_MAX], host, NAME_SIZE - 1);
    calls++;
    if (starts(host, "stuck") && !released) {
        stuck++;
        pthread_cond_broadcast(&changed);
        while (!released)
            pthread_cond_wait(&changed, &mutex);
        stuck--;
    }
    returned++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return answer(host, out);
}

void freeaddrinfo(struct addrinfo *info) {
    while (info != NULL) {
        struct addrinfo *next = info->ai_next;
        free(info);
        info = next;
    }
}

void fake_getaddrinfo_reset(void) {
    pthread_mutex_lock(&mutex);
    assert_int_equal(threads, 0);
    released = false;
    calls = returned = 0;
    pthread_mutex_unlock(&mutex);
}

void fake_getaddrinfo_release(void) {
    pthread_mutex_lock(&mutex);
    released = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

size_t fake_getaddrinfo_calls(const char *host) {
    size_t n = 0;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < calls; i++)
        n += strcmp(names[i], host) == 0;
    pthread_mutex_unlock(&mutex);
    return n;
}

void fake_getaddrinfo_wait_stuck(size_t n) {
    pthread_mutex_lock(&mutex);
    while (stuck < n)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

void fake_getaddrinfo_wait_returned(size_t n) {
    pthread_mutex_lock(&mutex);
    while (calls < n || calls - returned > stuck)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

void fake_getaddrinfo_wait_no_threads(void) {
    pthread_mutex_lock(&mutex);
    while (threads > 0)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}
