/* Slow the disk of a process: LD_PRELOAD this library, and write how long a sync takes to the file
 * that SLOW_DISK names, as nanoseconds in a native 64-bit integer. A write to a file takes a
 * WRITES_PER_SYNC-th of that. The file is mapped, so that a change counts at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define WRITES_PER_SYNC 20

static volatile int64_t *mapped;

__attribute__((constructor)) static void map(void) {
    const char *wanted = getenv("SLOW_DISK");
    int file = wanted == NULL ? -1 : open(wanted, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED) mapped = found;
}

static void wait_for_disk(int fd, int64_t share) {
    struct stat what;
    int64_t wait = mapped == NULL ? 0 : *mapped / share;
    if (wait <= 0 || fstat(fd, &what) != 0 || !S_ISREG(what.st_mode)) return; /* a socket is no disk */
    struct timespec pause = {wait / SECOND, wait % SECOND};
    nanosleep(&pause, NULL);
}

#define SLOWED(type, name, share, parameters, ...) \
    type name parameters { \
        static type(*real) parameters; \
        if (real == NULL) real = dlsym(RTLD_NEXT, #name); \
        wait_for_disk(fd, share); \
        return real(__VA_ARGS__); \
    }

SLOWED(int, fsync, 1, (int fd), fd)
SLOWED(int, fdatasync, 1, (int fd), fd)
SLOWED(ssize_t, write, WRITES_PER_SYNC, (int fd, const void *from, size_t size), fd, from, size)
SLOWED(ssize_t, writev, WRITES_PER_SYNC, (int fd, const struct iovec *from, int count), fd, from, count)
SLOWED(ssize_t, pwrite, WRITES_PER_SYNC, (int fd, const void *from, size_t size, off_t at), fd, from, size, at)
SLOWED(ssize_t, pwrite64, WRITES_PER_SYNC, (int fd, const void *from, size_t size, off64_t at), fd, from, size, at)
SLOWED(ssize_t, pwritev, WRITES_PER_SYNC, (int fd, const struct iovec *from, int count, off_t at), fd, from, count, at)
SLOWED(ssize_t, pwritev64, WRITES_PER_SYNC, (int fd, const struct iovec *from, int count, off64_t at), fd, from, count,
       at)
