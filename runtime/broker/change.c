/* change.c - topics are made, changed and deleted.
 *
 * A change is planned against what is (and refused, maybe), written, and then seen:
 *
 *   submitted --its turn, and its topic is not being changed--> planned
 *     --worker: files written and synced, renamed, one sync of the directory for all--> applied
 *     --a delete: partitions let go; worker: files removed--> done
 *
 * One job runs at a time and takes along what has come meanwhile, so that many changes share its syncs. The
 * calls that wait for the disk themselves do the same in one go.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/broker_inside.h"
#include "broker/record_file.h"
#include "broker/setting.h"

enum {
    JOB_MAX = 512,        /* changes of one job */
    SYNCED_APART_MAX = 8, /* files that are synced one by one; for more the disk is flushed as a whole */
    REMOVERS = 3,         /* workers that remove files at a time: each name waits for the disk's journal */
    OPENINGS_MS = 10,     /* a topic whose partitions are being opened is not deleted yet */
};

/* ------------------------------------------------------------------ removing */

/* A directory of plain files and all in it; absent is fine. */
static mr_code remove_dir(struct mr_world *w, const char *dir, struct mr_err *err)
{
    struct mr_buf names = {0};
    char path[MR_BROKER_PATH_BYTES];
    mr_code rc = mr_dir_list(w, dir, mr_collect_name, &names, err);
    for (size_t at = 0; rc == MR_OK && at < names.len; at += strlen(names.p + at) + 1) {
        int n = snprintf(path, sizeof path, "%s/%s", dir, names.p + at);
        mr_assert(n > 0 && (size_t)n < sizeof path);
        rc = mr_unlink(w, path, err);
    }
    mr_buf_fini(&names);
    if (rc == MR_OK)
        rc = mr_rmdir(w, dir, err);
    return rc == MR_NOTFOUND ? MR_OK : rc;
}

/* Its logs, then the file that says `deleted`. */
static mr_code remove_files(struct mr_world *w, const char *dir, const char *name, int32_t partitions,
                            const char *file, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    mr_code rc = MR_OK;
    for (int32_t i = 0; i < partitions; i++) {
        (void)snprintf(path, sizeof path, "%s/topics/%s-%d", dir, name, i);
        mr_code one = remove_dir(w, path, err);
        rc = rc ? rc : one;
    }
    return rc ? rc : mr_unlink(w, file, err);
}

mr_code mr_topic_finish_delete(struct mr_broker *b, struct topic *t, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    mr_topic_path(b->dir, t, path);
    return remove_files(b->world, b->dir, t->pub.name, t->pub.partitions, path, err);
}

/* ------------------------------------------------------------------ planning */

struct step {
    struct mr_change *change; /* NULL: nobody waits for it any more */
    enum mr_change_kind kind;
    enum mr_refusal refusal;
    struct topic *t; /* CREATE, and DELETE once it is applied: ours. NULL: nothing is to be written */
    struct mr_partition_config now;
    uint64_t given;
    int32_t partitions;
    struct place *place; /* GROW: the larger one */
    struct mr_buf text;
    char *path; /* of the file */
    mr_code rc;
    struct mr_err err;
};

enum mr_refusal mr_topic_name_check(struct mr_slice name, struct mr_err *err)
{
    bool ok = name.len >= 1 && name.len <= MR_TOPIC_NAME_MAX && !mr_slice_eq(name, MR_SLICE(".")) &&
              !mr_slice_eq(name, MR_SLICE(".."));
    for (size_t i = 0; ok && i < name.len; i++) {
        char c = name.p[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
             c == '_' || c == '-';
    }
    if (ok)
        return MR_REFUSE_NONE;
    int shown = name.len > 60 ? 60 : (int)name.len;
    (void)mr_fail(err, MR_BADCONF,
                  "topic name '%.*s' is not valid: 1 to %d of a-z A-Z 0-9 . _ -, and not . or ..", shown,
                  name.p ? name.p : "", MR_TOPIC_NAME_MAX);
    return MR_REFUSE_INVALID_TOPIC;
}

/* What can be known without asking the disk. */
static enum mr_refusal may_create(const struct mr_broker *b, struct mr_slice name, int32_t partitions,
                                  struct mr_err *err)
{
    enum mr_refusal r = mr_topic_name_check(name, err);
    int64_t all = b->partitions + b->reserved + partitions;
    if (r)
        return r;
    if (mr_map_get(&b->by_name, name) || mr_map_get(&b->coming, name)) {
        (void)mr_fail(err, MR_EXISTS, "topic '%.*s' exists already", MR_SLICE_ARG(name));
        return MR_REFUSE_TOPIC_EXISTS;
    }
    if (partitions < 1 || partitions > MR_TOPIC_PARTITIONS_MAX) {
        (void)mr_fail(err, MR_BADCONF, "topic '%.*s' with %d partitions: must be 1 to %d", MR_SLICE_ARG(name),
                      partitions, MR_TOPIC_PARTITIONS_MAX);
        return MR_REFUSE_INVALID_PARTITIONS;
    }
    if (all > b->config.partitions_max || b->count + b->coming.count >= MR_BROKER_TOPICS_MAX) {
        (void)mr_fail(err, MR_LIMIT,
                      "topic '%.*s' would bring the node to %lld partitions; partitions_max is %d",
                      MR_SLICE_ARG(name), (long long)all, b->config.partitions_max);
        return MR_REFUSE_POLICY;
    }
    return MR_REFUSE_NONE;
}

/* Somebody's data without its .topic file must not come back to life under a new topic. */
static mr_code nothing_left(struct mr_world *w, const char *dir, const char *name, int32_t partitions,
                            struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_stat st;
    for (int32_t i = 0; i < partitions; i++) {
        (void)snprintf(path, sizeof path, "%s/topics/%s-%d", dir, name, i);
        if (mr_stat_path(w, path, &st, NULL) == MR_OK)
            return mr_fail(err, MR_EXISTS,
                           "directory '%s' is left over from a topic of that name; move it away first", path);
    }
    return MR_OK;
}

static void fresh_id(struct mr_broker *b, uint8_t id[16])
{
    do {
        uint64_t r[2] = {mr_random(b->world), mr_random(b->world)};
        memcpy(id, r, 16);
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    } while (id[0] >> 2 == 62 ||
             mr_map_get(&b->by_id, mr_topic_id_key(id))); /* 62: base64 text would begin with - */
}

static enum mr_refusal no_memory(struct mr_slice name, struct mr_err *err)
{
    (void)mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
    return MR_REFUSE_STORAGE;
}

static enum mr_refusal plan_create(struct mr_broker *b, const struct mr_change *c, struct step *s,
                                   struct mr_err *err)
{
    int32_t partitions =
        c->partitions == -1 ? (int32_t)mr_broker_node_settings(b)->num_partitions : c->partitions;
    enum mr_refusal r = may_create(b, c->name, partitions, err);
    if (r)
        return r;
    struct topic *t = mr_topic_new(b, c->name, partitions);
    if (!t)
        return no_memory(c->name, err);
    for (size_t i = 0; !r && i < c->setting_count; i++)
        r = mr_setting_apply(&c->settings[i], &t->pub.config, &t->given, err);
    if (!r)
        r = mr_setting_agree(&t->pub.config, err);
    if (!r && nothing_left(b->world, b->dir, t->pub.name, c->check_only ? partitions : 1, err))
        r = MR_REFUSE_TOPIC_EXISTS; /* the worker looks at the others */
    if (!r && !c->check_only && !mr_map_put(&b->coming, mr_slice_of(t->pub.name), t, NULL))
        r = no_memory(c->name, err);
    if (r || c->check_only) {
        mr_topic_free(t);
        return r;
    }
    fresh_id(b, t->pub.id);
    b->reserved += partitions;
    s->t = t;
    return MR_REFUSE_NONE;
}

static enum mr_refusal plan_settings(struct mr_broker *b, const struct mr_change *c, struct topic *t,
                                     struct step *s, struct mr_err *err)
{
    enum mr_refusal r = MR_REFUSE_NONE;
    s->now = c->kind == MR_CHANGE_ALTER && c->replace ? b->defaults : t->pub.config;
    s->given = c->kind == MR_CHANGE_ALTER && c->replace ? 0 : t->given;
    for (size_t i = 0; !r && c->kind == MR_CHANGE_ALTER && i < c->setting_count; i++)
        r = c->settings[i].value.p
                ? mr_setting_apply(&c->settings[i], &s->now, &s->given, err)
                : mr_setting_clear(c->settings[i].name, &b->defaults, &s->now, &s->given, err);
    for (size_t i = 0; !r && c->kind == MR_CHANGE_CHANGE && i < c->change_count; i++)
        r = mr_setting_change(&c->changes[i], &b->defaults, &s->now, &s->given, err);
    return r ? r : mr_setting_agree(&s->now, err);
}

static enum mr_refusal plan_grow(struct mr_broker *b, const struct mr_change *c, const struct topic *t,
                                 struct step *s, struct mr_err *err)
{
    int32_t more = c->partitions - t->pub.partitions;
    if (more <= 0 || c->partitions > MR_TOPIC_PARTITIONS_MAX) {
        (void)mr_fail(err, MR_BADCONF, "topic '%s' has %d partitions; it can have more, up to %d",
                      t->pub.name, t->pub.partitions, MR_TOPIC_PARTITIONS_MAX);
        return MR_REFUSE_INVALID_PARTITIONS;
    }
    if (b->partitions + b->reserved + more > b->config.partitions_max) {
        (void)mr_fail(err, MR_LIMIT, "%d partitions for topic '%s' would exceed partitions_max (%d)",
                      c->partitions, t->pub.name, b->config.partitions_max);
        return MR_REFUSE_POLICY;
    }
    if (c->check_only)
        return MR_REFUSE_NONE;
    if (!(s->place = mr_alloc((size_t)c->partitions * sizeof *s->place))) {
        (void)mr_fail(err, MR_MEMORY, "no memory for %d partitions", c->partitions);
        return MR_REFUSE_STORAGE;
    }
    s->partitions = c->partitions;
    b->reserved += more;
    return MR_REFUSE_NONE;
}

/* As it will be. */
static bool step_text(const struct mr_broker *b, struct step *s)
{
    struct topic after = *s->t;
    char path[MR_BROKER_PATH_BYTES];
    if (s->kind == MR_CHANGE_ALTER || s->kind == MR_CHANGE_CHANGE) {
        after.pub.config = s->now;
        after.given = s->given;
    } else if (s->kind == MR_CHANGE_GROW) {
        after.pub.partitions = s->partitions;
    } else if (s->kind == MR_CHANGE_DELETE) {
        after.deleted = true;
    }
    mr_topic_path(b->dir, s->t, path);
    return (s->path = mr_strndup(path, strlen(path))) && mr_topic_text(&after, &s->text);
}

/* The plan is no more: carried out, or not. */
static void step_forget(struct mr_broker *b, struct step *s)
{
    if (s->t && b) {
        s->t->changing = s->t->going = false;
        if (s->kind == MR_CHANGE_CREATE) {
            (void)mr_map_remove(&b->coming, mr_slice_of(s->t->pub.name));
            b->reserved -= s->t->pub.partitions;
        } else if (s->kind == MR_CHANGE_GROW) {
            b->reserved -= s->partitions - s->t->pub.partitions;
        }
    }
    mr_buf_fini(&s->text);
    mr_free(s->path);
    mr_free(s->place);
    s->path = NULL;
    s->place = NULL;
}

static void plan(struct mr_broker *b, const struct mr_change *c, struct step *s)
{
    struct topic *t = mr_map_get(&b->by_name, c->name);
    s->kind = c->kind;
    if (c->kind == MR_CHANGE_CREATE) {
        s->refusal = plan_create(b, c, s, &s->err);
    } else if (!t) {
        (void)mr_fail(&s->err, MR_NOTFOUND, "no topic '%.*s'", MR_SLICE_ARG(c->name));
        s->refusal = MR_REFUSE_UNKNOWN_TOPIC;
    } else if (t->changing || (c->kind == MR_CHANGE_DELETE && t->openings)) {
        (void)mr_fail(&s->err, MR_AGAIN, "topic '%s' is being changed; try again", t->pub.name);
        s->refusal = MR_REFUSE_STORAGE;
    } else if (c->kind == MR_CHANGE_GROW) {
        s->refusal = plan_grow(b, c, t, s, &s->err);
    } else if (c->kind != MR_CHANGE_DELETE) {
        s->refusal = plan_settings(b, c, t, s, &s->err);
    }
    if (s->refusal || c->check_only)
        return;
    if (c->kind != MR_CHANGE_CREATE)
        s->t = t;
    s->t->changing = true;
    s->t->going = c->kind == MR_CHANGE_DELETE;
    if (step_text(b, s))
        return;
    s->refusal = no_memory(c->name, &s->err);
    step_forget(b, s);
    if (c->kind == MR_CHANGE_CREATE)
        mr_topic_free(s->t);
    s->t = NULL;
}

/* ------------------------------------------------------------------ applying */

static void configure(struct topic *t)
{
    for (int32_t i = 0; i < t->pub.partitions; i++)
        if (t->place[i].p)
            mr_partition_configure(t->place[i].p, &t->pub.config);
        else
            t->place[i].due = 0;
}

/* Whoever waits at a partition is woken, and must not find the topic again. */
static void let_go(struct mr_broker *b, struct topic *t)
{
    mr_assert(t->openings == 0);
    mr_catalogue_remove(b, t);
    for (int32_t i = 0; i < t->pub.partitions; i++) {
        struct mr_partition *p = t->place[i].p;
        t->place[i].p = NULL;
        b->open_count -= p != NULL;
        mr_partition_discard(p);
    }
}

/* It is on the disk: from here on it holds. false: no memory to know of a new one. */
static bool apply(struct mr_broker *b, struct step *s)
{
    struct topic *t = s->t;
    struct place *place = s->place;
    int32_t was = t->pub.partitions;
    if (s->kind == MR_CHANGE_CREATE && !mr_catalogue_add(b, t)) {
        (void)mr_unlink(b->world, s->path, NULL);
        s->rc = mr_fail(&s->err, MR_MEMORY, "no memory to know of it");
        return false;
    }
    s->place = NULL;
    step_forget(b, s);
    switch (s->kind) {
    case MR_CHANGE_CREATE:
        mr_setting_inherit(&b->defaults, t->given, &t->pub.config); /* they may have changed meanwhile */
        break;
    case MR_CHANGE_DELETE:
        let_go(b, t);
        break;
    case MR_CHANGE_GROW:
        memcpy(place, t->place, (size_t)was * sizeof *place);
        mr_free(t->place);
        t->place = place;
        t->pub.partitions = s->partitions;
        b->partitions += s->partitions - was;
        break;
    case MR_CHANGE_ALTER:
    case MR_CHANGE_CHANGE:
        t->pub.config = s->now;
        t->given = s->given;
        mr_setting_inherit(&b->defaults, t->given, &t->pub.config);
        configure(t);
        break;
    }
    return true;
}

static void failed(struct mr_broker *b, struct step *s)
{
    static const char *const doing[] = {"create", "delete", "change", "change", "change"};
    s->refusal = s->rc == MR_EXISTS ? MR_REFUSE_TOPIC_EXISTS : MR_REFUSE_STORAGE;
    if (s->rc != MR_EXISTS)
        mr_wrap(&s->err, "cannot %s topic '%s'", doing[s->kind], s->t->pub.name);
    step_forget(b, s);
    if (s->kind == MR_CHANGE_CREATE)
        mr_topic_free(s->t);
    s->t = NULL;
}

/* Its files are gone, or not all: it is deleted all the same, and the next start tries to finish. */
static void gone(struct mr_broker *b, struct step *s)
{
    if (s->rc) {
        char text[MR_ERR_TEXT];
        (void)snprintf(text, sizeof text, "topic '%s' is deleted but not all of its files: %.200s",
                       s->t->pub.name, s->err.text);
        mr_broker_tell(b, MR_WARN, text);
        mr_err_clear(&s->err);
    }
    if (b->deleted)
        b->deleted(b->deleted_arg, mr_slice_of(s->t->pub.name));
    mr_topic_free(s->t);
    s->t = NULL;
}

/* ------------------------------------------------------------------ now */

static enum mr_refusal run_now(struct mr_broker *b, const struct mr_change *c, const struct mr_topic **out,
                               struct mr_err *err)
{
    struct step s = {0};
    char path[MR_BROKER_PATH_BYTES];
    if (out)
        *out = NULL;
    plan(b, c, &s);
    if (s.t) {
        (void)snprintf(path, sizeof path, "%s", s.path);
        if (s.kind == MR_CHANGE_CREATE)
            s.rc = nothing_left(b->world, b->dir, s.t->pub.name, s.t->pub.partitions, &s.err);
        if (!s.rc)
            s.rc = mr_file_replace(b->world, path, (struct mr_slice){s.text.p, s.text.len}, &s.err);
        if (s.rc || !apply(b, &s)) {
            failed(b, &s);
        } else {
            if (s.kind == MR_CHANGE_DELETE) {
                s.rc = remove_files(b->world, b->dir, s.t->pub.name, s.t->pub.partitions, path, &s.err);
                gone(b, &s);
            }
            if (out && s.kind == MR_CHANGE_CREATE)
                *out = &s.t->pub;
        }
    }
    if (err)
        *err = s.err;
    return s.refusal;
}

enum mr_refusal mr_broker_create(struct mr_broker *b, struct mr_slice name, int32_t partitions,
                                 const struct mr_setting *settings, size_t setting_count, bool check_only,
                                 const struct mr_topic **out, struct mr_err *err)
{
    return run_now(b,
                   &(struct mr_change){.kind = MR_CHANGE_CREATE,
                                       .name = name,
                                       .partitions = partitions,
                                       .settings = settings,
                                       .setting_count = setting_count,
                                       .check_only = check_only},
                   out, err);
}

enum mr_refusal mr_broker_delete(struct mr_broker *b, struct mr_slice name, struct mr_err *err)
{
    return run_now(b, &(struct mr_change){.kind = MR_CHANGE_DELETE, .name = name}, NULL, err);
}

enum mr_refusal mr_broker_alter(struct mr_broker *b, struct mr_slice name, const struct mr_setting *settings,
                                size_t setting_count, bool replace, bool check_only, struct mr_err *err)
{
    return run_now(b,
                   &(struct mr_change){.kind = MR_CHANGE_ALTER,
                                       .name = name,
                                       .settings = settings,
                                       .setting_count = setting_count,
                                       .replace = replace,
                                       .check_only = check_only},
                   NULL, err);
}

enum mr_refusal mr_broker_change(struct mr_broker *b, struct mr_slice name,
                                 const struct mr_setting_change *changes, size_t count, bool check_only,
                                 struct mr_err *err)
{
    return run_now(b,
                   &(struct mr_change){.kind = MR_CHANGE_CHANGE,
                                       .name = name,
                                       .changes = changes,
                                       .change_count = count,
                                       .check_only = check_only},
                   NULL, err);
}

enum mr_refusal mr_broker_grow(struct mr_broker *b, struct mr_slice name, int32_t partitions, bool check_only,
                               struct mr_err *err)
{
    return run_now(
        b,
        &(struct mr_change){
            .kind = MR_CHANGE_GROW, .name = name, .partitions = partitions, .check_only = check_only},
        NULL, err);
}

/* ------------------------------------------------------------------ by a worker */

/* Outlives the broker when it must: then `broker` is NULL, and topics that are in nobody's table are ours. */
struct mr_job {
    struct mr_broker *broker;
    struct mr_world *world;
    size_t count, writes;
    bool removing;
    size_t removers; /* at work */
    struct remover {
        struct mr_job *job;
        size_t first; /* step; every REMOVERS-th from there on is its own */
    } remover[REMOVERS];
    char dir[MR_BROKER_PATH_BYTES / 2];
    struct step step[JOB_MAX];
};

static void begin_job(void *arg);

static mr_code write_beside(struct mr_world *w, struct step *s, const char *beside, bool sync)
{
    struct mr_file *f;
    mr_code rc = mr_file_open(w, beside, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &f, &s->err);
    if (rc)
        return rc;
    rc = mr_file_write(f, s->text.p, s->text.len, 0, &s->err);
    if (!rc && sync)
        rc = mr_file_sync(f, &s->err);
    mr_file_close(f);
    return rc;
}

static void write_work(void *arg) /* in a worker */
{
    struct mr_job *job = arg;
    struct mr_err err;
    char path[MR_BROKER_PATH_BYTES];
    bool apart = job->writes <= SYNCED_APART_MAX;
    for (size_t i = 0; i < job->count; i++) {
        struct step *s = &job->step[i];
        if (!s->t)
            continue;
        if (s->kind == MR_CHANGE_CREATE)
            s->rc = nothing_left(job->world, job->dir, s->t->pub.name, s->t->pub.partitions, &s->err);
        (void)snprintf(path, sizeof path, "%s.tmp", s->path);
        if (!s->rc)
            s->rc = write_beside(job->world, s, path, apart);
    }
    (void)snprintf(path, sizeof path, "%s/topics", job->dir);
    mr_code all = apart ? MR_OK : mr_disk_flush(job->world, path, &err);
    for (size_t i = 0; i < job->count; i++) {
        struct step *s = &job->step[i];
        if (!s->t)
            continue;
        (void)snprintf(path, sizeof path, "%s.tmp", s->path);
        if (!s->rc && all) {
            s->rc = all;
            s->err = err;
        }
        if (!s->rc)
            s->rc = mr_rename(job->world, path, s->path, &s->err);
        if (s->rc)
            (void)mr_unlink(job->world, path, NULL); /* only tidiness: the next try truncates it */
    }
    (void)snprintf(path, sizeof path, "%s/topics", job->dir);
    all = mr_dir_sync(job->world, path, &err);
    for (size_t i = 0; all && i < job->count; i++)
        if (job->step[i].t && !job->step[i].rc) {
            job->step[i].rc = all;
            job->step[i].err = err;
        }
}

static void remove_work(void *arg) /* in a worker */
{
    const struct remover *own = arg;
    struct mr_job *job = own->job;
    char path[MR_BROKER_PATH_BYTES];
    for (size_t i = own->first; i < job->count; i += REMOVERS) {
        struct step *s = &job->step[i];
        if (!s->t || s->kind != MR_CHANGE_DELETE)
            continue;
        mr_topic_path(job->dir, s->t, path);
        s->rc = remove_files(job->world, job->dir, s->t->pub.name, s->t->pub.partitions, path, &s->err);
    }
}

static void answer(struct step *s)
{
    struct mr_change *c = s->change;
    if (!c)
        return;
    s->change = NULL;
    c->step = NULL;
    c->pending = false;
    c->refusal = s->refusal;
    c->err = s->err;
    c->topic = s->kind == MR_CHANGE_CREATE && s->t && !s->refusal ? &s->t->pub : NULL;
    c->done(c);
}

static void job_free(struct mr_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        struct step *s = &job->step[i];
        step_forget(NULL, s);
        if (s->t && (s->kind == MR_CHANGE_CREATE || job->removing)) /* any other is the table's, and gone */
            mr_topic_free(s->t);
    }
    mr_free(job);
}

static void end_job(struct mr_job *job)
{
    struct mr_broker *b = job->broker;
    for (size_t i = 0; i < job->count; i++)
        if (job->step[i].t && job->step[i].kind == MR_CHANGE_DELETE)
            gone(b, &job->step[i]);
    for (size_t i = 0; i < job->count && !b->closing; i++)
        answer(&job->step[i]);
    b->job = NULL;
    mr_free(job);
    if (b->changes)
        mr_timer_set(b->world, &b->next_job, mr_now(b->world));
}

static void removed(void *arg, mr_code rc, int sys)
{
    struct mr_job *job = ((struct remover *)arg)->job;
    (void)sys;
    (void)rc;
    if (--job->removers)
        return;
    if (job->broker)
        end_job(job);
    else
        job_free(job);
}

static void written(void *arg, mr_code rc, int sys)
{
    struct mr_job *job = arg;
    struct mr_broker *b = job->broker;
    (void)sys;
    if (!b) {
        job_free(job);
        return;
    }
    for (size_t i = 0; i < job->count; i++) {
        struct step *s = &job->step[i];
        if (s->t) {
            s->rc = s->rc ? s->rc : rc;
            if (s->rc || !apply(b, s))
                failed(b, s);
        }
        if (s->t && s->kind == MR_CHANGE_DELETE)
            job->removing = true;
        else
            answer(s);
    }
    if (job->removing) {
        for (size_t i = 0; i < job->count; i++) /* all others are through: theirs are the table's */
            if (job->step[i].kind != MR_CHANGE_DELETE)
                job->step[i].t = NULL;
        job->removers = REMOVERS;
        for (size_t i = 0; i < REMOVERS; i++) {
            job->remover[i] = (struct remover){job, i};
            mr_work(b->world, remove_work, removed, &job->remover[i]);
        }
    } else {
        end_job(job);
    }
}

static void dequeue(struct mr_broker *b, struct mr_change *c)
{
    mr_assert(c->link);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    else
        b->changes_end = c->link;
    c->link = NULL;
    c->next = NULL;
}

static bool must_wait(const struct mr_broker *b, const struct mr_change *c)
{
    const struct topic *t = mr_map_get(&b->by_name, c->name);
    return t ? t->changing || (c->kind == MR_CHANGE_DELETE && t->openings)
             : mr_map_get(&b->coming, c->name) != NULL;
}

static void begin_job(void *arg)
{
    struct mr_broker *b = arg;
    if (b->job || !b->changes || b->closing)
        return;
    struct mr_job *job = mr_need(sizeof *job);
    job->broker = b;
    job->world = b->world;
    (void)snprintf(job->dir, sizeof job->dir, "%s", b->dir);
    while (b->changes && job->count < JOB_MAX && !must_wait(b, b->changes)) {
        struct mr_change *c = b->changes;
        struct step *s = &job->step[job->count++];
        dequeue(b, c);
        s->change = c;
        c->step = &s->change;
        plan(b, c, s);
        job->writes += s->t != NULL;
    }
    if (job->count == 0) {
        mr_free(job);
        mr_timer_set(b->world, &b->next_job, mr_now(b->world) + OPENINGS_MS);
        return;
    }
    b->job = job;
    if (job->writes)
        mr_work(b->world, write_work, written, job);
    else
        end_job(job);
}

void mr_broker_submit(struct mr_broker *b, struct mr_change *c)
{
    c->pending = true;
    c->step = NULL;
    c->topic = NULL;
    c->next = NULL;
    c->link = b->changes_end;
    *b->changes_end = c;
    b->changes_end = &c->next;
    if (!b->job)
        mr_timer_set(b->world, &b->next_job, mr_now(b->world));
}

void mr_broker_withdraw(struct mr_broker *b, struct mr_change *c)
{
    if (!c->pending)
        return;
    c->pending = false;
    if (c->step)
        *c->step = NULL;
    else
        dequeue(b, c);
    c->step = NULL;
}

void mr_broker_on_deleted(struct mr_broker *b, void (*fn)(void *arg, struct mr_slice name), void *arg)
{
    b->deleted = fn;
    b->deleted_arg = arg;
}

void mr_changes_begin(struct mr_broker *b)
{
    b->next_job.fire = begin_job;
    b->next_job.arg = b;
}

static void cancelled(struct mr_change *c)
{
    c->pending = false;
    c->refusal = MR_REFUSE_STORAGE;
    (void)mr_fail(&c->err, MR_CANCELLED, "the node is stopping");
    c->done(c);
}

void mr_changes_end(struct mr_broker *b)
{
    struct mr_job *job = b->job;
    mr_timer_stop(b->world, &b->next_job);
    for (size_t i = 0; job && i < job->count; i++) {
        struct step *s = &job->step[i];
        struct mr_change *c = s->change;
        s->change = NULL;
        if (c) {
            c->step = NULL;
            cancelled(c);
        }
    }
    if (job)
        job->broker = NULL;
    b->job = NULL;
    while (b->changes) {
        struct mr_change *c = b->changes;
        dequeue(b, c);
        cancelled(c);
    }
}
