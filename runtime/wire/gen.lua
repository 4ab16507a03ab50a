-- gen.lua - turns the tables in schema/*.lua into wire/messages.h and wire/messages.c at build time.
--
--   lua5.4 gen.lua OUT_DIR SCHEMA.lua...
--
-- The notation. `api` declares a request and its response:
--
--   api { "offset_fetch", key = 9, versions = "1-10", flexible = "6+", unstable = "11+",
--       request = { FIELD, ... }, response = { FIELD, ... } }
--
-- and `message` declares one that stands alone, within a field or a record of others:
--
--   message { "consumer_assignment", versions = "0-3", fields = { FIELD, ... } }
--
-- A field is a line of words, its name and its type first:
--
--   "name type"             in every version
--   "name type 3-7"         in versions 3 to 7; "3" is 3 alone, "3+" from 3 on
--   "name string?"          may be null; "string?2+": in versions from 2 on
--   "name []int32"          an array; "[]int32?": which may be null
--   "name int32 =-1"        its value where a version does not have it; else 0, false or empty; "=null"
--   "name int32 12+ #0"     a tagged field with tag 0: it stands behind the struct's others, and only when it
--                           differs from its default
--   { "name []topic", FIELD, ... }    a struct of its own, here in an array; `topic` is the struct's name,
--                           struct mr_offset_fetch_request_topic in C
--   "name []node_endpoint"  a struct of `common { "node_endpoint", FIELD, ... }`, shared by messages
--
-- Types: bool int8 int16 int32 int64 uint16 float64 uuid string bytes records. Fields stand in the order of
-- the wire. Whether a compact form is on the wire follows from the version alone, so nobody writes it down.

local out_dir = assert(arg[1], "usage: gen.lua OUT_DIR SCHEMA.lua...")

-- ------------------------------------------------------------------ words about types

local NEVER = 127
local MAX_DEPTH = 8 -- message.c recurses as deep

--           name      C type             bytes at least, old and flexible
local types = {
    bool = { c = "bool", least = 1, flexible = 1 },
    int8 = { c = "int8_t", least = 1, flexible = 1 },
    int16 = { c = "int16_t", least = 2, flexible = 2 },
    int32 = { c = "int32_t", least = 4, flexible = 4 },
    int64 = { c = "int64_t", least = 8, flexible = 8 },
    uint16 = { c = "uint16_t", least = 2, flexible = 2 },
    float64 = { c = "double", least = 8, flexible = 8 },
    uuid = { c = "struct mr_uuid", least = 16, flexible = 16 },
    string = { c = "struct mr_slice", least = 2, flexible = 1 },
    bytes = { c = "struct mr_slice", least = 4, flexible = 1 },
    records = { c = "struct mr_slice", least = 4, flexible = 1 },
}
local can_be_null = { string = true, bytes = true, records = true }
local integer = { bool = true, int8 = true, int16 = true, int32 = true, int64 = true, uint16 = true }
local keywords = {}
for word in ("auto break case char const continue default do double else enum extern float for goto if " ..
    "inline int long register restrict return short signed sizeof static struct switch typedef union " ..
    "unsigned void volatile while"):gmatch("%S+") do
    keywords[word] = true
end

local where = "?" -- what is being read, for complaints

local function complain(format, ...)
    io.stderr:write(where, ": ", format:format(...), "\n")
    os.exit(1)
end

-- "3", "3-7" or "3+" as first and last version, within first and last of the message
local function range(text, min, max)
    local a, b = text:match("^(%d+)%-(%d+)$")
    if not a then
        a, b = text:match("^(%d+)(%+?)$")
        if not a then complain("'%s' is no range of versions; write 3, 3-7 or 3+", text) end
        b = b == "+" and max or a
    end
    a, b = tonumber(a), tonumber(b)
    if a > b or b > max then complain("versions '%s' do not lie within %d-%d", text, min, max) end
    return math.max(a, min), b
end

-- ------------------------------------------------------------------ reading the tables

local commons, common_order, apis, seen_keys, alone = {}, {}, {}, {}, {}

local function parse_line(line, min, max)
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    local name, kind = words[1], words[2]
    if not name or not name:match("^[a-z][a-z0-9_]*$") then
        complain("field '%s' has no proper name", line)
    end
    if keywords[name] then complain("field '%s': its name is a word of C", line) end
    if not kind then complain("field '%s' has no type", line) end
    local array, base, null = kind:match("^(%[?%]?)([a-z][a-z0-9_]*)(%??[%d%-+]*)$")
    if not base then complain("field '%s': '%s' is no type", line, kind) end
    local f = { name = name, array = array == "[]", type = base, from = min, to = max, tag = -1,
                null_from = 1, null_to = 0 }
    if null == "?" then
        f.null_from, f.null_to = min, max
    elseif null ~= "" then
        f.null_from, f.null_to = range(null:sub(2), min, max)
    end
    for i = 3, #words do
        local word = words[i]
        local mark = word:sub(1, 1)
        if mark == "#" then
            f.tag = tonumber(word:sub(2)) or complain("field '%s': '%s' is no tag", line, word)
        elseif mark == "=" then
            f.default = word:sub(2)
        else
            f.from, f.to = range(word, min, max)
        end
    end
    return f
end

local function nullable(f, version)
    return f.null_from <= version and version <= f.null_to
end

-- struct = { name, c_name, fields }, fields sorted as the wire has them
local function parse_struct(struct, lines, message, depth)
    if depth > MAX_DEPTH then complain("structs of '%s' nest deeper than %d", struct.name, MAX_DEPTH) end
    local names, tags = {}, {}
    struct.fields = {}
    for i = struct.first or 1, #lines do
        local item = lines[i]
        local own = type(item) == "table"
        local f = parse_line(own and item[1] or item, message.min, message.max)
        local shared = commons[f.type]
        f.order = i
        if names[f.name] then complain("field '%s' stands twice in '%s'", f.name, struct.name) end
        names[f.name] = true
        if own or shared then
            if own and (types[f.type] or shared) then
                complain("struct '%s' has the name of a type", f.type)
            end
            if own and message.structs[f.type] then
                complain("two structs of one message are named '%s'", f.type)
            end
            local c_name = own and struct.message_c .. "_" .. f.type or "mr_" .. f.type
            f.of = { name = message.name .. "." .. f.name, c_name = c_name, message_c = struct.message_c,
                     shared = not own, first = 2, id = struct.id .. "_" .. f.name }
            if own then message.structs[f.type] = true end
            parse_struct(f.of, own and item or shared, message, depth + 1)
            f.c = "struct " .. c_name
        elseif types[f.type] then
            f.c = types[f.type].c
        else
            complain("field '%s': no type and no common struct is named '%s'", f.name, f.type)
        end
        f.pointer = f.of ~= nil and not f.array and f.null_to >= f.null_from
        if not f.of and not f.array and f.null_to >= f.null_from and not can_be_null[f.type] then
            complain("field '%s': '%s' cannot be null", f.name, f.type)
        end
        if f.tag >= 0 then
            if f.from < message.flexible then complain("tagged field '%s' is older than flexible", f.name) end
            if tags[f.tag] then complain("tag %d stands twice in '%s'", f.tag, struct.name) end
            if f.pointer or f.type == "records" then complain("field '%s' cannot be tagged", f.name) end
            tags[f.tag] = true
        end
        if f.default == "null" then
            if f.null_to < f.null_from then
                complain("field '%s' is null by default but never may be", f.name)
            end
        elseif f.default and (f.array or not integer[f.type]) then
            complain("field '%s' can have no default '%s'", f.name, f.default)
        end
        struct.fields[#struct.fields + 1] = f
    end
    table.sort(struct.fields, function(a, b)
        if (a.tag < 0) ~= (b.tag < 0) then return a.tag < 0 end
        if a.tag ~= b.tag then return a.tag < b.tag end
        return a.order < b.order
    end)
end

-- bytes that a struct has at least on the wire in this version
local function least(struct, version, flexible)
    local function element(f)
        if f.of then return least(f.of, version, flexible) end
        return flexible and types[f.type].flexible or types[f.type].least
    end
    local sum = flexible and 1 or 0 -- the count of tagged fields
    for _, f in ipairs(struct.fields) do
        if f.tag < 0 and f.from <= version and version <= f.to then
            if f.array then
                sum = sum + (flexible and 1 or 4)
                if element(f) == 0 then
                    complain("elements of '%s' have no bytes in version %d", f.name, version)
                end
            elseif f.pointer and nullable(f, version) then
                sum = sum + 1
            else
                sum = sum + element(f)
            end
        end
    end
    return sum
end

local function message_of(api, lines, direction)
    local name = api.name .. (direction and "_" .. direction or "")
    where = api.file .. ": " .. name
    local message = { name = name, where = where, structs = {},
                      min = api.min, max = api.max, flexible = api.flexible }
    local root = { name = name, c_name = "mr_" .. name, message_c = "mr_" .. name, id = name }
    parse_struct(root, lines or complain("is missing"), message, 1)
    message.root = root
    return message
end

local file

local function versions_of(t)
    local min, max = tostring(t.versions):match("^(%d+)%-?(%d*)$")
    if not min then complain("versions '%s' are no range such as 0-5", tostring(t.versions)) end
    local function from(text)
        return text and tonumber(text:match("^(%d+)%+$") or complain("'%s' is no 3+", text))
    end
    min = tonumber(min)
    max = tonumber(max) or min
    return { name = t[1], min = min, max = max, flexible = from(t.flexible) or NEVER,
             stable = (from(t.unstable) or max + 1) - 1, file = file, tables = t }
end

local words = {
    common = function(t)
        where = file .. ": common '" .. tostring(t[1]) .. "'"
        if commons[t[1]] or types[t[1]] then complain("is declared twice") end
        commons[t[1]] = t
        common_order[#common_order + 1] = t[1]
    end,
    api = function(t)
        where = file .. ": api '" .. tostring(t[1]) .. "'"
        if seen_keys[t.key] then complain("key %d is that of '%s'", t.key, seen_keys[t.key]) end
        seen_keys[t.key] = t[1]
        apis[#apis + 1] = versions_of(t)
        apis[#apis].key = t.key
    end,
    message = function(t)
        where = file .. ": message '" .. tostring(t[1]) .. "'"
        alone[#alone + 1] = versions_of(t)
    end,
}

table.sort(arg, function(a, b) -- common.lua first, the others by name
    local x, y = a:match("common%.lua$") and 0 or 1, b:match("common%.lua$") and 0 or 1
    if x ~= y then return x < y end
    return a < b
end)
for _, path in ipairs(arg) do
    if path ~= out_dir then
        file = path:match("[^/]+$")
        local chunk, why = loadfile(path, "t", words)
        if not chunk then
            io.stderr:write(why, "\n")
            os.exit(1)
        end
        chunk()
    end
end
for _, api in ipairs(apis) do
    api.request = message_of(api, api.tables.request, "request")
    api.response = message_of(api, api.tables.response, "response")
end
for _, m in ipairs(alone) do m.message = message_of(m, m.tables.fields) end
table.sort(apis, function(a, b) return a.key < b.key end)

-- ------------------------------------------------------------------ writing C

local header, source = {}, {}
local function h(format, ...) header[#header + 1] = format:format(...) end
local function c(format, ...) source[#source + 1] = format:format(...) end

local function print_struct(struct)
    for _, f in ipairs(struct.fields) do
        if f.of and not f.of.shared then print_struct(f.of) end
    end
    h("struct %s {", struct.c_name)
    local by_order = table.move(struct.fields, 1, #struct.fields, 1, {})
    table.sort(by_order, function(a, b) return a.order < b.order end)
    for _, f in ipairs(by_order) do
        if f.array then h("    int32_t %s_count;", f.name) end
        h("    %s %s%s;", f.c, (f.array or f.pointer) and "*" or "", f.name)
    end
    if #by_order == 0 then h("    char nothing; /* the message has no fields */") end
    h("};")
    h("")
end

-- every struct but the shared ones has a shape of its own name, and an init
local function print_inits(struct)
    for _, f in ipairs(struct.fields) do
        if f.of and not f.of.shared then print_inits(f.of) end
    end
    local n = struct.c_name
    h("extern const struct mr_shape %s_shape;", n)
    h("static inline void %s_init(struct %s *m)", n, n)
    h("{")
    h("    mr_message_init(&%s_shape, m);", n)
    h("}")
end

local function shape_name(struct)
    return (struct.shared and struct.id or struct.c_name) .. "_shape"
end

local function print_functions(m)
    local n = m.root.c_name
    print_inits(m.root)
    h("static inline mr_code %s_read(struct mr_slice *in, int16_t version, struct mr_arena *arena,", n)
    h("                              struct %s *out, struct mr_err *err)", n)
    h("{")
    h("    return mr_message_read(&%s_shape, in, version, arena, out, err);", n)
    h("}")
    h("static inline mr_code %s_write(struct mr_buf *out, int16_t version, const struct %s *m,", n, n)
    h("                               struct mr_err *err)")
    h("{")
    h("    return mr_message_write(&%s_shape, out, version, m, NULL, err);", n)
    h("}")
    h("")
end

local function c_int(text)
    if not text or text == "null" or text == "false" then return "0" end
    if text == "true" then return "1" end
    local v = math.tointeger(tonumber(text)) or complain("default '%s' is no integer", text)
    if v == math.mininteger then return "INT64_MIN" end
    return ("INT64_C(%d)"):format(v)
end

local function print_tables(struct, m)
    local tagged_at = #struct.fields
    for i, f in ipairs(struct.fields) do
        if f.of then print_tables(f.of, m) end
        if f.tag >= 0 and i - 1 < tagged_at then tagged_at = i - 1 end
    end
    local sizes = {}
    for v = m.min, m.max do sizes[#sizes + 1] = least(struct, v, v >= m.flexible) end
    c("static const uint16_t %s_least[] = {%s};", struct.id, table.concat(sizes, ", "))
    if #struct.fields > 0 then
        c("static const struct mr_field %s_fields[] = {", struct.id)
        for _, f in ipairs(struct.fields) do
            c('    {"%s", %s, %s, offsetof(struct %s, %s), %s, MR_FIELD_%s, %s, %s, %s, %d, %d, %d, %d, %d},',
                f.name, f.of and "&" .. shape_name(f.of) or "NULL", c_int(f.default), struct.c_name,
                f.name, f.array and ("offsetof(struct %s, %s_count)"):format(struct.c_name, f.name) or "0",
                f.of and "STRUCT" or f.type:upper(), tostring(f.array), tostring(f.pointer),
                tostring(f.default == "null"), f.from, f.to, f.null_from, f.null_to, f.tag)
        end
        c("};")
    end
    c("%sconst struct mr_shape %s = {", struct.shared and "static " or "", shape_name(struct))
    c('    "%s", %s, %s_least, %d, %d, sizeof(struct %s), %d, %d, %d};', struct.name,
        #struct.fields > 0 and struct.id .. "_fields" or "NULL", struct.id, #struct.fields, tagged_at,
        struct.c_name, m.min, m.max, m.flexible)
    c("")
end

h("/* messages.h - made from wire/schema by wire/gen.lua: change those. Included by wire/message.h. */")
h("#ifndef MR_WIRE_MESSAGES_H")
h("#define MR_WIRE_MESSAGES_H")
h("")
for _, name in ipairs(common_order) do
    local struct = { name = name, c_name = "mr_" .. name, message_c = "mr_" .. name, id = name, first = 2 }
    where = "common '" .. name .. "'"
    local any = { name = name, min = 0, max = NEVER - 1, flexible = 0, structs = {} }
    parse_struct(struct, commons[name], any, 1)
    print_struct(struct)
end
h("enum {")
for _, api in ipairs(apis) do h("    MR_API_%s = %d,", api.name:upper(), api.key) end
h("};")
h("")
c("/* messages.c - made from wire/schema by wire/gen.lua: change those. */")
c('#include "wire/message.h"')
c("")
local function print_message(m)
    where = m.where
    print_struct(m.root)
    print_functions(m)
    print_tables(m.root, m)
end
for _, api in ipairs(apis) do
    print_message(api.request)
    print_message(api.response)
end
for _, m in ipairs(alone) do print_message(m.message) end
h("#endif")

c("const struct mr_shape *const mr_messages[] = {")
for _, api in ipairs(apis) do c("    &mr_%s_request_shape, &mr_%s_response_shape,", api.name, api.name) end
for _, m in ipairs(alone) do c("    &mr_%s_shape,", m.name) end
c("};")
c("const size_t mr_messages_count = %d;", 2 * #apis + #alone)
c("")
c("const struct mr_api mr_apis[] = {")
local slots, top = {}, 0
for i, api in ipairs(apis) do
    c('    {"%s", &mr_%s_request_shape, &mr_%s_response_shape, %d, %d, %d, %d, %d},', api.name, api.name,
        api.name, api.key, api.min, api.max, api.flexible, api.stable)
    slots[api.key] = i
    top = math.max(top, api.key)
end
c("};")
c("const size_t mr_apis_count = %d;", #apis)
c("")
local index = {}
for key = 0, top do index[#index + 1] = slots[key] or 0 end
c("/* by key: 1 + index into mr_apis, 0 where there is none */")
c("static const uint8_t by_key[] = {%s};", table.concat(index, ", "))
c("")
c("const struct mr_api *mr_api_find(int16_t key)")
c("{")
c("    if (key < 0 || (size_t)key >= sizeof by_key || by_key[key] == 0)")
c("        return NULL;")
c("    return &mr_apis[by_key[key] - 1];")
c("}")

local function save(name, lines)
    local f = assert(io.open(out_dir .. "/" .. name, "w"))
    assert(f:write(table.concat(lines, "\n"), "\n"))
    assert(f:close())
end
save("messages.h", header)
save("messages.c", source)
