/* SPDX-License-Identifier: MIT */
/*
 * Threads and owner share one block of memory under one mutex. It counts its users: the owner and
 * every thread that has not ended. It has no pointer to the context, and drops the async handle,
 * the only way back to the loop, when the owner lets go.
 *
 * A thread is idle, busy (in getaddrinfo) or has ended. The loop joins ended threads. Letting go
 * also joins the idle threads, which end at once, and detaches the busy ones.
 */
#include "lookup_threads.h"

#include "names.h"

#include <errno.h>
#include <string.h>
#include <wstunnel/error.h>

#if defined(_WIN32)
static void detach(uv_thread_t *id) {
    CloseHandle(*id);
}
#else
#include <pthread.h>

static void detach(uv_thread_t *id) {
    pthread_detach(*id);
}
#endif

typedef struct thread {
    wst__lookup_threads_t *shared;
    uv_thread_t id;
    bool started; /* and neither joined nor detached; for the owner only */
    bool busy, ended;
    uint64_t zone; /* of the look-up, while busy */
} thread_t;

struct wst__lookup_threads {
    wst_allocator_t allocator;
    uint64_t idle_ns;
    uv_mutex_t mutex; /* guards everything below */
    uv_cond_t wake;   /* there is a job, or the owner has let go */
    uv_async_t *done; /* NULL: the owner has let go */
    wst__list_t queue, finished;
    size_t idle, busy, coming; /* threads that wait; that look up; that have not begun to run */
    size_t users;
    unsigned limit;
    thread_t threads[];
};

/* The shortage that a look-up met, or 0: glibc reports an unknown name if it could not open its
 * files or had no memory for them. */
static int shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM ? uv_translate_sys_error(error)
                                                                 : 0;
}

static int error_of(int eai) {
    static const struct {
        int eai, error;
    } map[] = {
#ifdef EAI_ADDRFAMILY
        {EAI_ADDRFAMILY, UV_EAI_ADDRFAMILY},
#endif
#ifdef EAI_NODATA
        {EAI_NODATA, UV_EAI_NODATA},
#endif
#ifdef EAI_OVERFLOW
        {EAI_OVERFLOW, UV_EAI_OVERFLOW},
#endif
        {EAI_AGAIN, UV_EAI_AGAIN},
        {EAI_BADFLAGS, UV_EAI_BADFLAGS},
        {EAI_FAIL, UV_EAI_FAIL},
        {EAI_FAMILY, UV_EAI_FAMILY},
        {EAI_MEMORY, UV_EAI_MEMORY},
        {EAI_NONAME, UV_EAI_NONAME},
        {EAI_SERVICE, UV_EAI_SERVICE},
        {EAI_SOCKTYPE, UV_EAI_SOCKTYPE},
    };
    if (shortage(errno) != 0)
        return shortage(errno);
    for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
        if (map[i].eai == eai)
            return map[i].error;
#ifdef EAI_SYSTEM
    if (eai == EAI_SYSTEM && errno != 0)
        return uv_translate_sys_error(errno);
#endif
    return UV_EAI_FAIL;
}

int wst__getaddrinfo(struct addrinfo **out, const char *host, int flags) {
    /*
     * No AI_ADDRCONFIG: it ignores loopback addresses, so a name for ::1 would vanish on a machine
     * with an IPv4 network only. An unreachable address fails at once, and the dial tries the next.
     */
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    errno = 0;
    int eai = getaddrinfo(host, NULL, &hints, out);
    return eai == 0 ? 0 : error_of(eai);
}

static void free_job(const wst_allocator_t *allocator, wst__lookup_job_t *job) {
    if (job->info != NULL)
        freeaddrinfo(job->info);
    wst__free(allocator, job);
}

static void free_jobs(const wst_allocator_t *allocator, wst__list_t *jobs) {
    wst__list_t *node;
    while ((node = wst__list_first(jobs)) != NULL) {
        wst__list_remove(node);
        free_job(allocator, WST__CONTAINER(node, wst__lookup_job_t, node));
    }
}

static uint64_t ran_ms(const wst__lookup_job_t *job) {
    return job->begun_ns == 0 ? 0 : (uv_hrtime() - job->begun_ns) / 1000000;
}

/* Ends one use; called with the mutex held, and releases it. */
static void leave_threads(wst__lookup_threads_t *t) {
    bool last = --t->users == 0;
    uv_mutex_unlock(&t->mutex);
    if (!last)
        return;
    uv_cond_destroy(&t->wake);
    uv_mutex_destroy(&t->mutex);
    wst_allocator_t allocator = t->allocator;
    wst__free(&allocator, t);
}

/* Whether a look-up of that zone may begin. If not, one is running, and its thread looks again. */
static bool may_begin(const wst__lookup_threads_t *t, uint64_t zone) {
    size_t same = 0;
    for (unsigned i = 0; i < t->limit; i++)
        same += t->threads[i].busy && t->threads[i].zone == zone;
    return wst__zone_may_take(same, t->busy, t->limit);
}

/* The first job behind `after` (NULL: of all) that may begin; NULL: none. */
static wst__lookup_job_t *next_ready(wst__lookup_threads_t *t, wst__lookup_job_t *after) {
    uint64_t refused = 0; /* usually many of one zone wait in a row */
    bool any_refused = false;
    if (t->busy == t->limit)
        return NULL;
    for (wst__list_t *node = after != NULL ? after->node.next : t->queue.next; node != &t->queue;
         node = node->next) {
        wst__lookup_job_t *job = WST__CONTAINER(node, wst__lookup_job_t, node);
        if (any_refused && job->zone == refused)
            continue;
        if (may_begin(t, job->zone))
            return job;
        refused = job->zone;
        any_refused = true;
    }
    return NULL;
}

/* Waits for a job and begins it; NULL: the thread should end. */
static wst__lookup_job_t *next_job(wst__lookup_threads_t *t, thread_t *thread) {
    wst__lookup_job_t *job;
    while (t->done != NULL && (job = next_ready(t, NULL)) == NULL) {
        t->idle++;
        int status = uv_cond_timedwait(&t->wake, &t->mutex, t->idle_ns);
        t->idle--;
        if (status == UV_ETIMEDOUT && next_ready(t, NULL) == NULL)
            return NULL;
    }
    if (t->done == NULL)
        return NULL;
    wst__list_remove(&job->node);
    job->begun_ns = uv_hrtime();
    thread->busy = true;
    t->busy++;
    thread->zone = job->zone;
    return job;
}

static void run_thread(void *arg) {
    thread_t *thread = arg;
    wst__lookup_threads_t *t = thread->shared;
    uv_mutex_lock(&t->mutex);
    t->coming--;
    wst__lookup_job_t *job;
    while ((job = next_job(t, thread)) != NULL) {
        uv_mutex_unlock(&t->mutex);
        job->status = wst__getaddrinfo(&job->info, job->host, 0);
        uv_mutex_lock(&t->mutex);
        thread->busy = false;
        t->busy--;
        if (t->done == NULL) {
            free_job(&t->allocator, job);
            break;
        }
        job->ran_ms = ran_ms(job);
        wst__list_append(&t->finished, &job->node);
        uv_async_send(t->done);
    }
    thread->ended = true;
    if (t->done != NULL)
        uv_async_send(t->done);
    leave_threads(t);
}

int wst__lookup_threads_new(wst__lookup_threads_t **out, const wst_allocator_t *allocator,
                            unsigned limit, uint64_t idle_ms, uv_async_t *done) {
    wst__lookup_threads_t *t = wst__zalloc(allocator, sizeof(*t) + limit * sizeof(*t->threads));
    if (t == NULL)
        return WST_ENOMEM;
    int status = uv_mutex_init(&t->mutex);
    if (status == 0) {
        status = uv_cond_init(&t->wake);
        if (status != 0)
            uv_mutex_destroy(&t->mutex);
    }
    if (status != 0) {
        wst__free(allocator, t);
        return status;
    }
    t->allocator = *allocator;
    t->idle_ns = idle_ms * 1000000;
    t->done = done;
    wst__list_init(&t->queue);
    wst__list_init(&t->finished);
    t->users = 1;
    t->limit = limit;
    *out = t;
    return 0;
}

void wst__lookup_threads_let_go(wst__lookup_threads_t *t) {
    if (t == NULL)
        return;
    uv_mutex_lock(&t->mutex);
    t->done = NULL;
    free_jobs(&t->allocator, &t->queue);
    free_jobs(&t->allocator, &t->finished);
    uv_cond_broadcast(&t->wake);
    for (unsigned i = 0; i < t->limit; i++) {
        if (t->threads[i].busy) {
            detach(&t->threads[i].id);
            t->threads[i].started = false;
        }
    }
    uv_mutex_unlock(&t->mutex);
    for (unsigned i = 0; i < t->limit; i++)
        if (t->threads[i].started)
            uv_thread_join(&t->threads[i].id);
    uv_mutex_lock(&t->mutex);
    leave_threads(t);
}

/* Joins threads that have ended and only need to return. Called with the mutex held. */
static void reap(wst__lookup_threads_t *t) {
    for (unsigned i = 0; i < t->limit; i++) {
        thread_t *thread = &t->threads[i];
        if (thread->started && thread->ended) {
            uv_thread_join(&thread->id);
            thread->started = false;
        }
    }
}

/* Whether more jobs may begin than there are threads without one. */
static bool needs_thread(wst__lookup_threads_t *t) {
    size_t ready = 0, without = t->idle + t->coming;
    for (wst__lookup_job_t *job = NULL; ready <= without && (job = next_ready(t, job)) != NULL;)
        ready++;
    return ready > without;
}

/* Ensures that threads will run the jobs that may begin. Called with the mutex held. */
static int serve(wst__lookup_threads_t *t) {
    uv_cond_signal(&t->wake);
    if (!needs_thread(t))
        return 0;
    reap(t);
    unsigned i = 0;
    while (i < t->limit && t->threads[i].started)
        i++;
    if (i == t->limit)
        return 0;
    thread_t *thread = &t->threads[i];
    thread->shared = t;
    thread->busy = thread->ended = false;
    int status = uv_thread_create(&thread->id, run_thread, thread);
    if (status == 0) {
        thread->started = true;
        t->users++;
        t->coming++;
    }
    return t->users > 1 ? 0 : status;
}

int wst__lookup_threads_submit(wst__lookup_threads_t *t, wst__lookup_job_t **out, const char *host,
                               uint64_t zone, void *owner) {
    size_t size = strlen(host) + 1;
    wst__lookup_job_t *job = wst__zalloc(&t->allocator, sizeof(*job) + size);
    if (job == NULL)
        return WST_ENOMEM;
    memcpy(job->host, host, size);
    job->owner = owner;
    job->zone = zone;
    uv_mutex_lock(&t->mutex);
    wst__list_append(&t->queue, &job->node);
    int status = serve(t);
    if (status != 0) {
        wst__list_remove(&job->node);
        free_job(&t->allocator, job);
    } else {
        *out = job;
    }
    uv_mutex_unlock(&t->mutex);
    return status;
}

bool wst__lookup_threads_withdraw(wst__lookup_threads_t *t, wst__lookup_job_t *job) {
    uv_mutex_lock(&t->mutex);
    bool waiting = job->begun_ns == 0;
    if (waiting) {
        wst__list_remove(&job->node);
        free_job(&t->allocator, job);
    }
    uv_mutex_unlock(&t->mutex);
    return waiting;
}

uint64_t wst__lookup_threads_ran_ms(wst__lookup_threads_t *t, const wst__lookup_job_t *job) {
    uv_mutex_lock(&t->mutex);
    uint64_t ms = ran_ms(job);
    uv_mutex_unlock(&t->mutex);
    return ms;
}

wst__lookup_job_t *wst__lookup_threads_take(wst__lookup_threads_t *t) {
    uv_mutex_lock(&t->mutex);
    reap(t);
    (void)serve(t); /* a place that was given back may let jobs begin; if not, they wait on */
    wst__list_t *node = wst__list_first(&t->finished);
    if (node != NULL)
        wst__list_remove(node);
    uv_mutex_unlock(&t->mutex);
    return node != NULL ? WST__CONTAINER(node, wst__lookup_job_t, node) : NULL;
}

void wst__lookup_job_free(wst__lookup_threads_t *t, wst__lookup_job_t *job) {
    free_job(&t->allocator, job);
}
