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
} thread_t;

struct wst__lookup_threads {
    wst_allocator_t allocator;
    uint64_t idle_ns;
    uv_mutex_t mutex; /* guards everything below */
    uv_cond_t wake;   /* there is a job, or the owner has let go */
    uv_async_t *done; /* NULL: the owner has let go */
    wst__list_t queue, finished;
    size_t queued, idle;
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

/* Waits for a job; NULL: the thread should end. */
static wst__lookup_job_t *next_job(wst__lookup_threads_t *t) {
    while (t->done != NULL && wst__list_empty(&t->queue)) {
        t->idle++;
        int status = uv_cond_timedwait(&t->wake, &t->mutex, t->idle_ns);
        t->idle--;
        if (status == UV_ETIMEDOUT && wst__list_empty(&t->queue))
            return NULL;
    }
    if (t->done == NULL)
        return NULL;
    wst__list_t *node = wst__list_first(&t->queue);
    wst__list_remove(node);
    t->queued--;
    return WST__CONTAINER(node, wst__lookup_job_t, node);
}

static void run_thread(void *arg) {
    thread_t *thread = arg;
    wst__lookup_threads_t *t = thread->shared;
    uv_mutex_lock(&t->mutex);
    wst__lookup_job_t *job;
    while ((job = next_job(t)) != NULL) {
        job->begun = true;
        thread->busy = true;
        uv_mutex_unlock(&t->mutex);
        job->status = wst__getaddrinfo(&job->info, job->host, 0);
        uv_mutex_lock(&t->mutex);
        thread->busy = false;
        if (t->done == NULL) {
            free_job(&t->allocator, job);
            break;
        }
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

/* Ensures that a thread will run the job last queued. Called with the mutex held. */
static int start_thread(wst__lookup_threads_t *t) {
    if (t->idle >= t->queued) {
        uv_cond_signal(&t->wake);
        return 0;
    }
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
    }
    return t->users > 1 ? 0 : status;
}

int wst__lookup_threads_submit(wst__lookup_threads_t *t, wst__lookup_job_t **out, const char *host,
                               void *owner) {
    size_t size = strlen(host) + 1;
    wst__lookup_job_t *job = wst__zalloc(&t->allocator, sizeof(*job) + size);
    if (job == NULL)
        return WST_ENOMEM;
    memcpy(job->host, host, size);
    job->owner = owner;
    uv_mutex_lock(&t->mutex);
    wst__list_append(&t->queue, &job->node);
    t->queued++;
    int status = start_thread(t);
    if (status != 0) {
        wst__list_remove(&job->node);
        t->queued--;
        free_job(&t->allocator, job);
    } else {
        *out = job;
    }
    uv_mutex_unlock(&t->mutex);
    return status;
}

bool wst__lookup_threads_withdraw(wst__lookup_threads_t *t, wst__lookup_job_t *job) {
    uv_mutex_lock(&t->mutex);
    bool waiting = !job->begun;
    if (waiting) {
        wst__list_remove(&job->node);
        t->queued--;
        free_job(&t->allocator, job);
    }
    uv_mutex_unlock(&t->mutex);
    return waiting;
}

wst__lookup_job_t *wst__lookup_threads_take(wst__lookup_threads_t *t) {
    uv_mutex_lock(&t->mutex);
    reap(t);
    wst__list_t *node = wst__list_first(&t->finished);
    if (node != NULL)
        wst__list_remove(node);
    uv_mutex_unlock(&t->mutex);
    return node != NULL ? WST__CONTAINER(node, wst__lookup_job_t, node) : NULL;
}

void wst__lookup_job_free(wst__lookup_threads_t *t, wst__lookup_job_t *job) {
    free_job(&t->allocator, job);
}
