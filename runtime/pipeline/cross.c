/* cross.c - mistakes that only show when pipelines and their parts are seen together. */
#include "pipeline/config_inside.h"

#include "base/map.h"
#include "plugin/option.h"

#include <fnmatch.h>

static bool is_text(const struct mr_node *n, const char *text)
{
    return n && n->kind == MR_NODE_SCALAR && n->plain && mr_slice_eq(n->text, mr_slice_of(text));
}

static bool never(const struct mr_node *n)
{
    return is_text(n, "false") || is_text(n, "nil");
}

/* sum(e.bytes): a window takes paths, and `e.` belongs to expressions. */
static void aggregates(struct mr_plan *p, const struct mr_config_component *c)
{
    const struct mr_node *of = c->options ? mr_node_get(c->options, "compute") : NULL;
    if (!c->component || strcmp(c->component->name, "window") != 0 || !of)
        return;
    for (const struct mr_node *n = of->first; n; n = n->next) {
        const char *at =
            n->kind == MR_NODE_SCALAR && n->text.len ? memmem(n->text.p, n->text.len, "(e.", 3) : NULL;
        uint32_t before = p->diags->count;
        if (!at)
            continue;
        mr_diag_node(p->diags, n, (uint32_t)(at + 1 - n->text.p),
                     "'e.' is for expressions; write the path alone", "'%.*s' looks inside of a field e",
                     MR_SLICE_ARG(n->text));
        mr_plan_as_warning(p, before);
    }
}

static void steps(struct mr_plan *p, const struct mr_config_pipeline *line)
{
    for (uint32_t i = 0; i < line->step_count; i++) {
        const struct mr_config_component *c = &line->steps[i];
        aggregates(p, c);
        uint32_t before = p->diags->count;
        if (never(c->when)) {
            mr_diag_node(p->diags, c->when, 0, NULL, "this step is never reached: its 'if' is always false");
            mr_plan_as_warning(p, before);
        }
        bool drops = c->component && strcmp(c->component->name, "drop") == 0 && c->options &&
                     is_text(c->options, "true") && (!c->when || is_text(c->when, "true"));
        before = p->diags->count;
        if (drops && i + 1 < line->step_count) {
            mr_diag_node(p->diags, line->steps[i + 1].node, 0, "take 'drop: true' away, or give it an 'if'",
                         "this step is never reached: the one before drops every event");
            mr_plan_as_warning(p, before);
        } else if (drops && line->to_count) {
            mr_diag_node(p->diags, line->to[0].node, 0, "take 'drop: true' away, or give it an 'if'",
                         "this output is never reached: the last step drops every event");
            mr_plan_as_warning(p, before);
        }
    }
}

static void outputs(struct mr_plan *p, const struct mr_config_pipeline *line)
{
    const struct mr_config_component *otherwise = NULL, *first_if = NULL;
    bool all = false;
    for (uint32_t i = 0; i < line->to_count; i++) {
        const struct mr_config_component *c = &line->to[i];
        uint32_t before = p->diags->count;
        if (otherwise && (c->when || c->otherwise)) {
            mr_diag_node(p->diags, c->node, 0, "put it before the output with 'else'",
                         "this output is never reached: 'else' in line %u takes what is left",
                         otherwise->line);
            mr_plan_as_warning(p, before);
        } else if (never(c->when)) {
            mr_diag_node(p->diags, c->when, 0, NULL,
                         "this output is never reached: its 'if' is always false");
            mr_plan_as_warning(p, before);
        }
        if (c->otherwise)
            otherwise = c;
        if (c->when && !first_if)
            first_if = c;
        all |= !c->when && !c->otherwise;
    }
    uint32_t before = p->diags->count;
    if (first_if && !otherwise && !all && !line->unmatched_drop) {
        mr_diag_node(p->diags, first_if->when, 0,
                     "add an output with 'else: true', or 'unmatched: drop' to the pipeline",
                     "an event may match no output of '%s', and would be dropped", line->name);
        mr_plan_as_warning(p, before);
    }
    before = p->diags->count;
    if (otherwise && !first_if) {
        mr_diag_node(p->diags, otherwise->node, 0, "leave 'else' out", "'else' without an output with 'if'");
        mr_plan_as_warning(p, before);
    }
}

static void ids(struct mr_plan *p, const struct mr_config_pipeline *line)
{
    struct mr_map seen;
    mr_map_init(&seen, 0);
    const struct mr_config_component *const lists[] = {line->from, line->steps, line->to};
    const uint32_t counts[] = {line->from_count, line->step_count, line->to_count};
    for (size_t l = 0; l < 3; l++)
        for (uint32_t i = 0; i < counts[l]; i++) {
            const struct mr_config_component *c = &lists[l][i];
            if (!c->id)
                continue;
            const struct mr_config_component *twin = mr_map_get(&seen, mr_slice_of(c->id));
            const struct mr_node *at = mr_node_get(c->node, "id");
            if (!at && c->options)
                at = mr_node_get(c->options, "id");
            if (twin)
                mr_diag_node(p->diags, at ? at : c->node, 0, "state and positions are kept by it",
                             "id '%s' is given twice; the first is in line %u", c->id, twin->line);
            else
                (void)mr_map_put(&seen, mr_slice_of(c->id), (void *)(uintptr_t)c, NULL);
        }
    mr_map_fini(&seen, NULL);
}

/* Kafka's rules. */
static const char *topic_fault(struct mr_slice t)
{
    if (t.len == 0)
        return "is empty";
    if (t.len > 249)
        return "is longer than 249 letters";
    if (mr_slice_eq(t, MR_SLICE(".")) || mr_slice_eq(t, MR_SLICE("..")))
        return "cannot be '.' or '..'";
    for (size_t i = 0; i < t.len; i++) {
        char c = t.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return "may hold letters, digits, '.', '_' and '-' only";
    }
    return NULL;
}

static void topics(struct mr_plan *p, const struct mr_config_component *v, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!v[i].topic)
            continue;
        const struct mr_node *n = mr_plan_option(&v[i], "name");
        const char *fault = topic_fault(mr_slice_of(v[i].topic));
        if (fault)
            mr_diag_node(p->diags, n, 0, NULL, "the topic's name '%s' %s",
                         n->secret ? "(secret)" : v[i].topic, fault);
    }
}

/* What stands against `delivery: exactly_once`. */
static void exactly_once(struct mr_plan *p, const struct mr_config_pipeline *line)
{
    for (uint32_t i = 0; i < line->from_count && line->exactly_once; i++) {
        const struct mr_config_component *c = &line->from[i];
        if (c->component && !(c->component->traits & MR_REPLAYS))
            mr_diag_node(p->diags, c->node, 0,
                         "write it to a topic with at_least_once first, and read that topic",
                         "'delivery: exactly_once' needs sources that can be read again from a position, and "
                         "'%s' cannot",
                         c->component->name);
    }
    for (uint32_t i = 0; i < line->to_count && line->exactly_once; i++) {
        const struct mr_config_component *c = &line->to[i];
        if (c->component && strcmp(c->component->name, "topic") != 0)
            mr_diag_node(p->diags, c->node, 0,
                         "write to a topic, and let another pipeline take it from there with at_least_once",
                         "'delivery: exactly_once' needs outputs that take part in a transaction, and '%s' "
                         "cannot",
                         c->component->name);
    }
}

static const struct mr_node *group_of(const struct mr_config_component *c)
{
    const struct mr_node *n =
        c->topic && c->options && c->options->kind == MR_NODE_MAP ? mr_node_get(c->options, "group") : NULL;
    return n && n->kind == MR_NODE_SCALAR && n->text.len ? n : NULL;
}

static bool has_window(const struct mr_config_pipeline *line)
{
    for (uint32_t i = 0; i < line->step_count; i++)
        if (line->steps[i].component && strcmp(line->steps[i].component->name, "window") == 0)
            return true;
    return false;
}

/* Another source of the plan that reads the same topic for the same group. */
static const struct mr_config_component *sharer(const struct mr_plan *p, const struct mr_config_component *c,
                                                const struct mr_node *group)
{
    for (uint32_t i = 0; i < p->out->pipeline_count; i++)
        for (uint32_t k = 0; k < p->out->pipelines[i].from_count; k++) {
            const struct mr_config_component *other = &p->out->pipelines[i].from[k];
            const struct mr_node *g = other != c ? group_of(other) : NULL;
            if (g && mr_slice_eq(g->text, group->text) && strcmp(other->topic, c->topic) == 0)
                return other;
        }
    return NULL;
}

static void shared_windows(struct mr_plan *p, const struct mr_config_pipeline *line)
{
    for (uint32_t i = 0; has_window(line) && i < line->from_count; i++) {
        const struct mr_node *group = group_of(&line->from[i]);
        const struct mr_config_component *other = group ? sharer(p, &line->from[i], group) : NULL;
        uint32_t before = p->diags->count;
        if (!other)
            continue;
        mr_diag_node(
            p->diags, group, 0,
            "each of them counts the partitions it has: leave 'group' out, or add the results up behind",
            "the windows of '%s' see a part of topic '%s': group '%.*s' shares it with %s:%u", line->name,
            line->from[i].topic, MR_SLICE_ARG(group->text), other->file, other->line);
        mr_plan_as_warning(p, before);
    }
}

enum { STARS_MAX = 4 }; /* fnmatch's time grows with each of them; a pattern with more is not looked at */

static bool few_stars(struct mr_slice pattern)
{
    int stars = 0;
    for (size_t i = 0; i < pattern.len; i++)
        stars += pattern.p[i] == '*';
    return stars <= STARS_MAX;
}

/* A pipeline that reads the file it writes never comes to an end. */
static void own_files(struct mr_plan *p, const struct mr_config_pipeline *line, const struct mr_node *path)
{
    char name[1024];
    if (path->text.len >= sizeof name || path->secret)
        return;
    (void)snprintf(name, sizeof name, "%.*s", MR_SLICE_ARG(path->text));
    for (uint32_t i = 0; i < line->from_count; i++) {
        const struct mr_config_component *c = &line->from[i];
        if (!c->component || !c->options || strcmp(c->component->name, "file") != 0 ||
            mr_options_node(c->component->options, c->options, "exclude")) /* it may leave ours out */
            continue;
        const struct mr_node *of = mr_options_node(c->component->options, c->options, "paths");
        const struct mr_node *one = of && of->kind == MR_NODE_LIST ? of->first : of;
        for (; one; one = of->kind == MR_NODE_LIST ? one->next : NULL) {
            uint32_t before = p->diags->count;
            if (one->kind != MR_NODE_SCALAR || one->secret || !few_stars(one->text) ||
                fnmatch(mr_plan_text(p, one->text), name, FNM_PATHNAME | FNM_PERIOD) != 0)
                continue;
            mr_diag_node(p->diags, path, 0,
                         "write elsewhere, or leave the file out with the source's 'exclude'",
                         "'%s' is also read by this pipeline ('%.*s'): it would never come to an end", name,
                         MR_SLICE_ARG(one->text));
            mr_plan_as_warning(p, before);
            return;
        }
    }
}

/* Files that two outputs would write at once. */
static void files(struct mr_plan *p, const struct mr_config_pipeline *line, struct mr_map *seen)
{
    for (uint32_t i = 0; i < line->to_count; i++) {
        const struct mr_config_component *c = &line->to[i];
        if (!c->component || strcmp(c->component->name, "file") != 0)
            continue;
        const struct mr_node *n = mr_plan_option(c, "path");
        if (!n)
            continue;
        own_files(p, line, n);
        const struct mr_config_component *twin = mr_map_get(seen, n->text);
        if (twin)
            mr_diag_node(p->diags, n, 0,
                         "give each output a file of its own, or join the pipelines with a topic",
                         "'%.*s' is written by two outputs; the other is %s:%u", MR_SLICE_ARG(n->text),
                         twin->file, twin->line);
        else
            (void)mr_map_put(seen, n->text, (void *)(uintptr_t)c, NULL);
    }
}

void mr_plan_cross(struct mr_plan *p)
{
    struct mr_map paths;
    mr_map_init(&paths, 0);
    for (uint32_t i = 0; i < p->out->pipeline_count; i++) {
        struct mr_config_pipeline *line = &p->out->pipelines[i];
        steps(p, line);
        outputs(p, line);
        ids(p, line);
        topics(p, line->from, line->from_count);
        topics(p, line->to, line->to_count);
        files(p, line, &paths);
        exactly_once(p, line);
        shared_windows(p, line);
        line->may_die = line->on_error == MR_ON_ERROR_DEAD;
        for (uint32_t k = 0; k < line->step_count; k++)
            line->may_die |= line->steps[k].on_error == MR_ON_ERROR_DEAD;
        for (uint32_t k = 0; k < line->to_count; k++)
            line->may_die |= line->to[k].on_error == MR_ON_ERROR_DEAD;
    }
    mr_map_fini(&paths, NULL);
}
