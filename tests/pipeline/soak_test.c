/* soak_test.c - everything goes wrong at random, by seed: outputs that answer late, refuse, ask again or are
 * away, flushes and topics that fail, power that fails. Nothing may be lost, and no position may pass what is
 * not safe.
 *
 * MR_SEED repeats one run, MR_SEEDS says how many.
 */
#include "pipeline/kit.h"

#include "base/prng.h"

#include <inttypes.h>
#include <stdlib.h>

enum { EVENTS = 90 };

static struct mr_prng rng;
static bool taken[2][EVENTS]; /* by an output, since the last start */
static bool safe[2][EVENTS];  /* flushed */
static bool calm;             /* the storm is over */

static bool chance(uint32_t percent)
{
    return !calm && mr_prng_below(&rng, 100) < percent;
}

static void which(const char *text, int *source, int *n)
{
    const char *m = strstr(text, "\"message\":\""), *at = strstr(text, "\"n\":");
    assert_true(m && at);
    *source = m[11] == 'b';
    *n = atoi(at + 4);
    assert_true(*n >= 0 && *n < EVENTS);
}

static void take(struct mr_batch *b, uint32_t k)
{
    int source, n;
    kit_take(b, k);
    which(kit.got[kit.got_count - 1].text, &source, &n);
    taken[source][n] = true;
}

static mr_code stormy_write(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                            struct mr_err *err)
{
    static const mr_code codes[] = {MR_GONE, MR_IO, MR_NOSPACE, MR_TIMEOUT};
    (void)ticket;
    (void)nth;
    if (chance(15))
        return mr_fail(err, codes[mr_prng_below(&rng, 4)], "not now");
    bool later = kit.ticket_count < 4000 && chance(30);
    for (uint32_t k = 0; k < b->count; k++) {
        if (!later && chance(10))
            v[k] = (struct mr_verdict){.kind = MR_VERDICT_RETRY, .reason = "busy"};
        else if (!later && chance(5))
            v[k] = (struct mr_verdict){.kind = MR_VERDICT_REJECT, .reason = "no"};
        else
            take(b, k);
    }
    return later ? MR_PENDING : MR_OK;
}

static mr_code stormy_flush(struct mr_err *err)
{
    if (chance(20))
        return mr_fail(err, MR_IO, "the disk hesitates");
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < EVENTS; i++)
            safe[s][i] |= taken[s][i];
    return MR_OK;
}

/* Dead letters are durable as soon as the port has them. */
static void look_at_dead(struct kit_line *k, bool out[2][EVENTS])
{
    char *text = kit_topic_text(&k->port, "p.dead", false), *save = NULL;
    memset(out, 0, sizeof(bool[2][EVENTS]));
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int source, n;
        which(line, &source, &n);
        out[source][n] = true;
    }
    free(text);
}

static bool dropped(int n)
{
    return n % 7 == 3;
}

static void check_positions(struct kit_line *k, uint64_t seed)
{
    bool dead[2][EVENTS];
    look_at_dead(k, dead);
    for (int s = 0; s < 2; s++) {
        const struct mr_slice *p = mr_map_get(&k->line->sources[s].stored, MR_SLICE("lines"));
        char text[32] = "0";
        if (p)
            (void)snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(*p));
        for (int i = 0; i < atoi(text); i++)
            if (!dropped(i) && !taken[s][i] && !safe[s][i] && !dead[s][i])
                fail_msg("source %d: position %s passed event %d: MR_SEED=%" PRIu64, s, text, i, seed);
    }
}

static void storm(uint64_t seed)
{
    struct kit_line k;
    mr_prng_seed(&rng, seed);
    kit_open(
        &k,
        "pipelines:\n  p:\n    pipeline_bytes: 64KiB\n    from:\n"
        "      - lines: { text: [a], repeat: 90, batch: 4, live: true }\n"
        "      - lines: { text: [b], repeat: 90, batch: 7, live: true }\n"
        "    steps:\n      - drop: e.n % 7 == 3\n      - set: { x: e.n .. '' }\n        if: e.n % 5 == 0\n"
        "    to:\n      - out: one\n        if: e.n % 3 == 0\n        retry: { max: 4, backoff: 5ms }\n"
        "      - out: two\n        else: true\n        retry: { backoff: 5ms }\n",
        false, "data");
    memset(taken, 0, sizeof taken);
    memset(safe, 0, sizeof safe);
    calm = false;
    for (int life = 0; life < 4; life++) {
        calm = life == 3;
        kit.on_write = stormy_write;
        kit.on_flush = stormy_flush;
        kit.ticket_count = 0;
        k.port.fail_code = MR_GONE;
        kit_start(&k);
        uint32_t answered = 0;
        for (int i = 0; i < (calm ? 400 : 30 + (int)mr_prng_below(&rng, 120)); i++) {
            kit_run(&k, 1 + (mr_ms)mr_prng_below(&rng, calm ? 200 : 40));
            if (chance(10))
                k.port.fail_produce += 2;
            if (chance(5))
                k.port.fail_ensure += 1;
            if (calm)
                k.port.fail_produce = k.port.fail_ensure = 0;
            while (answered < kit.ticket_count && !chance(50))
                mr_services()->written(kit.host, kit.ticket[answered], NULL), answered++;
            if (!k.ended) {
                kit_law(&k);
                check_positions(&k, seed);
            }
        }
        if (k.ended)
            fail_msg("ended: %s: MR_SEED=%" PRIu64, k.last_log, seed);
        if (calm)
            break;
        if (chance(50)) {
            mr_pipeline_stop(k.line, chance(50));
            for (int i = 0; i < 400 && !k.ended; i++) {
                while (answered < kit.ticket_count)
                    mr_services()->written(kit.host, kit.ticket[answered], NULL), answered++;
                kit_run(&k, 100);
            }
            if (!k.ended)
                fail_msg("does not end: MR_SEED=%" PRIu64, seed);
            kit_end(&k);
        } else {
            /* answers of the port that are under way are lost with the power; so let them come first */
            kit_run(&k, 20);
            for (int i = 0; i < 100 && k.port.out; i++)
                kit_run(&k, 1);
            mr_sim_crash(k.world);
            kit_end(&k);
            mr_sim_restart(k.world);
        }
        memcpy(taken, safe, sizeof taken); /* what the output had not flushed is gone */
    }
    bool dead[2][EVENTS];
    look_at_dead(&k, dead);
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < EVENTS; i++)
            if (dropped(i) == (safe[s][i] || dead[s][i]))
                fail_msg("source %d: event %d is %s: MR_SEED=%" PRIu64, s, i,
                         dropped(i) ? "there though it was dropped" : "lost", seed);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 1000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 0);
    kit_close(&k);
}

static void nothing_is_lost_whatever_goes_wrong(void **state)
{
    const char *one = getenv("MR_SEED"), *many = getenv("MR_SEEDS");
    (void)state;
    if (one) {
        storm(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= (many ? strtoull(many, NULL, 10) : 60); seed++)
        storm(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost_whatever_goes_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
