// json_simdjson_test.cc - our reader and simdjson accept and refuse the same texts: random changes to JSON.
//
// Known differences, each looked for by what it is: simdjson has no numbers beyond 64 bits or a double, and
// no byte order mark; ours has no depth beyond 128.
#include <csetjmp>
#include <simdjson.h> // first: cmocka has macros named as its functions are

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>
extern "C" {
#include <cmocka.h>
int ours_accepts(const char *text, size_t len, const char **broken);
int ours_has_wide_number(const char *text, size_t len);
uint64_t random_below(uint64_t *seed, uint64_t bound);
}

static const std::vector<std::string> samples = {
    R"({"ts":"2026-03-01T00:00:00.000Z","level":"info","http":{"method":"GET","path":"/a?q=1","status":404,"dur_ms":41.4},"user":{"id":417,"tier":"free"},"tags":["checkout","delivery"],"retry":false})",
    R"({"a":[1,-2.5e-3,0,-0,1E+10,123456789012345678],"b":{"c":{"d":{"e":[[],{},[[]]]}}},"n":null,"t":true})",
    "{\"text\":\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude39 \xc3\xa9 \xe2\x82\xac "
    "\xf0\x9f\x98\xb9\",\"\\u0061\":\"x\",\"a\":\"y\"}",
    " [ 1 , \"two\" , { \"three\" : 3 } , [ ] , { } ]\n",
    R"(["0123456789012345678901234567890123456789","\u0000\uD834\uDd1e","","            "])",
    "{\n  \"pretty\": {\n    \"printed\": [\n      1,\n      2\n    ]\n  }\n}\n",
    R"({"a":1,"a":2,"b":{"x":1,"x":[1,2,3]},"long-name-that-is-longer-than-a-register-is-wide":"v"})",
    "true",
    "null",
    "-12.5e3",
    "\"s\"",
};

static std::string changed(uint64_t *seed)
{
    static const char bytes[] =
        "{}[]:,\"\\ \n\t0123456789-+.eEtrufalsn/\x00\x1f\x7f\x80\xbf\xc2\xe0\xed\xa0\xf0\xf4\xff";
    std::string s = samples[random_below(seed, samples.size())];
    for (uint64_t n = 1 + random_below(seed, 3); n > 0; n--) {
        size_t at = random_below(seed, s.size() + 1);
        char c = bytes[random_below(seed, sizeof bytes - 1)];
        switch (random_below(seed, 6)) {
        case 0:
            s.insert(at, 1, c);
            break;
        case 1:
            if (at < s.size())
                s.erase(at, 1 + random_below(seed, 3));
            break;
        case 2:
            if (at < s.size())
                s[at] = c;
            break;
        case 3: { // a piece of it once more
            size_t from = random_below(seed, s.size() + 1);
            s.insert(at, s.substr(from, random_below(seed, 12)));
            break;
        }
        case 4: {
            const std::string &o = samples[random_below(seed, samples.size())];
            size_t from = random_below(seed, o.size());
            s.insert(at, o.substr(from, random_below(seed, 20)));
            break;
        }
        default:
            if (random_below(seed, 4) == 0)
                s.resize(at);
            break;
        }
    }
    return s;
}

static void both_accept_and_refuse_the_same(void **)
{
    simdjson::dom::parser parser;
    const char *one = getenv("MR_SEED");
    uint64_t from = one ? strtoull(one, nullptr, 10) : 1, to = one ? from + 1 : 150000, accepted = 0;
    for (uint64_t n = from; n < to; n++) {
        uint64_t seed = n * 1000;
        std::string s = changed(&seed);
        const char *broken = nullptr;
        bool ours = ours_accepts(s.data(), s.size(), &broken) != 0;
        if (broken)
            fail_msg("MR_SEED=%llu: '%s': broken: %s", (unsigned long long)n, s.c_str(), broken);
        simdjson::error_code error = parser.parse(simdjson::padded_string(s)).error();
        bool theirs = error == simdjson::SUCCESS;
        accepted += ours;
        if (ours == theirs)
            continue;
        if (ours && !theirs && ours_has_wide_number(s.data(), s.size()))
            continue;
        fail_msg("MR_SEED=%llu: ours %d, theirs %d (%s): '%s'", (unsigned long long)n, ours, theirs,
                 simdjson::error_message(error), s.c_str());
    }
    if (!one)
        assert_in_range(accepted, 10000, 140000);
}

int main(void)
{
    const CMUnitTest tests[] = {cmocka_unit_test(both_accept_and_refuse_the_same)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
