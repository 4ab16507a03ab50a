/* pipeline.c - the loop of one pipeline: whose turn it is to read, what flows through the steps, when it
 * ends.
 *
 * States are drawn in inside.h. Nothing here blocks but the fsync of a checkpoint, once a second at most.
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { TURN_READS = 16 /* batches in one turn; then other pipelines of the lane */ };

static void settle_state(struct mr_pipeline *l);

/* ---------------------------------------------------------------- steps */

/* A step with an `if` sees some events of a batch; what it does to whole columns must not touch the others.
 */
struct rest {
    uint16_t rows[MR_BATCH_ROWS_MAX];
    uint32_t count, columns;
};

static bool save_rest(struct mr_step *s, const struct mr_batch *b, const struct rest *r)
{
    struct mr_buf *to = &s->scratch;
    to->len = 0;
    size_t bytes = (size_t)r->columns * r->count * sizeof(struct mr_value) + r->columns +
                   r->count * sizeof(struct mr_slice);
    if (!mr_buf_reserve(to, bytes + 64))
        return false;
    char *at = to->p;
    for (uint32_t k = 0; k < r->count; k++, at += sizeof(struct mr_slice))
        memcpy(at, &b->raw[r->rows[k]], sizeof(struct mr_slice));
    for (uint32_t c = 0; c < r->columns; c++)
        for (uint32_t k = 0; k < r->count; k++, at += sizeof(struct mr_value))
            memcpy(at, &b->column[c].v[r->rows[k]], sizeof(struct mr_value));
    for (uint32_t c = 0; c < r->columns; c++)
        *at++ = b->column[c].removed != 0;
    return true;
}

static void put_rest_back(struct mr_step *s, struct mr_batch *b, const struct rest *r)
{
    const char *raw = s->scratch.p, *at = raw + r->count * sizeof(struct mr_slice);
    const char *removed = at + (size_t)r->columns * r->count * sizeof(struct mr_value);
    for (uint32_t k = 0; k < r->count; k++)
        memcpy(&b->raw[r->rows[k]], raw + k * sizeof(struct mr_slice), sizeof(struct mr_slice));
    for (uint32_t c = 0; c < r->columns; c++) {
        struct mr_column *col = &b->column[c];
        if (removed[c]) {
            at += r->count * sizeof(struct mr_value);
            continue; /* it was not there for anyone */
        }
        if (col->removed) { /* taken from the chosen ones only */
            col->removed = 0;
            for (uint32_t row = 0; row < b->rows; row++)
                col->v[row] = (struct mr_value){0};
        }
        for (uint32_t k = 0; k < r->count; k++, at += sizeof(struct mr_value))
            memcpy(&col->v[r->rows[k]], at, sizeof(struct mr_value));
    }
}

static mr_code process_some(struct mr_pipeline *l, struct mr_step *s, struct mr_flight *f, struct mr_err *err)
{
    struct mr_batch *b = f->b;
    uint8_t truth[MR_BATCH_ROWS_MAX];
    uint16_t chosen[MR_BATCH_ROWS_MAX];
    struct rest rest;
    uint32_t n = 0;
    mr_services()->test(&s->part.host, s->part.when, b, truth);
    mr_flight_settle(f, s->part.conf);
    if (mr_pipeline_over(l))
        return MR_OK;
    rest.count = 0;
    for (uint32_t k = 0; k < b->count; k++) {
        uint16_t row = b->sel[k];
        if (truth[row])
            chosen[n++] = row;
        else
            rest.rows[rest.count++] = row;
    }
    if (!n)
        return MR_OK;
    if (!rest.count)
        return s->part.c->process(s->part.self, b, err);
    rest.columns = b->columns;
    if (!save_rest(s, b, &rest))
        return mr_fail(err, MR_MEMORY, "no memory for a step with 'if'");
    uint16_t *sel = b->sel;
    uint32_t count = b->count;
    b->sel = chosen;
    b->count = n;
    mr_code rc = s->part.c->process(s->part.self, b, err);
    b->sel = sel;
    b->count = count;
    put_rest_back(s, b, &rest);
    return rc;
}

static void one_step(struct mr_pipeline *l, struct mr_step *s, struct mr_flight *f)
{
    struct mr_err err;
    mr_err_clear(&err);
    uint32_t count = f->b->count;
    mr_code rc = s->part.when ? process_some(l, s, f, &err) : s->part.c->process(s->part.self, f->b, &err);
    if (rc != MR_OK) {
        mr_pipeline_fail(l, &s->part, "%s", err.text[0] ? err.text : mr_code_text(rc));
        return;
    }
    if (f->b->count > count) { /* a plugin's mistake must not become one of the accounts */
        mr_pipeline_fail(l, &s->part,
                         "the step added %u events to the batch in hand: new ones must be emitted",
                         f->b->count - count);
        return;
    }
    mr_flight_settle(f, s->part.conf);
}

void mr_pipeline_run(struct mr_pipeline *l, struct mr_flight *f, uint32_t at)
{
    for (uint32_t i = at; i < l->conf->step_count && f->b->count && !mr_pipeline_over(l); i++)
        one_step(l, &l->steps[i], f);
    if (mr_pipeline_over(l))
        return; /* the flight is freed with the pipeline */
    mr_flight_bytes(f);
    if (f->b->count)
        mr_outputs_take(l, f);
    if (!mr_pipeline_over(l))
        mr_flight_drop(f);
}

/* ---------------------------------------------------------------- sources */

static void source_open(struct mr_source *s);

static void source_again(void *arg)
{
    source_open(arg);
}

static void source_trouble(struct mr_source *s, const struct mr_err *err)
{
    struct mr_part *p = &s->part;
    struct mr_world *w = p->line->env.world;
    p->attempts++;
    if (!p->told)
        mr_part_log(p, MR_WARN, "%s; trying again until it goes", err->text);
    p->told = true;
    s->ready = false;
    p->again.fire = source_again;
    p->again.arg = s;
    mr_timer_set(w, &p->again, mr_now(w) + mr_backoff(w, 100, p->attempts));
}

static void source_open(struct mr_source *s)
{
    struct mr_pipeline *l = s->part.line;
    struct mr_err err;
    mr_err_clear(&err);
    if (l->state > MR_LINE_RUNNING)
        return;
    mr_code rc = mr_part_open(&s->part, &err);
    if (rc == MR_OK) {
        mr_pipeline_source_ready(s);
    } else if (mr_passing(rc)) {
        mr_wrap(&err, "cannot open");
        source_trouble(s, &err);
    } else {
        mr_pipeline_fail(l, &s->part, "cannot open: %s", err.text);
    }
}

void mr_pipeline_source_ready(struct mr_source *s)
{
    s->ready = true;
    mr_pipeline_poke(s->part.line);
}

/* What a batch keeps alive outside of its arena cannot be seen from here; its texts, as they came, are most
 * of it. */
static size_t texts(const struct mr_batch *b)
{
    size_t bytes = 0;
    for (uint32_t c = 0; c < b->columns && c < 2; c++)
        for (uint32_t r = 0; r < b->rows; r++)
            bytes += b->column[c].v[r].tag == MR_STRING ? b->column[c].v[r].len : 0;
    return bytes;
}

static void read_events(struct mr_source *s, struct mr_batch *b)
{
    struct mr_pipeline *l = s->part.line;
    if (l->epoch && !b->pos_key.len && !b->pos.len) {
        mr_batch_free(b);
        mr_pipeline_fail(l, &s->part,
                         "the source gave events without a position, and cannot be read again: "
                         "'delivery: exactly_once' cannot be given");
        return;
    }
    struct mr_ack *ack = mr_ack_new(s, b->pos_key, b->pos);
    if (!ack || ((b->pos_key.len || b->pos.len) && !mr_position_put(&s->seen, b->pos_key, b->pos))) {
        mr_batch_free(b);
        mr_pipeline_fail(l, &s->part, "no memory for positions, or more than %d inputs (limit 'positions')",
                         MR_POSITIONS_MAX);
        return;
    }
    if (s->part.told)
        mr_part_log(&s->part, MR_INFO, "goes on");
    s->part.told = false;
    s->part.attempts = 0;
    struct mr_flight *f = mr_flight_new(l, b);
    if (!f) {
        mr_batch_free(b);
        mr_pipeline_fail(l, &s->part, "no memory for a batch");
        return;
    }
    f->holds[f->hold_count++] = ack;
    f->ack = ack;
    f->pinned = s->pinned ? s->pinned : texts(b);
    s->pinned = 0;
    f->alive = b->count;
    mr_count(&l->n.in, b->count);
    mr_count(&l->n.in_flight, b->count);
    mr_flight_settle(f, s->part.conf); /* what the source itself refused */
    mr_pipeline_run(l, f, 0);
}

static void read_one(struct mr_source *s)
{
    struct mr_pipeline *l = s->part.line;
    struct mr_err err;
    mr_err_clear(&err);
    struct mr_batch *b = mr_batch_take(l->pool);
    if (!b) {
        mr_pipeline_fail(l, &s->part, "no memory for a batch");
        return;
    }
    mr_code rc = s->part.c->read(s->part.self, b, &err);
    if (rc == MR_OK && (b->rows || b->pos_key.len || b->pos.len)) {
        read_events(s, b);
        return;
    }
    mr_batch_free(b);
    if (rc == MR_AGAIN || rc == MR_OK) { /* OK with nothing at all: a source that should have said so */
        s->ready = false;
        mr_part_rearm(&s->part);
    } else if (rc == MR_END) {
        s->ready = false;
        s->ended = true;
    } else if (mr_passing(rc)) {
        mr_part_close(&s->part);
        source_trouble(s, &err);
    } else {
        mr_pipeline_fail(l, &s->part, "%s", err.text[0] ? err.text : mr_code_text(rc));
    }
}

static bool has_room(const struct mr_pipeline *l)
{
    return l->state == MR_LINE_RUNNING && !(l->epoch && mr_epoch_pauses(l->epoch)) &&
           l->live_bytes < (size_t)l->conf->bytes && l->flight_count < MR_FLIGHTS_MAX;
}

static struct mr_source *next_ready(struct mr_pipeline *l)
{
    for (uint32_t i = 0; i < l->conf->from_count; i++) {
        struct mr_source *s = &l->sources[(l->turn_at + i) % l->conf->from_count];
        if (s->ready && s->part.open && !s->ended && s->ack_count < MR_ACKS_MAX) {
            l->turn_at = (l->turn_at + i + 1) % l->conf->from_count;
            return s;
        }
    }
    return NULL;
}

static void turn(void *arg)
{
    struct mr_pipeline *l = arg;
    l->turn_posted = false;
    if (l->state == MR_LINE_ENDED)
        return;
    l->settling = true; /* what is poked meanwhile is looked at below */
    struct mr_source *s = NULL;
    for (int n = 0; n < TURN_READS && has_room(l) && (s = next_ready(l)); n++)
        read_one(s);
    if (!mr_pipeline_over(l))
        mr_dead_flush(l->dead);
    l->settling = false;
    if (has_room(l)) {
        uint32_t at = l->turn_at;
        if (next_ready(l))
            mr_pipeline_poke(l);
        l->turn_at = at;
    }
    settle_state(l);
}

void mr_pipeline_poke(struct mr_pipeline *l)
{
    if (l->turn_posted || l->settling || l->state == MR_LINE_ENDED)
        return;
    l->turn_posted = true;
    mr_post(l->env.world, turn, l);
}

/* ---------------------------------------------------------------- checkpoints */

void mr_pipeline_stored(struct mr_pipeline *l, mr_code rc, const struct mr_err *err)
{
    if (rc == MR_OK) {
        if (l->checkpoint_told)
            l->env.log(l->env.arg, MR_INFO, l->conf->name, "checkpoints can be stored again");
        l->checkpoint_told = false;
        for (uint32_t i = 0; i < l->conf->from_count && !mr_pipeline_over(l); i++)
            if (l->sources[i].commit && l->sources[i].part.open)
                l->sources[i].commit(&l->sources[i]);
        l->checkpoints += l->checkpoints < MR_CHECKPOINTS_EARLY;
    } else if (mr_passing(rc)) {
        if (!l->checkpoint_told)
            l->env.log(l->env.arg, MR_WARN, l->conf->name, err->text);
        l->checkpoint_told = true;
    } else {
        mr_pipeline_fail(l, NULL, "cannot store a checkpoint: %s", err->text);
    }
    mr_pipeline_poke(l);
}

static void checkpoint_due(void *arg)
{
    struct mr_pipeline *l = arg;
    struct mr_err err;
    l->checkpoint.fire = NULL;
    l->last_waits = false;
    mr_err_clear(&err);
    if (mr_pipeline_over(l) || !l->dirty || l->storing)
        return; /* when it is stored, a poke looks again */
    if (l->epoch) {
        mr_epoch_due(l->epoch);
        return;
    }
    mr_code rc = mr_checkpoint_begin(l, &err);
    if (rc != MR_PENDING)
        mr_pipeline_stored(l, rc, &err);
}

static void checkpoint_later(struct mr_pipeline *l, mr_ms wait)
{
    if (l->checkpoint.fire)
        return;
    l->checkpoint.fire = checkpoint_due;
    l->checkpoint.arg = l;
    mr_timer_set(l->env.world, &l->checkpoint, mr_now(l->env.world) + wait);
}

/* ---------------------------------------------------------------- ending */

void mr_pipeline_fail(struct mr_pipeline *l, const struct mr_part *part, const char *format, ...)
{
    char text[1024];
    if (mr_pipeline_over(l))
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    l->env.log(l->env.arg, MR_ERROR, part ? part->host.label : l->conf->name, text);
    l->exit_code = 1;
    l->state = MR_LINE_CLOSING; /* parts close in a later turn: some of them may be on the stack now */
    atomic_store_explicit(&l->n.state, MR_RUN_FAILED, memory_order_relaxed);
    l->settling = false;
    mr_pipeline_poke(l);
}

static void ended(void *arg)
{
    struct mr_pipeline *l = arg;
    l->env.ended(l->env.arg, l, l->exit_code);
}

static void close_parts(struct mr_pipeline *l)
{
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        mr_part_close(&l->sources[i].part);
    for (uint32_t i = 0; i < l->conf->step_count; i++)
        mr_part_close(&l->steps[i].part);
    for (uint32_t i = 0; i < l->conf->to_count; i++)
        mr_part_close(&l->outputs[i].part);
    if (l->epoch)
        mr_epoch_close(l->epoch);
    mr_timer_stop(l->env.world, &l->checkpoint);
    mr_timer_stop(l->env.world, &l->deadline);
    mr_timer_stop(l->env.world, &l->restart);
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        mr_timer_stop(l->env.world, &l->sources[i].part.again);
    for (uint32_t i = 0; i < l->conf->to_count; i++)
        mr_timer_stop(l->env.world, &l->outputs[i].part.again);
}

bool mr_pipeline_idle(const struct mr_pipeline *l)
{
    return l->flight_count == 0 && mr_dead_idle(l->dead);
}

/* false: something is on its way again, or must be waited for. */
static bool finish_steps(struct mr_pipeline *l)
{
    while (!l->stopping && l->finish_at < l->conf->step_count) {
        struct mr_part *p = &l->steps[l->finish_at++].part;
        struct mr_err err;
        mr_err_clear(&err);
        if (p->c->finish && p->c->finish(p->self, &err) != MR_OK) {
            mr_pipeline_fail(l, p, "at the end of the input: %s", err.text);
            return false;
        }
        mr_dead_flush(l->dead);
        if (!mr_pipeline_idle(l))
            return false;
    }
    return !mr_pipeline_over(l);
}

/* false: a group has not answered yet; its answer pokes. */
static bool commits_settled(struct mr_pipeline *l)
{
    bool all = true;
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        if (l->sources[i].settle && l->sources[i].part.open)
            all &= l->sources[i].settle(&l->sources[i]);
    return all;
}

static bool last_checkpoint(struct mr_pipeline *l)
{
    struct mr_err err;
    mr_err_clear(&err);
    if (l->epoch)
        return mr_epoch_last(l->epoch);
    if (!l->dirty)
        return commits_settled(l);
    mr_code rc = mr_checkpoint_store(l, &err);
    if (rc == MR_OK)
        return commits_settled(l);
    if (mr_passing(rc)) { /* until it goes, or the deadline */
        if (!l->checkpoint_told)
            l->env.log(l->env.arg, MR_WARN, l->conf->name, err.text);
        l->checkpoint_told = true;
        l->last_waits = true;
        checkpoint_later(l, MR_CHECKPOINT_MS);
        return false;
    }
    mr_pipeline_fail(l, NULL, "cannot store the last checkpoint: %s", err.text);
    return false;
}

static bool all_sources_ended(const struct mr_pipeline *l)
{
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        if (!l->sources[i].ended)
            return false;
    return true;
}

static void settle_state(struct mr_pipeline *l)
{
    if (l->epoch)
        mr_epoch_step(l->epoch);
    if (l->epoch && l->dirty && l->state <= MR_LINE_DRAINING)
        checkpoint_later(l, mr_epoch_wait(l->epoch));
    else if (l->state == MR_LINE_RUNNING && l->dirty && !l->epoch)
        checkpoint_later(l, l->checkpoints < MR_CHECKPOINTS_EARLY && !l->checkpoint_told
                                ? MR_CHECKPOINT_EARLY_MS
                                : MR_CHECKPOINT_MS);
    if (l->state == MR_LINE_RUNNING && all_sources_ended(l)) {
        l->state = MR_LINE_DRAINING;
        atomic_store_explicit(&l->n.state, MR_RUN_DRAINING, memory_order_relaxed);
    }
    if (l->state == MR_LINE_DRAINING && !l->storing && mr_pipeline_idle(l) && !l->last_waits &&
        finish_steps(l) && last_checkpoint(l))
        l->state = MR_LINE_CLOSING;
    else if (l->state == MR_LINE_DRAINING && l->dirty && !l->epoch)
        checkpoint_later(l, MR_CHECKPOINT_MS);
    if (l->state == MR_LINE_CLOSING) {
        if (l->exit_code == 1 && l->dirty && !l->storing &&
            !l->epoch) { /* what was delivered need not come again */
            struct mr_err err;
            l->dirty = false;
            if (mr_checkpoint_store(l, &err) != MR_OK)
                l->env.log(l->env.arg, MR_WARN, l->conf->name, err.text);
        }
        close_parts(l);
        if (l->calls_out)
            return; /* their callbacks poke */
        if (l->begins_again) {
            mr_pipeline_rewind(l);
            return;
        }
        l->state = MR_LINE_ENDED;
        if (l->exit_code != 1)
            atomic_store_explicit(&l->n.state, MR_RUN_ENDED, memory_order_relaxed);
        mr_post(l->env.world, ended, l); /* behind whatever the parts had posted */
    }
}

static void deadline_passed(void *arg)
{
    mr_pipeline_stop(arg, true);
}

void mr_pipeline_stop(struct mr_pipeline *l, bool force)
{
    l->begins_again = false; /* nothing of it is lost: it begins there the next time */
    if (mr_pipeline_over(l))
        return;
    if (force) {
        if (!mr_pipeline_idle(l)) {
            char text[160];
            (void)snprintf(
                text, sizeof text,
                "stopped with %lld event%s on the way; what the source still has is read again next time",
                (long long)l->n.in_flight, l->n.in_flight == 1 ? "" : "s");
            l->env.log(l->env.arg, MR_WARN, l->conf->name, text);
            l->exit_code = 3;
        }
        struct mr_err err;
        mr_err_clear(&err);
        if (l->state >= MR_LINE_RUNNING && l->dirty && !l->storing && !l->epoch &&
            mr_checkpoint_store(l, &err) != MR_OK) {
            l->env.log(l->env.arg, MR_WARN, l->conf->name, err.text);
            l->exit_code = 3;
        }
        l->forced = true;
        l->state = MR_LINE_CLOSING;
    } else if (l->state < MR_LINE_DRAINING) {
        l->stopping = true;
        l->state = MR_LINE_DRAINING;
        atomic_store_explicit(&l->n.state, MR_RUN_DRAINING, memory_order_relaxed);
    } else {
        l->stopping = true; /* draining already: nothing is finished any more */
    }
    if (!force && !l->deadline.fire) {
        l->deadline.fire = deadline_passed;
        l->deadline.arg = l;
        mr_timer_set(l->env.world, &l->deadline, mr_now(l->env.world) + l->env.drain_ms);
    }
    mr_pipeline_poke(l);
}

/* ---------------------------------------------------------------- starting */

static bool make_parts(struct mr_pipeline *l)
{
    const struct mr_config_pipeline *c = l->conf;
    l->sources = mr_alloc((c->from_count + 1) * sizeof *l->sources);
    l->steps = mr_alloc((c->step_count + 1) * sizeof *l->steps);
    l->outputs = mr_alloc((c->to_count + 1) * sizeof *l->outputs);
    if (!l->sources || !l->steps || !l->outputs)
        return false;
    for (uint32_t i = 0; i < c->from_count; i++) {
        struct mr_source *s = &l->sources[i];
        s->lag = -1;
        mr_map_init(&s->stored, MR_POSITIONS_MAX);
        mr_map_init(&s->seen, MR_POSITIONS_MAX);
        if (!mr_part_init(&s->part, l, &c->from[i], MR_ROLE_SOURCE, i))
            return false;
    }
    for (uint32_t i = 0; i < c->step_count; i++)
        if (!mr_part_init(&l->steps[i].part, l, &c->steps[i], MR_ROLE_STEP, i))
            return false;
    for (uint32_t i = 0; i < c->to_count; i++) {
        struct mr_output *o = &l->outputs[i];
        if (!mr_part_init(&o->part, l, &c->to[i], MR_ROLE_OUTPUT, i) ||
            !(o->verdict = mr_alloc(MR_BATCH_ROWS_MAX * sizeof *o->verdict)))
            return false;
        if (o->part.when || c->to[i].otherwise)
            l->conditional = true;
        else
            l->unconditional = true;
    }
    return true;
}

mr_code mr_pipeline_new(const struct mr_config_pipeline *conf, const struct mr_lane_env *env,
                        struct mr_pipeline **out, struct mr_err *err)
{
    struct mr_pipeline *l = mr_alloc(sizeof *l);
    if (!l)
        return mr_fail(err, MR_MEMORY, "no memory for pipeline '%s'", conf->name);
    l->conf = conf;
    l->env = *env;
    l->n.lag = l->n.acked_at = -1;
    l->pool = mr_batch_pool_new(8, MR_BATCH_BYTES_MAX);
    mr_code rc = MR_OK;
    if (!l->pool || !make_parts(l))
        rc = mr_fail(err, MR_MEMORY, "no memory for pipeline '%s'", conf->name);
    else
        rc = mr_dead_new(l, err);
    if (rc == MR_OK && conf->exactly_once && env->topics && !env->test)
        rc = mr_epoch_new(l, err);
    if (rc == MR_OK && env->data_dir) {
        struct mr_buf path = {0};
        if (mr_buf_printf(&path, "%s/pipelines/%s/checkpoint", env->data_dir, conf->name))
            l->checkpoint_path = mr_strndup(path.p, path.len);
        mr_buf_fini(&path);
        if (!l->checkpoint_path)
            rc = mr_fail(err, MR_MEMORY, "no memory for pipeline '%s'", conf->name);
    }
    if (rc != MR_OK) {
        mr_pipeline_free(l);
        return rc;
    }
    *out = l;
    return MR_OK;
}

static mr_code open_store(struct mr_pipeline *l, struct mr_err *err)
{
    if (!l->checkpoint_path)
        return MR_OK;
    struct mr_buf dir = {0};
    mr_code rc = MR_MEMORY;
    if (mr_buf_printf(&dir, "%s/pipelines/%s", l->env.data_dir, l->conf->name))
        rc = mr_mkdir_all(l->env.world, dir.p, err);
    mr_buf_fini(&dir);
    return rc == MR_OK && !l->epoch ? mr_checkpoint_load(l, err) : rc;
}

void mr_pipeline_start(struct mr_pipeline *l)
{
    struct mr_err err;
    mr_err_clear(&err);
    if (open_store(l, &err) != MR_OK)
        mr_pipeline_fail(l, NULL, "%s", err.text);
    else if (l->epoch)
        mr_epoch_open(l->epoch);
    else
        mr_pipeline_opened(l);
}

static mr_code restore(struct mr_pipeline *l, struct mr_err *err)
{
    if (!l->epoch)
        return mr_checkpoint_restore(l, err);
    mr_code rc = mr_checkpoint_take(l, mr_epoch_state(l->epoch), true, err);
    mr_epoch_started(l->epoch);
    return rc;
}

void mr_pipeline_opened(struct mr_pipeline *l)
{
    struct mr_err err;
    mr_err_clear(&err);
    if (l->state != MR_LINE_OPENING) {
        mr_pipeline_poke(l); /* it was stopped meanwhile */
        return;
    }
    if (l->epoch && mr_checkpoint_take(l, mr_epoch_state(l->epoch), false, &err) != MR_OK) {
        mr_pipeline_fail(l, NULL, "%s", err.text);
        return;
    }
    for (uint32_t i = 0; i < l->conf->step_count; i++)
        if (mr_part_open(&l->steps[i].part, &err) != MR_OK) {
            mr_pipeline_fail(l, &l->steps[i].part, "cannot open: %s", err.text);
            return;
        }
    if (restore(l, &err) != MR_OK) {
        mr_pipeline_fail(l, NULL, "%s", err.text);
        return;
    }
    l->state = MR_LINE_RUNNING;
    atomic_store_explicit(&l->n.state, MR_RUN_RUNNING, memory_order_relaxed);
    for (uint32_t i = 0; i < l->conf->to_count && !mr_pipeline_over(l); i++)
        mr_output_open_again(&l->outputs[i]);
    for (uint32_t i = 0; i < l->conf->from_count && !mr_pipeline_over(l); i++)
        source_open(&l->sources[i]);
}

void mr_pipeline_feeders_changed(struct mr_pipeline *l)
{
    for (uint32_t i = 0; i < l->conf->from_count; i++) {
        struct mr_source *s = &l->sources[i];
        if (s->feeders_changed && s->part.open && !mr_pipeline_over(l))
            s->feeders_changed(s);
    }
}

void mr_pipeline_counts(const struct mr_pipeline *l, struct mr_run_counts *out, mr_ms now)
{
    const struct mr_counters *n = &l->n;
#define GET(x) atomic_load_explicit(&n->x, memory_order_relaxed)
    *out = (struct mr_run_counts){
        .state = (enum mr_run_state)GET(state),
        .in = GET(in),
        .made = GET(made),
        .out = GET(out),
        .dropped = GET(dropped),
        .dead = GET(dead),
        .replaced = GET(replaced),
        .in_flight = GET(in_flight),
        .errors = GET(errors),
        .retries = GET(retries),
        .lag = GET(lag),
        .bytes = GET(bytes),
        .acked_ms = GET(acked_at) < 0 ? -1 : now - GET(acked_at),
    };
#undef GET
}

void mr_pipeline_free(struct mr_pipeline *l)
{
    if (!l)
        return;
    mr_timer_stop(l->env.world, &l->checkpoint);
    mr_timer_stop(l->env.world, &l->deadline);
    mr_timer_stop(l->env.world, &l->restart);
    if (l->storing)
        mr_file_replace_forget(l->storing);
    for (uint32_t i = 0; l->outputs && i < l->conf->to_count; i++) {
        mr_part_fini(&l->outputs[i].part);
        mr_output_fini(&l->outputs[i]);
    }
    for (uint32_t i = 0; l->steps && i < l->conf->step_count; i++) {
        mr_part_fini(&l->steps[i].part);
        mr_buf_fini(&l->steps[i].scratch);
    }
    mr_dead_free(l->dead);
    while (l->flights)
        mr_flight_free(l->flights);
    for (uint32_t i = 0; l->sources && i < l->conf->from_count; i++) {
        mr_part_fini(&l->sources[i].part);
        mr_source_fini(&l->sources[i]);
    }
    while (l->spare_flights) {
        struct mr_flight *f = l->spare_flights;
        l->spare_flights = f->next;
        mr_free(f);
    }
    while (l->spare_acks) {
        struct mr_ack *a = l->spare_acks;
        l->spare_acks = a->next;
        mr_free(a);
    }
    mr_epoch_free(l->epoch);
    mr_batch_pool_free(l->pool);
    mr_buf_fini(&l->foreign);
    mr_free(l->checkpoint_path);
    mr_free(l->sources);
    mr_free(l->steps);
    mr_free(l->outputs);
    mr_free(l);
}
