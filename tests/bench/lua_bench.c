/* lua_bench.c - what Lua adds to an event: nanoseconds, over the same road without it.
 *
 * Not a test: run build/lua_bench by hand. Events are lines of 366 bytes.
 */
#include "plugin/stage.h"

#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { ROWS = 1024, ROUNDS = 300 };

static char lines[ROWS][512];

static void make_lines(void)
{
    for (int i = 0; i < ROWS; i++) {
        int n = snprintf(
            lines[i], sizeof lines[i],
            "{\"ts\":\"2025-10-10T13:55:%02d.%03dZ\",\"level\":\"%s\",\"service\":\"Checkout-API\",\"host\":"
            "\"web-%03d.eu-west-1\",\"msg\":\"request served\",\"http\":{\"method\":\"GET\",\"path\":"
            "\"/api/v1/orders/%07d\",\"status\":%d,\"bytes\":%d},\"user\":{\"id\":%d,\"name\":\"user%d\"},"
            "\"trace\":\"%016x%016x\",\"latency\":%d.%03d",
            i % 60, i % 1000, i % 4 == 0 ? "debug" : "info", i % 100, i, 200 + i % 4, 1000 + i * 37, i, i,
            (unsigned)i * 2654435761U, (unsigned)i * 40503U, i % 10, i % 1000);
        snprintf(lines[i] + n, sizeof lines[i] - (size_t)n, ",\"note\":\"%.*s\"}", n < 354 ? 354 - n : 0,
                 "padding padding padding padding padding padding padding padding padding padding padding ");
    }
}

static struct stage stage;

/* ns an event for reading, the step, and writing JSON; code NULL: no step */
static double road(const char *code, double *step_ns)
{
    struct player p;
    struct mr_buf out = {0};
    struct mr_err err;
    double best = 1e9, best_step = 1e9;
    if (code) {
        struct given g[] = {{"code", text_value(code)}};
        if (player_open(&p, &stage, &mr_lua_step, g, 1) != MR_OK) {
            (void)fprintf(stderr, "%s\n", p.err.text);
            exit(1);
        }
    }
    for (int r = 0; r < ROUNDS; r++) {
        double start = now_s(), in_step = 0;
        struct mr_batch *b = mr_batch_take(stage.pool);
        mr_batch_rows(b, ROWS);
        for (uint32_t i = 0; i < ROWS; i++)
            if (mr_json_read_row(b, i, mr_slice_of(lines[i]), &err) != MR_OK)
                exit(1);
        if (code) {
            double s = now_s();
            if (p.c->process(p.self, b, &err) != MR_OK)
                exit(1);
            in_step = now_s() - s;
            if (b->fate[1] != MR_KEPT) {
                (void)fprintf(stderr, "%.*s\n", MR_SLICE_ARG(mr_batch_reason(b, 1)));
                exit(1);
            }
            mr_batch_compact(b);
        }
        out.len = 0;
        if (!mr_json_write_rows(&out, b, NULL))
            exit(1);
        mr_batch_free(b);
        double took = (now_s() - start) * 1e9 / ROWS;
        best = took < best ? took : best;
        in_step = in_step * 1e9 / ROWS;
        best_step = in_step < best_step ? in_step : best_step;
    }
    if (code)
        player_close(&p);
    mr_buf_fini(&out);
    *step_ns = best_step;
    return best;
}

int main(void)
{
    static const struct {
        const char *name, *code;
    } jobs[] = {
        {"nothing at all", NULL},
        {"an empty function", "local x"},
        {"read one field and compare", "if e.level == 'debugx' then return false end"},
        {"change one field", "e.service = e.service:lower()"},
        {"change one field by gsub", "e.service = e.service:gsub('%-', '_')"},
        {"read a nested field", "local x = e.http.bytes"},
        {"drop debug, lower, size from nested (J4)", "if e.level == 'debug' then return false end e.service "
                                                     "= e.service:lower() e.size_kb = e.http.bytes // 1024"},
    };
    make_lines();
    stage_open(&stage);
    printf("%zu bytes an event\n%-44s %10s %10s\n", strlen(lines[0]) + 1, "", "whole ns", "step ns");
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        double step, whole = road(jobs[i].code, &step);
        printf("%-44s %10.0f %10.0f\n", jobs[i].name, whole, jobs[i].code ? step : 0);
    }
    stage_close(&stage);
    return 0;
}
