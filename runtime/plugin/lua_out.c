/* lua_out.c - events that scripts make: collected in batches, handed on when full or when the call is over.
 */
#include "plugin/lua_inside.h"

static struct mr_batch *room(struct lua_out *o)
{
    if (o->b && o->used == o->b->cap)
        lua_out_flush(o);
    if (!o->b) {
        o->b = o->services->batch_new(o->host, o->from);
        o->used = 0;
    }
    return o->b;
}

/* Rows are made a few at a time; those that stay empty are given back before anyone sees them. */
static void trim(struct lua_out *o)
{
    o->b->rows = o->used;
    o->b->count = o->used;
}

bool lua_emit_row(struct lua_out *o, struct mr_batch *from, uint32_t row)
{
    struct mr_batch *b = room(o);
    if (!b)
        return false;
    trim(o);
    if (!mr_batch_copy_row(b, from, row))
        return false;
    o->used = b->rows;
    return true;
}

void lua_emit_value(lua_State *L, struct lua_out *o, int at)
{
    struct mr_lua *l = lua_of(L);
    if (!o)
        luaL_error(L, "emit cannot be used here");
    at = lua_absindex(L, at);
    struct mr_batch *b = room(o);
    if (!b)
        luaL_error(L, "no room for another event: the pipeline's byte limit is reached");
    if (lua_is_event(L, at)) {
        if (!l->b || !lua_emit_row(o, l->b, l->row))
            luaL_error(L, "no room for another event in the batch (batch_bytes)");
        return;
    }
    uint32_t row = o->used;
    if (row == b->rows) {
        trim(o);
        mr_batch_rows(b, row * 2 + 16 < b->cap ? row * 2 + 16 : b->cap);
    }
    for (uint32_t c = 0; c < b->columns; c++)
        b->column[c].v[row] = (struct mr_value){.tag = MR_MISSING};
    lua_event_fill(L, at, b, row);
    b->time[row] = MR_TIME_NONE;
    b->offset[row] = -1;
    b->key[row] = (struct mr_value){.tag = MR_MISSING};
    if (l->b && l->b == o->from) { /* it stands for the event in hand: time, place and key are that one's */
        b->time[row] = l->b->time[l->row];
        b->offset[row] = l->b->offset[l->row];
        if (!mr_value_copy(b->arena, &l->b->key[l->row], &b->key[row]))
            lua_no_arena(L);
    }
    o->used++;
}

void lua_out_flush(struct lua_out *o)
{
    struct mr_batch *b = o->b;
    if (!b)
        return;
    trim(o);
    o->b = NULL;
    o->used = 0;
    o->flushed = true;
    o->services->emit(o->host, b);
}
