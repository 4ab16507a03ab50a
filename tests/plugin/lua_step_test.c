/* lua_step_test.c - the step `lua`: what scripts can do to events. */
#include "plugin/stage.h"

static struct stage stage;
static struct player player;
static struct mr_batch *batch;

static mr_code begin(const char *code)
{
    stage_open(&stage);
    struct given g[] = {{"code", text_value(code)}};
    return player_open(&player, &stage, &mr_lua_step, g, 1);
}

static void end(void)
{
    if (batch)
        mr_batch_free(batch);
    batch = NULL;
    player_close(&player);
    stage_close(&stage);
}

static void must_begin(const char *code)
{
    if (begin(code) != MR_OK)
        fail_msg("%s", player.err.text);
}

static void run(const char *const *lines, uint32_t n)
{
    struct mr_err err;
    if (batch)
        mr_batch_free(batch);
    batch = events_of(stage.pool, lines, n);
    if (player.c->process(player.self, batch, &err) != MR_OK)
        fail_msg("%s", err.text);
}

/* code over one event gives that event */
static void gives(const char *code, const char *in, const char *want)
{
    must_begin(code);
    run(&in, 1);
    if (batch->fate[0] != MR_KEPT)
        fail_msg("%s: fate %d: %.*s", code, batch->fate[0], MR_SLICE_ARG(mr_batch_reason(batch, 0)));
    assert_event(batch, 0, want);
    end();
}

static void assert_reason(uint32_t row, const char *want)
{
    assert_int_equal(batch->fate[row], MR_REJECTED);
    struct mr_slice r = mr_batch_reason(batch, row);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(r));
    if (!strstr(text, want))
        fail_msg("'%s' is not in: %s", want, text);
}

/* code over one event rejects it with this in the reason */
static void rejects(const char *code, const char *in, const char *want)
{
    must_begin(code);
    run(&in, 1);
    assert_reason(0, want);
    end();
}

/* code is refused at open or check with this in the message */
static void refused(const char *code, const char *want)
{
    if (begin(code) == MR_OK)
        fail_msg("accepted: %s", code);
    assert_int_equal(player.err.code, MR_BADCONF);
    if (!strstr(player.err.text, want))
        fail_msg("'%s' is not in: %s", want, player.err.text);
    end();
}

static void an_untouched_event_leaves_as_it_came(void **state)
{
    (void)state;
    gives("local x = e.a", "{\"a\": 1.10,  \"b\":[]}", "{\"a\": 1.10,  \"b\":[]}");
}

static void fields_are_read_and_written(void **state)
{
    (void)state;
    gives("e.b = e.a + 1", "{\"a\":1}", "{\"a\":1,\"b\":2}");
    gives("e.s = e.s:upper() .. '!'", "{\"s\":\"\xc3\xa4y\"}", "{\"s\":\"\xc3\xa4Y!\"}");
    gives("e['x-y'] = e.http.path", "{\"http\":{\"path\":\"/a\"}}",
          "{\"http\":{\"path\":\"/a\"},\"x-y\":\"/a\"}");
    gives("e.a = nil", "{\"a\":1,\"b\":2}", "{\"b\":2}");
    gives("if e.level == 'debug' then return false end e.n = #e.list", "{\"list\":[1,2,3]}",
          "{\"list\":[1,2,3],\"n\":3}");
}

static void numbers_keep_what_they_are(void **state)
{
    (void)state;
    gives("e.b = e.a", "{\"a\":9007199254740993}", "{\"a\":9007199254740993,\"b\":9007199254740993}");
    gives("e.b = e.a", "{\"a\":-9223372036854775808}",
          "{\"a\":-9223372036854775808,\"b\":-9223372036854775808}");
    gives("e.b = e.a * 1.0", "{\"a\":1}", "{\"a\":1,\"b\":1.0}");
    gives("e.b = e.a // 1024", "{\"a\":5000}", "{\"a\":5000,\"b\":4}");
    gives("e.b = math.type(e.a)", "{\"a\":1.0}", "{\"a\":1.0,\"b\":\"float\"}");
}

static void null_is_not_absent(void **state)
{
    (void)state;
    gives("e.n = e.a == null; e.m = e.b == nil; e.c = null", "{\"a\":null}",
          "{\"a\":null,\"n\":true,\"m\":true,\"c\":null}");
}

static void empty_lists_and_objects_survive(void **state)
{
    (void)state;
    gives("local t = e:table(); e.l = t.l; e.o = t.o; e.x = array{}; e.y = object{}; e.z = {}",
          "{\"l\":[],\"o\":{}}", "{\"l\":[],\"o\":{},\"x\":[],\"y\":{},\"z\":{}}");
    gives("e.l = {1, {2}, {a = {}}}", "{}", "{\"l\":[1,[2],{\"a\":{}}]}");
}

static void raw_bytes_survive(void **state)
{
    (void)state;
    must_begin("e.b = e.a; e.n = #e.a");
    const char *in = "{\"a\":1}";
    struct mr_err err;
    batch = events_of(stage.pool, &in, 1);
    batch->column[0].v[0] = (struct mr_value){.tag = MR_BYTES, .len = 4, .u.s = "\0\xff\n\x80"};
    mr_batch_touch(batch, 0);
    assert_int_equal(player.c->process(player.self, batch, &err), MR_OK);
    struct mr_value b = mr_batch_get(batch, 0, "b", 1), a = mr_batch_get(batch, 0, "a", 1);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.u.s, "\0\xff\n\x80", 4);
    assert_int_equal(a.tag, MR_BYTES);
    assert_int_equal(mr_batch_get(batch, 0, "n", 1).u.i, 4);
    end();
}

static void nested_writes_copy_what_they_change(void **state)
{
    (void)state;
    gives("e.a.b.c = 2", "{\"a\":{\"b\":{\"c\":1,\"d\":[1]},\"x\":1.50},\"k\":1e3}",
          "{\"a\":{\"b\":{\"c\":2,\"d\":[1]},\"x\":1.50},\"k\":1e3}");
    gives("e.a.new = {1}; e.a.b = nil", "{\"a\":{\"b\":1}}", "{\"a\":{\"new\":[1]}}");
    gives("table.insert(e.t, 'x'); e.t[1] = 'y'; e.n = #e.t", "{\"t\":[1,2]}",
          "{\"t\":[\"y\",2,\"x\"],\"n\":3}");
    gives("e.t[#e.t] = nil; e.f = table.remove(e.t, 1)", "{\"t\":[1,2,3]}", "{\"t\":[2],\"f\":1}");
    gives("local h = e.a.b; h.x = 1; e.a.b.y = 2; h.z = 3", "{\"a\":{\"b\":{}}}",
          "{\"a\":{\"b\":{\"x\":1,\"y\":2,\"z\":3}}}");
    gives("e.l[2].n = 5; e.l[1] = nil", "{\"l\":[{},{}]}", "{\"l\":[null,{\"n\":5}]}");
}

static void values_are_copied_when_they_are_assigned(void **state)
{
    (void)state;
    gives("e.b = e.a; e.a.x = 2", "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":2},\"b\":{\"x\":1}}");
    gives("e.a, e.b = e.b, e.a", "{\"a\":{\"x\":1},\"b\":{\"y\":2}}", "{\"a\":{\"y\":2},\"b\":{\"x\":1}}");
    gives("local h = e.a; h.x = 2; e.b = h; h.x = 3", "{\"a\":{\"x\":1}}",
          "{\"a\":{\"x\":3},\"b\":{\"x\":2}}");
    gives("local h = e.a; e.a = {y = 1}; h.x = 9", "{\"a\":{\"x\":1}}", "{\"a\":{\"y\":1}}");
    gives("e.copy = e", "{\"a\":[1]}", "{\"a\":[1],\"copy\":{\"a\":[1]}}");
}

static void pairs_and_ipairs_walk_events_and_fields(void **state)
{
    (void)state;
    gives("local s = '' for k, v in pairs(e) do s = s .. k .. '=' .. tostring(v) .. ' ' end e.s = s",
          "{\"a\":1,\"b\":\"x\",\"c\":[1,2]}",
          "{\"a\":1,\"b\":\"x\",\"c\":[1,2],\"s\":\"a=1 b=x c=list of 2 \"}");
    gives("local n = 0 for i, v in ipairs(e.l) do n = n + i * v end e.n = n", "{\"l\":[10,20]}",
          "{\"l\":[10,20],\"n\":50}");
    gives("for k in pairs(e.o) do e.o[k] = nil end", "{\"o\":{\"a\":1,\"b\":2,\"c\":3}}", "{\"o\":{}}");
    gives("for k, v in pairs(e) do if v == null then e[k] = nil end end", "{\"a\":null,\"b\":1,\"c\":null}",
          "{\"b\":1}");
}

static void methods_of_an_event(void **state)
{
    (void)state;
    gives("e.x = e:get('a.b[1]'); e.h = e:has('a.c'); e.t = e:get('a').b[2]", "{\"a\":{\"b\":[1,2]}}",
          "{\"a\":{\"b\":[1,2]},\"x\":2,\"h\":false,\"t\":2}");
    gives("local r = e:raw(); e.r = r", "{\"a\": 1}", "{\"a\":1,\"r\":\"{\\\"a\\\": 1}\"}");
    gives("local c = e:copy(); c.a = 2; e.b = c.a", "{\"a\":1}", "{\"a\":1,\"b\":2}");
}

static void what_each_returns_decides(void **state)
{
    (void)state;
    const char *in[] = {"{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"};
    must_begin("if e.n == 1 then return end if e.n == 2 then return false end "
               "if e.n == 3 then return nil, 'no good' end if e.n == 4 then return 7 end");
    run(in, 4);
    assert_int_equal(batch->fate[0], MR_KEPT);
    assert_int_equal(batch->fate[1], MR_DROPPED);
    assert_reason(2, "no good");
    assert_reason(3, "each returned a number");
    end();
}

static void a_list_makes_several_and_order_stays(void **state)
{
    (void)state;
    const char *in[] = {"{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"};
    must_begin("if e.n == 2 then return { {n = 21}, e, {n = 22} } end if e.n == 3 then return {} end");
    run(in, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(batch->fate[i], MR_REPLACED);
    assert_int_equal(stage.emitted_count, 1);
    struct mr_batch *b = stage.emitted[0];
    assert_int_equal(b->count, 5);
    const char *want[] = {"{\"n\":1}", "{\"n\":21}", "{\"n\":2}", "{\"n\":22}", "{\"n\":4}"};
    for (uint32_t i = 0; i < 5; i++)
        assert_event(b, b->sel[i], want[i]);
    end();
}

static void more_events_than_a_batch_holds_go_on_in_batches(void **state)
{
    (void)state;
    const char *in = "{\"n\":1}";
    must_begin("local t = {} for i = 1, 10000 do t[i] = {i = i} end return t");
    run(&in, 1);
    assert_int_equal(stage.emitted_count, 3);
    uint32_t seen = 0;
    for (uint32_t k = 0; k < 3; k++) {
        struct mr_batch *b = stage.emitted[k];
        assert_int_equal(b->rows, b->count);
        for (uint32_t i = 0; i < b->count; i++)
            assert_int_equal(mr_batch_get(b, b->sel[i], "i", 1).u.i, ++seen);
    }
    assert_int_equal(seen, 10000);
    end();
}

static void the_pipelines_byte_limit_rejects_the_event_that_asks_for_more(void **state)
{
    (void)state;
    const char *in[] = {"{\"n\":1}", "{\"n\":2}"};
    must_begin("if e.n == 1 then return {{a=1}} end");
    stage.batches_left = 0;
    run(in, 2);
    assert_reason(0, "byte limit");
    assert_int_equal(batch->fate[1], MR_KEPT);
    end();
}

static void an_error_names_the_line_and_the_event_and_touches_no_other(void **state)
{
    (void)state;
    const char *in[] = {"{\"n\":1}", "{\"n\":null}", "{\"n\":3}"};
    must_begin("\nlocal x = e.n + 1\ne.x = x");
    batch = events_of(stage.pool, in, 3);
    struct mr_err err;
    batch->source = MR_SLICE("app.log");
    for (int i = 0; i < 3; i++)
        batch->offset[i] = i * 100;
    assert_int_equal(player.c->process(player.self, batch, &err), MR_OK);
    assert_int_equal(batch->fate[0], MR_KEPT);
    assert_int_equal(batch->fate[2], MR_KEPT);
    assert_reason(1, "test/steps[1]: lua:2: attempt to perform arithmetic on a null value");
    assert_reason(1, "(event app.log:100)");
    assert_event(batch, 2, "{\"n\":3,\"x\":4}");
    end();
}

static void an_error_says_null_and_leaves_the_scripts_own_names_alone(void **state)
{
    (void)state;
    rejects("e.x = e.userdata + 1", "{\"userdata\":null}", "arithmetic on a null value (field 'userdata')");
    rejects("e.x = e.a < e.b", "{\"a\":null,\"b\":null}", "attempt to compare two null values");
    rejects("error('no userdata')", "{}", "no userdata");
}

static void the_date_before_1970_is_the_date_of_the_time(void **state)
{
    (void)state;
    const char *in = "{}";
    must_begin("e.a = os.date('!%Y-%m-%d %H:%M:%S'); e.b = os.date('!%Y-%m-%d %H:%M:%S', os.time())");
    stage.now = -500000000; /* half a second before */
    run(&in, 1);
    assert_event(batch, 0, "{\"a\":\"1969-12-31 23:59:59\",\"b\":\"1969-12-31 23:59:59\"}");
    end();
}

static void a_proxy_outside_of_its_handler_is_refused(void **state)
{
    (void)state;
    const char *in[] = {"{\"h\":{\"a\":1}}", "{\"h\":{\"a\":2}}"};
    must_begin("local kept = {}\nfunction each(e, m)\n if kept.h then local x = kept.h.a end\n kept.h = "
               "e.h\n kept.e = e\nend\n"
               "function tick(emit) local x = kept.e.h end");
    run(in, 2);
    assert_int_equal(batch->fate[0], MR_KEPT);
    assert_reason(1, "event used outside its handler");
    struct mr_err err;
    assert_int_equal(player.c->on_timer(player.self, &err), MR_OK);
    assert_told(&stage, "event used outside its handler");
    end();
}

static void metadata_is_read_and_written(void **state)
{
    (void)state;
    const char *in = "{}";
    must_begin("e.k = m.key; e.t = m.ts; e.s = m.source; e.o = m.offset; e.p = m.partition; e.to = m.topic\n"
               "e.h = m.headers.a; m.headers.b = 'new'; m.key = 'k2'; m.ts = 5");
    batch = events_of(stage.pool, &in, 1);
    struct mr_err err;
    batch->source = MR_SLICE("orders");
    batch->partition = 3;
    batch->time[0] = 1234567890123456789;
    batch->offset[0] = 77;
    batch->key[0] = mr_value_string(MR_SLICE("k1"));
    assert_int_equal(player.c->process(player.self, batch, &err), MR_OK);
    if (batch->fate[0] != MR_KEPT)
        fail_msg("%.*s", MR_SLICE_ARG(mr_batch_reason(batch, 0)));
    assert_event(
        batch, 0,
        "{\"k\":\"k1\",\"t\":1234567890123456789,\"s\":\"orders\",\"o\":77,\"p\":3,\"to\":\"orders\"}");
    assert_int_equal(batch->time[0], 5);
    assert_true(mr_slice_eq(mr_value_text(&batch->key[0]), MR_SLICE("k2")));
    assert_int_equal(batch->headers[0].len, 1);
    assert_string_equal(batch->headers[0].u.object[0].name, "b");
    end();
    rejects("m.topic = 'x'", "{}", "m.topic cannot be changed");
    rejects("local x = m.tpoic", "{}", "m has no 'tpoic'");
}

static void a_script_has_init_each_tick_and_close(void **state)
{
    (void)state;
    stage_open(&stage);
    struct mr_member with[] = {{.name = "by", .name_len = 2, .v = mr_value_int(10)}};
    struct given g[] = {{"code", text_value("local by, n = 1, 0\n"
                                            "function init(cfg) by = cfg.by end\n"
                                            "function each(e, m) n = n + by e.n = n end\n"
                                            "function tick(emit) emit{total = n} end\n"
                                            "function close(emit) emit{last = n} end\n")},
                        {"with", {.tag = MR_OBJECT, .len = 1, .u.object = with}},
                        {"every", text_value("10s")}};
    stage.mono = 500;
    assert_int_equal(player_open(&player, &stage, &mr_lua_step, g, 3), MR_OK);
    assert_int_equal(stage.timer, 10500);
    const char *in[] = {"{}", "{}"};
    run(in, 2);
    assert_event(batch, 1, "{\"n\":20}");
    struct mr_err err;
    stage.mono = 10500;
    assert_int_equal(player.c->on_timer(player.self, &err), MR_OK);
    assert_int_equal(stage.timer, 20500);
    assert_int_equal(player.c->finish(player.self, &err), MR_OK);
    assert_int_equal(stage.emitted_count, 2);
    assert_event(stage.emitted[0], 0, "{\"total\":20}");
    assert_event(stage.emitted[1], 0, "{\"last\":20}");
    end();
}

static void batch_sees_every_event_and_emits(void **state)
{
    (void)state;
    const char *in[] = {"{\"n\":1}", "{\"n\":2}", "{\"n\":3}"};
    must_begin("function batch(b, emit)\n local sum = 0\n for e, m in b:events() do\n  sum = sum + e.n\n"
               "  if e.n == 2 then e:drop() end\n  if e.n == 3 then e:reject('three') end\n end\n"
               " emit{sum = sum, of = #b}\nend");
    run(in, 3);
    assert_int_equal(batch->fate[0], MR_KEPT);
    assert_int_equal(batch->fate[1], MR_DROPPED);
    assert_reason(2, "three");
    assert_int_equal(stage.emitted_count, 1);
    assert_event(stage.emitted[0], 0, "{\"of\":3,\"sum\":6}");
    end();
}

static void unknown_names_are_found_before_anything_runs(void **state)
{
    (void)state;
    refused("e.x = nett.mask(e.x, 24)", "lua:1: 'nett' is not defined; did you mean 'net'?");
    refused("local a = 1\ncount = 2", "lua:2: 'count' is a new global: write 'local count'");
    refused("function each(e, m)\n n = 1\nend", "lua:2: 'n' is a new global");
    refused("function each(e, m)\n return helper(e)\nend", "'helper' is not defined");
    refused("e.x = = 1", "lua:1: unexpected symbol near '='");
    refused("if e.x then", "'end' expected near <eof>");
    must_begin("n = 0\nlocal function help() return n end\nfunction each(e, m) n = help() + 1 e.n = n end");
    end();
}

static void a_caret_stands_on_the_line_at_fault(void **state)
{
    (void)state;
    assert_int_equal(begin("local a = 1\nlocal b = 2\ne.x = nett.x"), MR_BADCONF);
    assert_string_equal(player.err.option, "code");
    assert_int_equal(player.err.at, 24);
    end();
}

static void the_library_answers(void **state)
{
    (void)state;
    gives("e.c = net.mask(e.c, 24)", "{\"c\":\"10.1.2.3\"}", "{\"c\":\"10.1.2.0\"}");
    gives("e.c = net.mask(e.c, 48)", "{\"c\":\"2001:db8:1:2::3\"}", "{\"c\":\"2001:db8:1::\"}");
    rejects("e.c = net.mask(e.c, 24)", "{\"c\":\"-\"}", "net.mask: '-' is not an IPv4 or IPv6 address");
    gives("e.a = net.in_cidr('10.9.1.1', '10.0.0.0/8'); e.b = net.is_private('8.8.8.8')", "{}",
          "{\"a\":true,\"b\":false}");
    gives("e.o = json.decode('{\"a\":[],\"b\":1.0}'); e.s = json.encode{2, {b = null}}", "{}",
          "{\"o\":{\"a\":[],\"b\":1.0},\"s\":\"[2,{\\\"b\\\":null}]\"}");
    gives("e.t = time.now(); e.f = time.format(e.t); e.m = time.floor(e.t, '1m') ; e.p = time.parse(e.f)",
          "{}",
          "{\"t\":1760104510000000000,\"f\":\"2025-10-10T13:55:10Z\",\"m\":1760104500000000000,"
          "\"p\":1760104510000000000}");
    gives("e.c = hash.crc32('123456789'); e.s = hash.sha256('abc')", "{}",
          "{\"c\":3421780262,\"s\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}");
    gives(
        "e.a = codec.b64('ab'); e.b = codec.unb64('YWI='); e.c = codec.hex('a\\n'); e.d = codec.url('a "
        "b/\xc3\xa4'); "
        "e.f = codec.unurl('a%20b+c'); e.g = codec.unhex('6162')",
        "{}",
        "{\"a\":\"YWI=\",\"b\":\"ab\",\"c\":\"610a\",\"d\":\"a%20b%2F%C3%A4\",\"f\":\"a b c\",\"g\":\"ab\"}");
    gives("local p = str.split(e.s, ',', 2); e.a = p[1]; e.b = str.trim(p[2]); e.c = e.s:starts('a') and "
          "e.s:contains(',')",
          "{\"s\":\"a, b,c \"}", "{\"s\":\"a, b,c \",\"a\":\"a\",\"b\":\"b,c\",\"c\":true}");
    gives("e.d = os.date('!%Y-%m-%d', os.time())", "{}", "{\"d\":\"2025-10-10\"}");
}

static void patterns_of_pcre_find_and_replace(void **state)
{
    (void)state;
    gives("local y, m = re.match(e.s, '(\\\\d{4})-(\\\\d\\\\d)'); e.y = y; e.m = m; e.w = re.match(e.s, "
          "'[a-z]+')",
          "{\"s\":\"on 2025-10-11\"}", "{\"s\":\"on 2025-10-11\",\"y\":\"2025\",\"m\":\"10\",\"w\":\"on\"}");
    gives("local a, b, c, d = re.find('xaab', '(a+)(z)?'); e.a = a; e.b = b; e.c = c; e.d = d == nil", "{}",
          "{\"a\":2,\"b\":3,\"c\":\"aa\",\"d\":true}");
    gives("e.a = re.gsub('a1b22', '[0-9]+', '<%0>'); e.b = (re.gsub('abc', '', '-')); "
          "e.c = re.gsub('k=v', '(k)=(v)', '%2=%1%%'); e.d = re.gsub('aXbX', 'X', function(x) return '!' "
          "end, 1); "
          "e.f = re.gsub('a b', '[ab]', {a = 'x'})",
          "{}", "{\"a\":\"a<1>b<22>\",\"b\":\"-a-b-c-\",\"c\":\"v=k%\",\"d\":\"a!bX\",\"f\":\"x b\"}");
    gives("e.n = re.match('abc', 'x') == nil; e.z = re.find('', '^$')", "{}", "{\"n\":true,\"z\":1}");
    rejects("re.match('x', '(')", "{}", "pattern '(': byte 1");
    rejects("re.gsub('x', 'x', '%1')", "{}", "groups are %0 to %0");
    rejects("re.match(('a'):rep(60) .. 'cb', '^(a|a)*b')", "{}",
            "gave up on a text of 62 bytes: match limit exceeded");
    gives("for i = 1, 1000 do local x = re.match('v' .. i, 'v' .. i) assert(x) end", "{}", "{}");
}

static void scripts_tell_and_count(void **state)
{
    (void)state;
    const char *in = "{}";
    must_begin("log.warn('hot: ' .. 3) print('a', 1) metric.count('seen_events', 2)");
    run(&in, 1);
    assert_told(&stage, "warn: hot: 3");
    assert_told(&stage, "info: a\t1");
    assert_memory_equal(stage.counted.p, "seen_events +2\n", 15);
    end();
    rejects("metric.count('Not Good')", "{}", "a-z, 0-9 and _");
}

static void the_environment_is_closed_unless_listed(void **state)
{
    (void)state;
    rejects("e.x = env.HOME", "{}", "env.HOME is not allowed");
    assert_int_equal(setenv("MR_LUA_TEST", "blue", 1), 0);
    stage_open(&stage);
    struct mr_value names[] = {text_value("MR_LUA_TEST")};
    struct given g[] = {{"code", text_value("e.x = env.MR_LUA_TEST")},
                        {"env", {.tag = MR_LIST, .len = 1, .u.list = names}}};
    assert_int_equal(player_open(&player, &stage, &mr_lua_step, g, 2), MR_OK);
    const char *in = "{}";
    run(&in, 1);
    assert_event(batch, 0, "{\"x\":\"blue\"}");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_event_leaves_as_it_came),
        cmocka_unit_test(fields_are_read_and_written),
        cmocka_unit_test(numbers_keep_what_they_are),
        cmocka_unit_test(null_is_not_absent),
        cmocka_unit_test(empty_lists_and_objects_survive),
        cmocka_unit_test(raw_bytes_survive),
        cmocka_unit_test(nested_writes_copy_what_they_change),
        cmocka_unit_test(values_are_copied_when_they_are_assigned),
        cmocka_unit_test(pairs_and_ipairs_walk_events_and_fields),
        cmocka_unit_test(methods_of_an_event),
        cmocka_unit_test(what_each_returns_decides),
        cmocka_unit_test(a_list_makes_several_and_order_stays),
        cmocka_unit_test(more_events_than_a_batch_holds_go_on_in_batches),
        cmocka_unit_test(the_pipelines_byte_limit_rejects_the_event_that_asks_for_more),
        cmocka_unit_test(an_error_names_the_line_and_the_event_and_touches_no_other),
        cmocka_unit_test(an_error_says_null_and_leaves_the_scripts_own_names_alone),
        cmocka_unit_test(the_date_before_1970_is_the_date_of_the_time),
        cmocka_unit_test(a_proxy_outside_of_its_handler_is_refused),
        cmocka_unit_test(metadata_is_read_and_written),
        cmocka_unit_test(a_script_has_init_each_tick_and_close),
        cmocka_unit_test(batch_sees_every_event_and_emits),
        cmocka_unit_test(unknown_names_are_found_before_anything_runs),
        cmocka_unit_test(a_caret_stands_on_the_line_at_fault),
        cmocka_unit_test(the_library_answers),
        cmocka_unit_test(patterns_of_pcre_find_and_replace),
        cmocka_unit_test(scripts_tell_and_count),
        cmocka_unit_test(the_environment_is_closed_unless_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
