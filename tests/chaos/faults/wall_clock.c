/* Move the wall clock of a process: LD_PRELOAD this library, and write the difference to the file
 * that WALL_CLOCK names, as nanoseconds in a native 64-bit integer. The file is mapped, so that a
 * change counts at once. The monotonic clock stays the kernel's, as on a machine whose time is set.
 *
 * A wait until a moment of the wall clock ends at that moment of the moved one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile int64_t *mapped;
static char path[4096];

/* A fork gets its own environment, hence its own file, after it has begun. */
static int64_t ahead(void) {
    const char *wanted = getenv("WALL_CLOCK");
    if (wanted == NULL) return 0;
    if (mapped == NULL || strcmp(wanted, path) != 0) {
        int file = open(wanted, O_RDONLY | O_CLOEXEC);
        if (file < 0) return 0;
        void *found = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (found == MAP_FAILED) return 0;
        strncpy(path, wanted, sizeof path - 1);
        mapped = found;
    }
    return *mapped;
}

static int is_wall_clock(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

static struct timespec moved(struct timespec at, int64_t by) {
    int64_t total = at.tv_sec * SECOND + at.tv_nsec + by;
    if (total < 0) total = 0;
    return (struct timespec){total / SECOND, total % SECOND};
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (result == 0 && is_wall_clock(clock)) *at = moved(*at, ahead());
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

int timespec_get(struct timespec *at, int base) {
    clock_gettime(CLOCK_REALTIME, at);
    return base;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL) *at = now.tv_sec;
    return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (real == NULL) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    int monotonic = (cond->__data.__wrefs >> 1) & 1; /* glibc's nptl/pthread_cond_common.c */
    struct timespec then = monotonic ? *until : moved(*until, -ahead());
    return real(cond, mutex, &then);
}

/* Kafka's client waits with this one, which libfaketime 0.9.10 does not know. */
int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict until) {
    static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "cnd_timedwait");
    struct timespec then = moved(*until, -ahead());
    return real(cond, mutex, &then);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec then = moved(*until, -ahead());
    return real(semaphore, &then);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    if (real == NULL) real = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    struct timespec then = moved(*until, -ahead());
    return real(mutex, &then);
}
