// The C ABI says what the C++ library says, to the bit; answers every mistake with a code and a line; and understands
// structs of older and newer headers.
#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "saccade/combine/partial.h"
#include "saccade/plan/planned.h"
#include "saccade/saccade.h"
#include "tests/support/random.h"

namespace saccade {
namespace {

using ::testing::HasSubstr;

struct Free {
  void operator()(saccade_engine* engine) const { saccade_engine_free(engine); }
  void operator()(saccade_plan* plan) const { saccade_plan_free(plan); }
};
using Engine = std::unique_ptr<saccade_engine, Free>;
using PlanHandle = std::unique_ptr<saccade_plan, Free>;

Engine engine_of(int n_threads) {
  const saccade_engine_options options{sizeof options, n_threads};
  saccade_engine* engine = nullptr;
  EXPECT_EQ(saccade_engine_create(&options, &engine), SACCADE_OK) << saccade_last_error();
  return Engine(engine);
}

PlanHandle plan_of(const char* spec) {
  saccade_plan* plan = nullptr;
  EXPECT_EQ(saccade_plan_from_spec(spec, &plan), SACCADE_OK) << saccade_last_error();
  return PlanHandle(plan);
}

std::vector<float> random_floats(Pos n, std::uint64_t seed) {
  testing::Random random(seed);
  std::vector<float> floats(static_cast<std::size_t>(n));
  for (float& x : floats) x = static_cast<float>(random.between(-1000, 1000)) / 500.0F;
  return floats;
}

constexpr Pos kHeads = 4, kKvHeads = 2, kDim = 32;

/// Queries, keys, values and a place for results, all f32 and packed, and the call that names them.
struct Problem {
  explicit Problem(Pos q_len, Pos kv_len)
      : q_data(random_floats(q_len * kHeads * kDim, 1)),
        k_data(random_floats(kv_len * kKvHeads * kDim, 2)),
        v_data(random_floats(kv_len * kKvHeads * kDim, 3)),
        o_data(q_data.size(), std::numeric_limits<float>::quiet_NaN()),
        lse(static_cast<std::size_t>(q_len * kHeads), std::numeric_limits<float>::quiet_NaN()) {
    q = {sizeof q, q_data.data(), SACCADE_F32, q_len, kHeads, kDim, 0, 0};
    k = {sizeof k, k_data.data(), SACCADE_F32, kv_len, kKvHeads, kDim, 0, 0};
    v = {sizeof v, v_data.data(), SACCADE_F32, kv_len, kKvHeads, kDim, 0, 0};
    o = {sizeof o, o_data.data(), SACCADE_F32, q_len, kHeads, kDim, 0, 0};
    call.struct_size = sizeof call;
    call.q = &q, call.k = &k, call.v = &v, call.o = &o, call.lse = lse.data();
    call.q_begin = kv_len - q_len;
  }
  Problem(const Problem&) = delete;

  std::vector<float> q_data, k_data, v_data, o_data, lse;
  saccade_tensor q{}, k{}, v{}, o{};
  saccade_attend_call call{};
};

/// The same call through the C++ library.
struct Expected {
  Expected(const Problem& p, const char* spec, int n_threads, BiasView mask = {})
      : o(p.o_data.size(), 7), lse(p.lse.size(), 7) {
    const auto view = [](const saccade_tensor& t) {
      return View{t.data, DType::f32, t.len, t.n_heads, t.dim, t.n_heads * t.dim * 4, t.dim * 4};
    };
    PlannedCall planned;
    AttendCall& call = planned.attend;
    call.q = view(p.q), call.k = view(p.k), call.v = view(p.v);
    call.o = {o.data(), p.o.len, kHeads, kDim, kHeads * kDim * 4, kDim * 4};
    call.lse = lse.data();
    call.scale = 1.0F / std::sqrt(static_cast<float>(kDim));
    call.q_begin = p.call.q_begin;
    call.bias = mask;
    call.precision = Precision::kAuto;
    Workspace workspace;
    cost = attend(Plan::from_spec(spec), planned, *make_thread_team(n_threads), workspace);
  }
  std::vector<float> o, lse;
  PlannedCost cost;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// The line with which a call is refused.
std::string refusal(saccade_status status, saccade_status expected = SACCADE_USER_ERROR) {
  EXPECT_EQ(status, expected);
  const std::string line = saccade_last_error();
  EXPECT_FALSE(line.empty());
  EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  return line;
}

TEST(CApi, SaysWhatTheLibrarySays) {
  for (const char* spec : {"dense", "window(40)+sink(4)", "random(density=0.3)", "xattention(tau=0.9)+window(64)"}) {
    Problem p(200, 200);
    saccade_cost cost{};
    cost.struct_size = sizeof cost;
    p.call.cost = &cost;
    ASSERT_EQ(saccade_attend(engine_of(2).get(), plan_of(spec).get(), &p.call), SACCADE_OK) << saccade_last_error();
    EXPECT_STREQ(saccade_last_error(), "");
    const Expected expected(p, spec, 2);
    EXPECT_TRUE(same_bits(p.o_data, expected.o)) << spec;
    EXPECT_TRUE(same_bits(p.lse, expected.lse)) << spec;
    EXPECT_EQ(cost.pairs_visited, expected.cost.attend.pairs_visited) << spec;
    EXPECT_EQ(cost.pairs_dense, expected.cost.pairs_dense) << spec;
    EXPECT_EQ(cost.select_flop, expected.cost.select.flop) << spec;
    EXPECT_EQ(cost.heads_chosen, expected.cost.heads_chosen) << spec;
  }
}

TEST(CApi, AMaskIsAddedAndHides) {
  Problem p(50, 90);
  std::vector<float> numbers = random_floats(50 * 90, 4);
  for (std::size_t i = 0; i < numbers.size(); i += 7) numbers[i] = -std::numeric_limits<float>::infinity();
  const saccade_tensor mask{sizeof mask, numbers.data(), SACCADE_F32, 50, 1, 90, 0, 0};
  p.call.mask = &mask;
  ASSERT_EQ(saccade_attend(engine_of(1).get(), nullptr, &p.call), SACCADE_OK) << saccade_last_error();
  const Expected expected(p, "dense", 1, {numbers.data(), DType::f32, 90 * 4});
  EXPECT_TRUE(same_bits(p.o_data, expected.o));
  EXPECT_TRUE(same_bits(p.lse, expected.lse));
}

TEST(CApi, StridesSayWhereRowsLie) {
  Problem packed(30, 30), apart(30, 30);
  std::vector<float> wide(static_cast<std::size_t>(kHeads * 30 * (kDim + 8)), std::numeric_limits<float>::quiet_NaN());
  for (Pos head = 0; head < kHeads; ++head) {
    for (Pos i = 0; i < 30; ++i) {
      std::memcpy(&wide[static_cast<std::size_t>((head * 30 + i) * (kDim + 8))],
                  &packed.q_data[static_cast<std::size_t>((i * kHeads + head) * kDim)], kDim * 4);
    }
  }
  apart.q.data = wide.data(), apart.q.len_stride = (kDim + 8) * 4, apart.q.head_stride = 30 * (kDim + 8) * 4;
  const Engine engine = engine_of(1);
  ASSERT_EQ(saccade_attend(engine.get(), nullptr, &packed.call), SACCADE_OK) << saccade_last_error();
  ASSERT_EQ(saccade_attend(engine.get(), nullptr, &apart.call), SACCADE_OK) << saccade_last_error();
  EXPECT_TRUE(same_bits(packed.o_data, apart.o_data));
}

TEST(CApi, StructsOfOlderHeadersAreSmaller) {
  Problem whole(20, 40), old(20, 40);
  // As if the header had ended behind q_begin, and tensors behind dim; what follows in memory is not the library's.
  saccade_attend_call call = old.call;
  std::memset(&call.layer, 0xAB, sizeof call - offsetof(saccade_attend_call, layer));
  call.struct_size = offsetof(saccade_attend_call, layer);
  for (saccade_tensor* tensor : {&old.q, &old.k, &old.v, &old.o}) {
    tensor->struct_size = offsetof(saccade_tensor, len_stride);
    tensor->len_stride = tensor->head_stride = 0x5555;
  }
  const Engine engine = engine_of(1);
  ASSERT_EQ(saccade_attend(engine.get(), nullptr, &whole.call), SACCADE_OK) << saccade_last_error();
  ASSERT_EQ(saccade_attend(engine.get(), nullptr, &call), SACCADE_OK) << saccade_last_error();
  EXPECT_TRUE(same_bits(whole.o_data, old.o_data));

  saccade_cost cost;
  std::memset(&cost, 0xAB, sizeof cost);
  const saccade_cost before = cost;
  cost.struct_size = offsetof(saccade_cost, pairs_dense);
  whole.call.cost = &cost;
  ASSERT_EQ(saccade_attend(engine.get(), nullptr, &whole.call), SACCADE_OK) << saccade_last_error();
  EXPECT_EQ(cost.pairs_visited, kHeads * (20 * 21 + 20 * 21 / 2 - 20));
  EXPECT_EQ(std::memcmp(&cost.pairs_dense, &before.pairs_dense, sizeof cost - offsetof(saccade_cost, pairs_dense)), 0);
}

TEST(CApi, StructsOfNewerHeadersMayHoldNothingNew) {
  struct Newer {
    saccade_attend_call call;
    void* something_new = nullptr;
  };
  Problem p(3, 5);
  Newer newer{p.call};
  newer.call.struct_size = sizeof newer;
  const Engine engine = engine_of(1);
  EXPECT_EQ(saccade_attend(engine.get(), nullptr, &newer.call), SACCADE_OK) << saccade_last_error();
  newer.something_new = &p;
  EXPECT_EQ(refusal(saccade_attend(engine.get(), nullptr, &newer.call)),
            "attend call: made for a newer version than 0.1.0, and uses what is new in it");
}

TEST(CApi, NoStructIsOfAnImpossibleSize) {
  Problem p(3, 5);
  const Engine engine = engine_of(1);
  for (const std::size_t size : {std::size_t{0}, std::size_t{8}, sizeof p.call - 1, std::size_t{1} << 40}) {
    p.call.struct_size = size;
    EXPECT_THAT(refusal(saccade_attend(engine.get(), nullptr, &p.call)), HasSubstr("attend call: struct_size must be"));
  }
  p.call.struct_size = sizeof p.call;
  p.q.struct_size = 24;
  EXPECT_THAT(refusal(saccade_attend(engine.get(), nullptr, &p.call)), HasSubstr("q: struct_size must be"));
}

TEST(CApi, NullsAreAnswered) {
  Problem p(3, 5);
  const Engine engine = engine_of(1);
  EXPECT_EQ(refusal(saccade_engine_create(nullptr, nullptr)), "engine must not be null");
  EXPECT_EQ(refusal(saccade_plan_from_spec("dense", nullptr)), "plan must not be null");
  saccade_plan* plan = nullptr;
  EXPECT_EQ(refusal(saccade_plan_from_spec(nullptr, &plan)), "spec must not be null");
  EXPECT_EQ(refusal(saccade_plan_from_json(nullptr, &plan)), "json must not be null");
  EXPECT_EQ(refusal(saccade_plan_load(nullptr, &plan)), "file_or_spec must not be null");
  EXPECT_EQ(refusal(saccade_attend(nullptr, nullptr, &p.call)), "engine must not be null");
  EXPECT_EQ(refusal(saccade_attend(engine.get(), nullptr, nullptr)), "attend call must not be null");
  for (const saccade_tensor** tensor : {&p.call.q, &p.call.k, &p.call.v, &p.call.o}) {
    const saccade_tensor* const was = std::exchange(*tensor, nullptr);
    EXPECT_THAT(refusal(saccade_attend(engine.get(), nullptr, &p.call)), HasSubstr(" must not be null"));
    *tensor = was;
  }
  p.v.data = nullptr;
  EXPECT_EQ(refusal(saccade_attend(engine.get(), nullptr, &p.call)), "v: data must not be null");
  float number = 0;
  EXPECT_EQ(refusal(saccade_merge(1, 1, nullptr, &number, &number, &number)), "o must not be null");
  EXPECT_EQ(refusal(saccade_list(nullptr)), "json must not be null");
  const char* json = nullptr;
  EXPECT_EQ(refusal(saccade_show(nullptr, &json)), "name must not be null");
  EXPECT_EQ(saccade_plan_text(nullptr), nullptr);
  saccade_engine_free(nullptr);
  saccade_plan_free(nullptr);
}

TEST(CApi, ImpossibleNumbersAreAnswered) {
  const Engine engine = engine_of(1);
  const auto with = [&](auto change) {
    Problem p(3, 5);
    change(p);
    return refusal(saccade_attend(engine.get(), nullptr, &p.call));
  };
  constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(with([](Problem& p) { p.q.len = -1; }), "q: len must be in [0, 1099511627776], got -1");
  EXPECT_EQ(with([](Problem& p) { p.k.dtype = 9; }), "k: dtype must be one of saccade_dtype, got 9");
  EXPECT_EQ(with([](Problem& p) { p.o.dtype = SACCADE_F16; }), "o: it is written as f32, got f16");
  EXPECT_EQ(with([](Problem& p) { p.o.len_stride = 4; }), "o: its rows must not overlap");
  EXPECT_EQ(with([](Problem& p) { p.q.head_stride = 3; }), "q: data and strides must be multiples of 4 bytes");
  EXPECT_EQ(with([](Problem& p) { p.q.len_stride = kLargest & -4; }), "q: its strides reach further than any memory");
  EXPECT_EQ(with([](Problem& p) { p.call.layer = -1; }), "attend: layer must be >= 0, got -1");
  EXPECT_EQ(with([](Problem& p) { p.call.precision = 4; }),
            "attend: precision must be one of saccade_precision, got 4");
  EXPECT_EQ(with([](Problem& p) { p.call.not_causal = 2; }), "attend: not_causal must be 0 or 1, got 2");
  EXPECT_EQ(with([](Problem& p) { p.call.mask = &p.q; }),
            "mask: it must be [q_len, 1, kv_len], here [3, 1, 5], got [3, 4, 32]");
  EXPECT_THAT(with([](Problem& p) { p.call.q_begin = kLargest; }), HasSubstr("q_begin must be"));
  EXPECT_THAT(with([](Problem& p) { p.q.dim = p.k.dim = 20; }), HasSubstr("head_dim"));
  EXPECT_THAT(with([](Problem& p) { p.k.len = 4; }), HasSubstr("k and v must have the same length"));

  saccade_engine* none = nullptr;
  for (const std::int64_t n : {std::int64_t{-1}, kLargest}) {
    const saccade_engine_options options{sizeof options, n};
    EXPECT_THAT(refusal(saccade_engine_create(&options, &none)), HasSubstr("engine: n_threads must be in [0, 4096]"));
    EXPECT_EQ(none, nullptr);
  }
  float number = 0;
  EXPECT_THAT(refusal(saccade_merge(kLargest, 2, &number, &number, &number, &number)), HasSubstr("merge: n_rows"));
}

TEST(CApi, APlanIsReadAndPrinted) {
  EXPECT_STREQ(saccade_plan_text(plan_of("window(1024) + sink(4)").get()), "window(1024)+sink(4)");
  saccade_plan* plan = nullptr;
  EXPECT_THAT(refusal(saccade_plan_from_spec("windw(4)", &plan)), HasSubstr("did you mean \"window\"?"));
  EXPECT_EQ(plan, nullptr);
  const char* const json = R"json({"rows": [{"layers": "2-23", "attn": "window(1024)"}]})json";
  ASSERT_EQ(saccade_plan_from_json(json, &plan), SACCADE_OK) << saccade_last_error();
  saccade_plan* again = nullptr;
  ASSERT_EQ(saccade_plan_from_json(saccade_plan_text(plan), &again), SACCADE_OK) << saccade_last_error();
  EXPECT_STREQ(saccade_plan_text(plan), saccade_plan_text(again));
  saccade_plan_free(plan);
  saccade_plan_free(again);
  EXPECT_THAT(refusal(saccade_plan_from_json("{]", &plan)), HasSubstr("plan: invalid JSON"));
  ASSERT_EQ(saccade_plan_load("dense", &plan), SACCADE_OK) << saccade_last_error();
  saccade_plan_free(plan);
}

TEST(CApi, MechanismsAreListedAndShown) {
  const char* text = nullptr;
  ASSERT_EQ(saccade_list(&text), SACCADE_OK) << saccade_last_error();
  const auto all = nlohmann::json::parse(text);
  ASSERT_GT(all.size(), 20U);
  for (const auto& one : all) {
    const auto name = one["name"].get<std::string>();
    ASSERT_EQ(saccade_show(name.c_str(), &text), SACCADE_OK) << saccade_last_error();
    EXPECT_EQ(nlohmann::json::parse(text), one);
  }
  EXPECT_THAT(refusal(saccade_show("windw", &text)), HasSubstr("did you mean \"window\"?"));
  EXPECT_EQ(text, nullptr);
}

TEST(CApi, TwoHalvesMergeIntoTheWhole) {
  Partial a{{}, 0.5F}, b{{}, -1.0F};
  std::vector<float> o_a = random_floats(kDim, 5), o_b = random_floats(kDim, 6);
  std::vector<float> o = o_a;
  float lse = a.lse;
  ASSERT_EQ(saccade_merge(1, kDim, o.data(), &lse, o_b.data(), &b.lse), SACCADE_OK) << saccade_last_error();
  a.o = o_a, b.o = o_b;
  merge(a, b);
  EXPECT_TRUE(same_bits(o, o_a));
  EXPECT_EQ(lse, a.lse);
}

/// One plan and one engine for all, one engine each: the bits are those of a call alone.
TEST(CApi, ManyThreadsCallAtOnce) {
  const PlanHandle plan = plan_of("xattention(tau=0.9)+window(64)");
  const Engine shared = engine_of(2);
  Problem alone(150, 150);
  ASSERT_EQ(saccade_attend(shared.get(), plan.get(), &alone.call), SACCADE_OK) << saccade_last_error();
  std::vector<std::thread> threads;
  std::array<int, 4> n_same{};
  for (std::size_t me = 0; me < n_same.size(); ++me) {
    threads.emplace_back([&, me] {
      const Engine own = engine_of(2);
      for (int round = 0; round < 3; ++round) {
        for (saccade_engine* engine : {shared.get(), own.get()}) {
          Problem p(150, 150);
          if (saccade_attend(engine, plan.get(), &p.call) == SACCADE_OK)
            n_same[me] += same_bits(p.o_data, alone.o_data);
        }
        saccade_plan* none = nullptr;  // one thread's error is not another's
        const std::string name = "no_such_mechanism_" + std::to_string(me);
        EXPECT_THAT(refusal(saccade_plan_from_spec(name.c_str(), &none)), HasSubstr(name));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(n_same, ::testing::Each(6));
}

}  // namespace
}  // namespace saccade
