-- gen_test.lua - a wrong table is refused by wire/gen.lua with words that say where and what.
--
--   lua5.4 gen_test.lua SOURCE_DIR WORK_DIR

local source, work = arg[1], arg[2]

local function write(path, text)
    local f = assert(io.open(path, "w"))
    f:write(text)
    f:close()
end

-- runs gen.lua over one table, answers whether it took it, and what it said
local function generate(text)
    write(work .. "/wrong.lua", text)
    local command = "lua5.4 '%s/runtime/wire/gen.lua' '%s' '%s/wrong.lua' 2>&1"
    local pipe = assert(io.popen(command:format(source, work, work)))
    local said = pipe:read("a")
    return pipe:close() == true, said
end

local function api(request, extra)
    return ('api { "x", key = 1, versions = "0-5", flexible = "3+",%s request = { %s }, response = {} }')
        :format(extra or "", request)
end

local rows = {
    -- name, table, what is said (nil: it is taken)
    { "a proper table is taken", api '"a string?2+ 1-4 =null", { "b []c", "e int8", "d int32 3+ #0 =-1" }' },
    { "a type that is not known", api '"a int33"', "no type and no common struct is named 'int33'" },
    { "a field without type", api '"a"', "field 'a' has no type" },
    { "a name of C", api '"int int32"', "word of C" },
    { "a name with capitals", api '"Topics int32"', "no proper name" },
    { "a name twice", api '"a int32", "a int8"', "field 'a' stands twice" },
    { "a version beyond the message", api '"a int32 6+"', "do not lie within 0-5" },
    { "versions the wrong way round", api '"a int32 4-2"', "do not lie within" },
    { "a range that is none", api '"a int32 v3"', "is no range of versions" },
    { "a tag before flexible versions", api '"a int32 2+ #0"', "older than flexible" },
    { "a tag twice", api '"a int32 3+ #0", "b int32 3+ #0"', "tag 0 stands twice" },
    { "an integer that may be null", api '"a int32?"', "cannot be null" },
    { "null by default that never may be", api '"a string =null"', "never may be" },
    { "a default of an array", api '"a []int32 =3"', "no default" },
    { "two structs of one name", api '{ "a []c", "d int8" }, { "b []c", "d int8" }', "two structs" },
    { "elements without bytes", api '{ "a []c", "d int32 2+" }', "no bytes in version 0" },
    { "a key twice", api '"a int8"' .. "\n" .. api '"a int8"', "key 1 is that of 'x'" },
    { "versions of no shape", 'message { "x", versions = "all", fields = {} }', "no range such as" },
    { "a response that is missing", 'api { "x", key = 1, versions = "0", request = {} }', "x_response: is missing" },
    { "a file that is not Lua", "api {", "expected" },
}

local failed = 0
for _, row in ipairs(rows) do
    local taken, said = generate(row[2])
    local good
    if row[3] then
        good = not taken and said:find(row[3], 1, true) and said:find("wrong.lua", 1, true)
    else
        good = taken
    end
    print((good and "ok      " or "FAILED  ") .. row[1])
    if not good then
        print("        it said: " .. said)
        failed = failed + 1
    end
end
os.exit(failed == 0 and 0 or 1)
