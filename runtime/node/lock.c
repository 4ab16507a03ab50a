/* lock.c - a data directory belongs to one process at a time. The kernel lets go of the lock when that
 * process ends, however it ends. */
#include "node/node_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

mr_code mr_data_lock(const char *data_dir, int *fd, struct mr_err *err)
{
    char path[4096], text[24] = "";
    (void)snprintf(path, sizeof path, "%s/lock", data_dir);
    int f = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f < 0) {
        int sys = errno;
        mr_code rc =
            mr_fail(err, sys == ENOSPC ? MR_NOSPACE : MR_IO, "cannot open '%s': %s", path, strerror(sys));
        if (err)
            err->sys = sys;
        return rc;
    }
    if (flock(f, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(f, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        (void)close(f);
        return mr_fail(err, MR_EXISTS,
                       "data directory '%s' is in use by process %ld; stop it, or choose another with --data",
                       data_dir, strtol(text, NULL, 10));
    }
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(f, 0) != 0 || pwrite(f, text, (size_t)len, 0) != len) {
        int sys = errno;
        (void)close(f);
        return mr_fail(err, sys == ENOSPC ? MR_NOSPACE : MR_IO, "cannot write '%s': %s", path, strerror(sys));
    }
    *fd = f;
    return MR_OK;
}
