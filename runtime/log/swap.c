/* swap.c - putting a compacted segment in the place of its sources, and how far compaction came.
 *
 * The file `compact` is replaced as a whole (written beside, synced, renamed, directory synced) and says how
 * far the log is compacted, where offsets may have gaps, and whether a swap has begun. A swap:
 *
 *   1  <base>.log.cleaned is written and synced
 *   2  `compact` says: [base, upto) becomes one segment of that size       from here on it will happen
 *   3  the indexes of base go, the .cleaned files get their names, the other sources go
 *   4  the directory is synced
 *   5  `compact` says: no swap
 *
 * Laws:  S1  up to 2 the sources are whole; from 2 on the new segment is. An open that finds a swap does 3 to
 *            5 again: each step does nothing when it has been done
 *        S2  an index never lies beside a log that it was not made for: it goes before the log comes
 *        S3  the file says `gaps` before there are any
 */
#include "log/inside.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

enum { STATE_MAGIC = 0x4d524c4b }; /* "MRLK" */

static const char *const suffixes[] = {".index", ".timeindex", ".log"};

void state_put(const struct compacted *c, char out[MR_LOG_STATE])
{
    memset(out, 0, MR_LOG_STATE);
    put32(out + 4, STATE_MAGIC);
    put64(out + 8, (uint64_t)c->clean);
    put64(out + 16, (uint64_t)c->gaps_below);
    put64(out + 24, (uint64_t)c->horizon);
    put64(out + 32, (uint64_t)c->base);
    put64(out + 40, (uint64_t)c->upto);
    put64(out + 48, (uint64_t)c->size);
    put32(out, mr_crc32c(0, out + 4, MR_LOG_STATE - 4));
}

static bool state_take(const char *p, size_t len, struct compacted *out)
{
    if (len != MR_LOG_STATE || get32(p) != mr_crc32c(0, p + 4, MR_LOG_STATE - 4) ||
        get32(p + 4) != STATE_MAGIC)
        return false;
    *out = (struct compacted){(int64_t)get64(p + 8),  (int64_t)get64(p + 16), (int64_t)get64(p + 24),
                              (int64_t)get64(p + 32), (int64_t)get64(p + 40), (int64_t)get64(p + 48)};
    return out->clean >= 0 && out->base >= -1 && (out->base < 0 || out->upto > out->base);
}

void cleaned_name(const struct mr_log *log, int64_t base, const char *suffix, char *out, size_t cap)
{
    char name[MR_LOG_NAME];
    (void)snprintf(name, sizeof name, "%020lld%s.cleaned", (long long)base, suffix);
    log_path(log, name, out, cap);
}

/* A segment's indexes, and its log too. What is not there is fine. */
mr_code swap_unlink(struct mr_log *log, int64_t base, bool with_log, struct mr_err *err)
{
    struct segment s = {.base = base};
    char path[4096];
    for (int i = 0; i < (with_log ? 3 : 2); i++) {
        log_name(log, &s, suffixes[i], path, sizeof path);
        mr_code rc = mr_unlink(log->world, path, err);
        if (rc && rc != MR_NOTFOUND)
            return rc;
    }
    mr_err_clear(err);
    return MR_OK;
}

/* Step 3 for the first source. */
mr_code swap_names(struct mr_log *log, int64_t base, struct mr_err *err)
{
    struct segment s = {.base = base};
    char from[4096], to[4096];
    struct mr_stat st;
    mr_code rc;
    cleaned_name(log, base, ".log", from, sizeof from);
    if ((rc = mr_stat_path(log->world, from, &st, err)) == MR_OK) {
        if ((rc = swap_unlink(log, base, false, err))) /* S2 */
            return rc;
        log_name(log, &s, ".log", to, sizeof to);
        rc = mr_rename(log->world, from, to, err);
    }
    if (rc && rc != MR_NOTFOUND)
        return rc;
    for (int i = 0; i < 2; i++) { /* without them they are built again when they are needed */
        cleaned_name(log, base, suffixes[i], from, sizeof from);
        log_name(log, &s, suffixes[i], to, sizeof to);
        (void)mr_rename(log->world, from, to, err);
    }
    mr_err_clear(err);
    return MR_OK;
}

/* ---- at open */

static void collect(void *arg, const char *name)
{
    struct mr_buf *names = arg;
    (void)mr_buf_put(names, name, strlen(name) + 1);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);
    return n >= e && strcmp(name + n - e, end) == 0;
}

/* The digits of "<20 digits>.log", -1: another file. */
static int64_t base_of(const char *name)
{
    int64_t base = 0;
    if (strlen(name) != 24 || strcmp(name + 20, ".log") != 0)
        return -1;
    for (int i = 0; i < 20; i++)
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(base, 10, &base) ||
            __builtin_add_overflow(base, name[i] - '0', &base))
            return -1;
    return base;
}

static mr_code finish_swap(struct mr_log *log, struct mr_err *err)
{
    struct compacted *c = &log->compacted;
    struct mr_buf names = {0};
    struct mr_stat st;
    char path[4096], state[MR_LOG_STATE];
    cleaned_name(log, c->base, ".log", path, sizeof path);
    mr_code rc = mr_stat_path(log->world, path, &st, err);
    if (rc == MR_OK && st.size != c->size)
        return mr_fail(err, MR_CORRUPT, "'%s' has %lld bytes but had %lld when it was synced: restore it",
                       path, (long long)st.size, (long long)c->size);
    if (rc && rc != MR_NOTFOUND)
        return rc;
    log_path(log, "clean", path, sizeof path); /* it would speak of the sources */
    rc = mr_unlink(log->world, path, err);
    if (!rc || rc == MR_NOTFOUND)
        rc = swap_names(log, c->base, err);
    if (!rc)
        rc = mr_dir_list(log->world, log->dir, collect, &names, err);
    for (size_t at = 0; at < names.len && !rc; at += strlen(names.p + at) + 1) {
        int64_t base = base_of(names.p + at);
        if (base > c->base && base < c->upto)
            rc = swap_unlink(log, base, true, err);
    }
    mr_buf_fini(&names);
    if (!rc)
        rc = mr_dir_sync(log->world, log->dir, err);
    if (rc)
        return rc;
    c->base = -1;
    state_put(c, state);
    log_path(log, "compact", path, sizeof path);
    return mr_file_replace(log->world, path, (struct mr_slice){state, sizeof state}, err);
}

mr_code swap_open(struct mr_log *log, struct mr_err *err)
{
    char path[4096], state[MR_LOG_STATE + 1];
    struct mr_file *f;
    size_t got = 0;
    log->compacted = (struct compacted){.horizon = -1, .base = -1};
    log_path(log, "compact", path, sizeof path);
    mr_code rc = mr_file_open(log->world, path, MR_FILE_READ, &f, err);
    if (rc) {
        mr_err_clear(err);
        return rc == MR_NOTFOUND ? MR_OK : rc;
    }
    rc = mr_file_read(f, state, sizeof state, 0, &got, err);
    mr_file_close(f);
    if (rc)
        return rc;
    if (!state_take(state, got, &log->compacted)) /* damaged: anything may have been compacted */
        log->compacted = (struct compacted){.gaps_below = INT64_MAX, .horizon = -1, .base = -1};
    return log->compacted.base >= 0 ? finish_swap(log, err) : MR_OK;
}

mr_code swap_tidy(struct mr_log *log, struct mr_err *err)
{
    struct mr_buf names = {0};
    char path[4096];
    mr_code rc = mr_dir_list(log->world, log->dir, collect, &names, err);
    for (size_t at = 0; at < names.len && !rc; at += strlen(names.p + at) + 1)
        if ((ends_with(names.p + at, ".cleaned") || ends_with(names.p + at, ".log.deleted")) &&
            strlen(names.p + at) < MR_LOG_NAME) {
            log_path(log, names.p + at, path, sizeof path);
            rc = mr_unlink(log->world, path, err);
        }
    mr_buf_fini(&names);
    return rc;
}
