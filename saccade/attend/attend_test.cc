#include "saccade/attend/attend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "saccade/attend/given_mask.h"
#include "saccade/base/error.h"
#include "saccade/where/none.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/laws/where_laws.h"
#include "tests/support/attend_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::check_attend;
using testing::Layout;
using testing::on_every_target;
using testing::Output;
using testing::Problem;
using testing::Random;
using testing::team_of;
using testing::used_workspace;

constexpr DType kQTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr DType kKvTypes[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0};
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct NamedWhere {
  std::string name;
  WherePtr where;
};

const std::vector<NamedWhere>& patterns() {
  static const WherePtr dense = make_where(where::Dense{}), window = make_where(where::Window{50}),
                        sink = make_where(where::Sink{4}), thirds = make_where(testing::Thirds{}),
                        hundreds = make_where(testing::Hundreds{});
  static const std::vector<NamedWhere> all{{"dense", dense},
                                           {"window(50)", window},
                                           {"window(1)", make_where(where::Window{1})},
                                           {"window(200)", make_where(where::Window{200})},
                                           {"sink(4)", sink},
                                           {"window(50)+sink(4)", unite({window, sink})},
                                           {"thirds", thirds},
                                           {"hundreds", hundreds},
                                           {"hundreds+window(50)", unite({hundreds, window})},
                                           {"hundreds&dense", intersect({hundreds, dense})},
                                           {"thirds&window(50)+sink(4)", unite({intersect({thirds, window}), sink})},
                                           {"none", make_where(where::None{})}};
  return all;
}

void use(AttendCase& c, const NamedWhere& pattern) { c.where_name = pattern.name, c.where = {pattern.where}; }

/// Everything that is not the point of a test, drawn anew from its seed.
AttendCase any_case(std::uint64_t seed) {
  Random random(seed * 7919);
  AttendCase c{.seed = seed};
  c.q_len = random.pick<Pos>({1, 1, 2, 3, 5, 8, 13, 31, 48, 49, 97});
  c.kv_len = random.pick<Pos>({7, 64, 65, 127, 128, 129, 257, 331, 1009});
  c.n_kv_heads = random.between(1, 3);
  c.n_heads = c.n_kv_heads * random.pick<Pos>({1, 2, 3, 7, 8});
  c.head_dim = random.pick<Pos>({32, 64, 64, 96, 128, 128, 256, 576});
  if (random.one_in(3)) c.head_dim_v = random.pick<Pos>({32, 64, 128, 192, 512});
  c.q_type = kQTypes[random.between(0, 2)];
  c.k_type = kKvTypes[random.between(0, 4)];
  c.v_type = random.one_in(2) ? c.k_type : kKvTypes[random.between(0, 4)];
  const auto layout = [&] { return random.pick({Layout::kTokenMajor, Layout::kHeadMajor, Layout::kPadded}); };
  c.q_layout = layout(), c.kv_layout = layout(), c.o_layout = layout();
  use(c, patterns()[static_cast<std::size_t>(random.between(0, 5))]);
  c.softcap = random.pick({0.0F, 0.0F, 5.0F, 50.0F});
  c.gain = random.pick({1.0F, 1.0F, 4.0F, 30.0F});
  c.sink_scores = random.one_in(3);
  c.team = random.pick({1, 2, 3});
  c.most_rows = 24;
  return c;
}

/// Quantised rows come in blocks.
void fit_types(AttendCase& c) {
  if (c.head_dim % block_len(c.k_type) != 0) c.k_type = DType::f16;
  if (c.v_dim() % block_len(c.v_type) != 0) c.v_type = DType::bf16;
}

// ---- which code runs

TEST(Target, TheForcedOneIsTheOneRunning) {
  const std::vector<std::string> targets = kernel::supported_targets();
  ASSERT_FALSE(targets.empty());
  kernel::force_target("");
  const std::string best = kernel::chosen_target();
  EXPECT_THAT(targets, ::testing::Contains(best));
  std::string ran;
  on_every_target([&](const std::string& target) {
    EXPECT_EQ(kernel::chosen_target(), target);
    ran += " " + target;
  });
  EXPECT_EQ(kernel::chosen_target(), best) << "\"\" chooses the best again";
  std::cout << "targets:" << ran << "; chosen: " << best << "\n";
  EXPECT_THROW(kernel::force_target("6502"), Error);
  EXPECT_EQ(kernel::chosen_target(), best) << "a refused target changes nothing";
}

// Targets of different widths add in different orders, so that the same bits from all of them would mean that forcing
// does nothing.
TEST(Target, ForcingChangesTheCodeThatRuns) {
  AttendCase c = any_case(1);
  c.q_len = 48, c.kv_len = 1009, c.head_dim = 128, c.team = 1;
  use(c, patterns()[0]);
  const Problem problem(c);
  std::vector<std::unique_ptr<Output>> outs;
  on_every_target([&](const std::string&) {
    outs.push_back(std::make_unique<Output>(c.q_len, c.n_heads, c.v_dim(), c.o_layout));
    problem.run(*outs.back(), team_of(1), used_workspace());
  });
  if (outs.size() < 2) GTEST_SKIP() << "only one target here";
  bool differ = false;
  for (const auto& out : outs) differ = differ || !out->same_bits(*outs.front());
  EXPECT_TRUE(differ);
}

// ---- against the oracle

TEST(Attend, EveryCombinationOfTypes) {
  std::uint64_t seed = 100;
  for (const DType q : kQTypes) {
    for (const DType k : kKvTypes) {
      for (const DType v : kKvTypes) {
        AttendCase c = any_case(++seed);
        c.q_type = q, c.k_type = k, c.v_type = v;
        check_attend(c);
      }
    }
  }
}

// Prompts convert quantised keys and values once for all rows and run on the same tiles: the bits of the same numbers in
// f32.
TEST(Attend, QuantisedPromptsRunOnTheTiles) {
  for (const DType k : {DType::q8_0, DType::q4_0}) {
    for (const DType v : {DType::q8_0, DType::q4_0}) {
      AttendCase c{.seed = 150, .q_len = 100, .kv_len = 300, .n_heads = 4, .n_kv_heads = 2, .head_dim = 96};
      c.k_type = k, c.v_type = v;
      const Problem quantised(c);
      c.k_type = c.v_type = DType::f32;
      Problem plain(c);
      for (Pos j = 0; j < c.kv_len; ++j) {
        for (Pos head = 0; head < c.n_kv_heads; ++head) {
          plain.k.set(j, head, quantised.k.get(j, head));
          plain.v.set(j, head, quantised.v.get(j, head));
        }
      }
      on_every_target([&](const std::string&) {
        Output expected = plain.output(), actual = quantised.output();
        plain.run(expected, team_of(2), used_workspace());
        quantised.run(actual, team_of(2), used_workspace());
        EXPECT_TRUE(actual.same_bits(expected)) << name_of(k) << " " << name_of(v);
      });
    }
  }
}

TEST(Attend, EveryHeadDim) {
  std::uint64_t seed = 200;
  for (Pos head_dim = 32; head_dim <= 576; head_dim += 8) {
    for (const Pos q_len : {1, 53}) {
      AttendCase c = any_case(++seed);
      c.head_dim = head_dim, c.head_dim_v = 0, c.q_len = q_len;
      fit_types(c);
      check_attend(c);
    }
  }
}

TEST(Attend, EveryWidthOfValues) {
  std::uint64_t seed = 220;
  for (const Pos head_dim : {40, 192, 576}) {
    for (Pos head_dim_v = 32; head_dim_v <= 576; head_dim_v += 8) {
      AttendCase c = any_case(++seed);
      c.head_dim = head_dim, c.head_dim_v = head_dim_v, c.q_len = seed % 2 == 0 ? 1 : 19;
      fit_types(c);
      check_attend(c);
    }
  }
}

TEST(Attend, EveryPairOfLengths) {
  std::uint64_t seed = 300;
  for (const Pos q_len : {1, 2, 3, 5, 8, 31, 48, 49, 64, 127, 129}) {
    for (const Pos kv_len : {0, 1, 7, 8, 63, 64, 65, 127, 128, 129, 257, 1009}) {
      AttendCase c = any_case(++seed);
      c.q_len = q_len, c.kv_len = kv_len, c.head_dim = 32, c.n_kv_heads = 1, c.n_heads = seed % 2 == 0 ? 1 : 3;
      if (seed % 3 == 0) c.q_begin = Random(seed).between(0, kv_len + 70);
      check_attend(c);
    }
  }
}

TEST(Attend, EveryGroupSizeAndAnyTable) {
  std::uint64_t seed = 400;
  for (const Pos group_size : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16}) {
    for (const Pos n_kv_heads : {1, 2, 3}) {
      for (const Pos q_len : {1, 3, 31}) {
        AttendCase c = any_case(++seed);
        c.n_kv_heads = n_kv_heads, c.n_heads = group_size * n_kv_heads, c.q_len = q_len, c.head_dim = 64,
        c.kv_len = 150;
        if (seed % 2 == 0) {
          Random random(seed);
          for (Pos head = 0; head < c.n_heads; ++head) {
            c.kv_head.push_back(static_cast<int>(random.between(0, n_kv_heads - 1)));
          }
        }
        check_attend(c);
      }
    }
  }
  AttendCase c{.q_len = 9, .kv_len = 130, .n_heads = 5, .n_kv_heads = 3};
  c.kv_head = {2, 0, 2, 2, 0};  // a KV head that nobody reads, others out of order
  check_attend(c);
}

TEST(Attend, EveryPattern) {
  std::uint64_t seed = 500;
  for (const auto& pattern : patterns()) {
    for (const Pos q_len : {1, 2, 49, 130}) {
      for (const Pos q_begin : {-1, 0, 40, 300, 2000}) {
        AttendCase c = any_case(++seed);
        use(c, pattern);
        c.q_len = q_len, c.head_dim = 64;
        c.kv_len = Random(seed).pick<Pos>({129, 331, 1009});
        if (q_begin >= 0) c.q_begin = q_begin;
        check_attend(c);
      }
    }
  }
}

TEST(Attend, ListsPerHead) {
  std::uint64_t seed = 600;
  for (const Pos q_len : {1, 3, 48, 129}) {
    for (int n = 0; n < 8; ++n) {
      AttendCase c = any_case(++seed);
      c.q_len = q_len, c.where.clear(), c.where_name.clear();
      Random random(seed);
      for (Pos head = 0; head < c.n_heads; ++head) {
        const auto& pattern = random.pick(patterns());
        c.where.push_back(pattern.where);
        c.where_name += (head == 0 ? "" : "; ") + pattern.name;
      }
      check_attend(c);
    }
  }
}

TEST(Attend, ScalesCapsAndLargeScores) {
  std::uint64_t seed = 700;
  for (const float scale : {0.0F, 0.125F, -0.125F, 1.0F, -1.0F, 1e-3F}) {
    for (const float softcap : {0.0F, 5.0F, 50.0F}) {
      for (const Pos q_len : {1, 4, 61}) {
        AttendCase c = any_case(++seed);
        c.scale = scale, c.softcap = softcap, c.q_len = q_len, c.gain = 1.0F;
        check_attend(c);
      }
    }
  }
  for (const float gain : {1e-4F, 100.0F, 1e4F, 1e6F}) {
    for (const float softcap : {0.0F, 50.0F}) {
      for (const Pos q_len : {1, 61}) {
        AttendCase c = any_case(++seed);
        c.gain = gain, c.softcap = softcap, c.q_len = q_len, c.q_type = gain > 1e4F ? DType::f32 : c.q_type;
        check_attend(c);
      }
    }
  }
}

TEST(Attend, Bias) {
  std::uint64_t seed = 800;
  for (const DType bias : {DType::f16, DType::f32}) {
    for (const Pos q_len : {1, 2, 7, 48, 49, 127}) {
      for (const Range keys : {Range{0, 5000}, Range{100, 131}, Range{250, 5000}}) {
        AttendCase c = any_case(++seed);
        c.bias_type = bias, c.bias_keys = keys, c.slopes = seed % 2 == 0, c.q_len = q_len, c.kv_len = 331,
        c.head_dim = 64;
        use(c, patterns()[seed % 6]);
        check_attend(c);
      }
    }
  }
}

/// A mask as llama.cpp hands it over, both as `where` and as bias.
TEST(Attend, AGivenMaskWithValues) {
  for (const DType type : {DType::f16, DType::f32}) {
    for (const Pos q_len : {1, 7, 70}) {
      AttendCase c{.seed = 7, .q_len = q_len, .kv_len = 300, .n_heads = 4, .n_kv_heads = 2};
      c.bias_type = type, c.bias_keys = {128, 260};
      Problem problem(c);
      const Pos stride = c.kv_len + 5;
      std::vector<std::byte> mask(testing::element_bytes(type) * static_cast<std::size_t>(stride * q_len));
      for (Pos i = 0; i < q_len; ++i) {  // causal, and hidden where the bias hides
        std::vector<float> row(static_cast<std::size_t>(stride), kNaN);
        for (Pos j = 0; j < c.kv_len; ++j) {
          float& bias = problem.in.bias[static_cast<std::size_t>(i * c.kv_len + j)];
          if (j > problem.in.q_begin + i) bias = -kInf;
          row[static_cast<std::size_t>(j)] = bias;
        }
        testing::encode(type, row, mask.data() + testing::element_bytes(type) * static_cast<std::size_t>(i * stride));
      }
      const BiasView view{mask.data(), type, static_cast<std::ptrdiff_t>(testing::element_bytes(type)) * stride};
      const GivenMask where(view, q_len, c.kv_len, team_of(2));
      EXPECT_TRUE(q_len == 1 || where.has_bias()) << "the case is about values other than zero";
      const Where* const borrowed[] = {&where};
      on_every_target([&](const std::string&) {
        Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
        AttendCall call{.q = problem.q.view(), .k = problem.k.view(), .v = problem.v.view(), .o = out.view()};
        call.lse = out.lse(), call.where = borrowed, call.bias = view, call.scale = problem.in.scale;
        const AttendCost cost = attend(call, team_of(2), used_workspace());
        EXPECT_EQ(cost.pairs_visited, where.pairs() * c.n_heads);
        for (const auto& [i, head] : testing::rows_to_judge(c)) {
          const float lse = out.lse(i, head);
          ASSERT_TRUE(judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << c;
        }
      });
    }
  }
}

TEST(Attend, AnythingAtAll) {
  for (std::uint64_t seed = 1000; seed < 1150; ++seed) {
    AttendCase c = any_case(seed);
    Random random(seed);
    use(c, random.pick(patterns()));
    c.q_len = random.between(1, 140);
    c.kv_len = random.between(0, 700);
    if (random.one_in(3)) c.q_begin = random.between(0, 900);
    if (random.one_in(3)) {
      c.bias_type = random.pick({DType::f16, DType::f32});
      const Pos begin = random.between(0, c.kv_len);
      c.bias_keys = {begin, random.between(begin, c.kv_len)};
      c.slopes = random.one_in(2);
    }
    if (random.one_in(4)) c.scale = random.normal();
    check_attend(c);
  }
}

TEST(Attend, SinkScores) {
  std::uint64_t seed = 1800;
  for (const Pos q_len : {1, 5, 49}) {
    for (const Pos kv_len : {0, 1, 300, 5000}) {
      for (const float gain : {1.0F, 30.0F}) {
        AttendCase c{.seed = ++seed, .q_len = q_len, .kv_len = kv_len, .n_heads = 5, .n_kv_heads = 1, .most_rows = 15};
        c.sink_scores = true, c.gain = gain, c.team = 3;
        check_attend(c);
        use(c, patterns().back());  // nobody sees a key: o = 0, lse = the sink's score
        check_attend(c);
      }
    }
  }
}

// Splits over keys: few queries, many keys.
TEST(Attend, LongDecode) {
  std::uint64_t seed = 2000;
  for (const Pos kv_len : {4096, 8191, 70'001}) {
    for (const Pos q_len : {1, 4}) {
      for (const int team : {1, 2, 7}) {
        AttendCase c{.seed = ++seed, .q_len = q_len, .kv_len = kv_len, .n_heads = 4, .n_kv_heads = 1, .head_dim = 32};
        c.k_type = DType::f16, c.v_type = team == 2 ? DType::q8_0 : DType::f16, c.team = team, c.most_rows = 3;
        if (team == 7) use(c, patterns()[8]);  // two far pieces
        c.sink_scores = q_len == 4;
        check_attend(c);
      }
    }
  }
  AttendCase c{.seed = 3, .q_len = 2, .kv_len = 70'001, .n_heads = 2, .head_dim = 32};
  c.bias_type = DType::f16, c.bias_keys = {30'000, 40'000}, c.most_rows = 4, c.team = 3;
  check_attend(c);
}

TEST(Attend, LengthsAround65536) {
  std::uint64_t seed = 2100;
  for (const Pos kv_len : {65'535, 65'536, 65'537}) {
    AttendCase c{.seed = ++seed, .q_len = 49, .kv_len = kv_len, .n_heads = 1, .head_dim = 32, .most_rows = 3};
    c.k_type = DType::bf16, c.v_type = DType::f16;
    check_attend(c);
    use(c, patterns()[5]);
    check_attend(c);
  }
}

// ---- the laws of Weigh and Combine, in the engine

TEST(Attend, WeightsSumToOneAndIgnoreAConstant) {
  for (const Pos q_len : {1, 50}) {
    AttendCase c{.seed = 5, .q_len = q_len, .kv_len = 700, .n_heads = 2, .n_kv_heads = 1};
    c.bias_type = DType::f32, c.bias_keys = {0, 700}, c.gain = 5.0F;
    Problem problem(c);
    const std::vector<float> ones(64, 1.0F);
    for (Pos j = 0; j < c.kv_len; ++j) problem.v.set(j, 0, ones);
    problem.read_tensors();
    on_every_target([&](const std::string&) {
      Output out(q_len, 2, 64, c.o_layout);
      problem.run(out, team_of(2), used_workspace());
      for (const auto& [i, head] : testing::rows_to_judge(c)) {
        testing::Expected row = problem.expect(i, head);
        for (double& o : row.exact.o) o = row.exact.seen.empty() ? 0.0 : 1.0;
        EXPECT_TRUE(judge(row, out.o(i, head), nullptr, c.seed)) << c;
      }
    });
  }
}

// ---- rows that see nothing

TEST(Attend, RowsThatSeeNothingAreZero) {
  for (const Pos q_len : {1, 3, 60}) {
    for (const Pos q_begin : {0, 500}) {
      AttendCase c{.seed = 9, .q_len = q_len, .kv_len = 100, .n_heads = 3, .n_kv_heads = 1};
      c.q_begin = q_begin;
      use(c, {"window(3)", make_where(where::Window{3})});  // past 102 nobody sees a key
      check_attend(c);
      use(c, patterns().back());
      check_attend(c);
      c.bias_type = DType::f16, c.bias_keys = {0, 100};
      use(c, patterns()[0]);
      check_attend(c);
    }
  }
}

TEST(Attend, NoKeysAndNoQueries) {
  for (const Pos q_len : {0, 1, 50}) {
    for (const Pos kv_len : {0, 50}) check_attend({.q_len = q_len, .kv_len = kv_len, .n_heads = 4, .n_kv_heads = 2});
  }
}

// ---- what must change no bit

TEST(Attend, WithoutLseTheSameBits) {
  for (const Pos q_len : {1, 49}) {
    AttendCase c = any_case(11);
    c.q_len = q_len, c.kv_len = 5000;
    const Problem problem(c);
    on_every_target([&](const std::string&) {
      Output with(q_len, c.n_heads, c.v_dim(), c.o_layout), without(q_len, c.n_heads, c.v_dim(), c.o_layout);
      problem.run(with, team_of(2), used_workspace());
      problem.run(without, team_of(2), used_workspace(), false);
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < c.n_heads; ++head) {
          const auto a = with.o(i, head), b = without.o(i, head);
          EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0);
          EXPECT_TRUE(std::isnan(without.lse(i, head))) << "lse was not asked for";
        }
      }
    });
  }
}

TEST(Attend, SameTeamSizeSameBits) {
  for (const Pos q_len : {1, 2, 5, 131}) {
    for (const int size : {1, 2, 3, 7}) {
      AttendCase c = any_case(12);
      c.q_len = q_len, c.kv_len = q_len < 8 ? 20'000 : 700, c.head_dim = 64, c.team = size;
      const Problem problem(c);
      on_every_target([&](const std::string&) {
        Output first(q_len, c.n_heads, c.v_dim(), c.o_layout);
        problem.run(first, team_of(size), used_workspace());
        for (int repeat = 0; repeat < 4; ++repeat) {
          Output again(q_len, c.n_heads, c.v_dim(), c.o_layout);
          Workspace fresh;
          problem.run(again, team_of(size), repeat % 2 == 0 ? used_workspace() : fresh);
          ASSERT_TRUE(again.same_bits(first)) << c;
        }
      });
    }
  }
}

/// What a NaN or an infinity may do: nothing at all to rows that do not look at it; to those that do, what it does in
/// fp64.
void check_poison(const AttendCase& c, bool in_k, Pos key, std::optional<Pos> element, float poison) {
  Problem problem(c);
  std::vector<std::pair<std::string, std::unique_ptr<Output>>> clean;
  on_every_target([&](const std::string& target) {
    clean.emplace_back(target, std::make_unique<Output>(c.q_len, c.n_heads, c.v_dim(), c.o_layout));
    problem.run(*clean.back().second, team_of(c.team), used_workspace());
  });
  testing::Tensor& tensor = in_k ? problem.k : problem.v;
  for (Pos head = 0; head < c.n_kv_heads; ++head) {
    std::vector<float> row = tensor.get(key, head);
    if (element) {
      row[static_cast<std::size_t>(*element)] = poison;
    } else {
      std::fill(row.begin(), row.end(), poison);
    }
    tensor.set(key, head, row);
  }
  problem.read_tensors();
  std::vector<testing::Expected> rows;
  for (const auto& [i, head] : testing::rows_to_judge(c)) {
    if (problem.sees(i, head, key)) rows.push_back(problem.expect(i, head));
  }
  const auto what = [&](Pos i, Pos head) {
    return "query " + std::to_string(i) + ", head " + std::to_string(head) + ", " + std::to_string(poison) + " in " +
           (in_k ? "k" : "v") + " of key " + std::to_string(key) + (element ? " at one element" : "") + "; ";
  };
  std::size_t n = 0;
  on_every_target([&](const std::string&) {
    Output out(c.q_len, c.n_heads, c.v_dim(), c.o_layout);
    problem.run(out, team_of(c.team), used_workspace());
    const Output& before = *clean[n++].second;
    for (Pos i = 0; i < c.q_len; ++i) {
      for (Pos head = 0; head < c.n_heads; ++head) {
        if (problem.sees(i, head, key)) continue;
        ASSERT_TRUE(out.same_bits(before, i, head)) << what(i, head) << c;
      }
    }
    for (const testing::Expected& row : rows) {
      const float lse = out.lse(row.i, row.head);
      ASSERT_TRUE(judge(row, out.o(row.i, row.head), &lse, c.seed)) << what(row.i, row.head) << c;
    }
  });
}

TEST(Attend, NaNStaysInTheRowsThatLookAtIt) {
  std::uint64_t seed = 3000;
  for (const Pos q_len : {1, 2, 5, 131}) {
    for (const std::size_t pattern : {0U, 1U, 5U, 6U, 8U}) {
      for (const Pos from_end : {1, 40, 60, 299}) {
        for (const bool in_k : {true, false}) {
          Random random(++seed);
          AttendCase c{.seed = seed, .q_len = q_len, .kv_len = 300, .n_heads = 3, .n_kv_heads = 1, .head_dim = 64};
          c.k_type = c.v_type = kKvTypes[random.between(0, 4)];
          c.most_rows = 12;
          use(c, patterns()[pattern]);
          const std::optional<Pos> element = random.one_in(2) ? std::optional(random.between(0, 63)) : std::nullopt;
          check_poison(c, in_k, 300 - from_end, element, kNaN);
        }
      }
    }
  }
}

TEST(Attend, InfinityStaysInTheRowsThatLookAtIt) {
  std::uint64_t seed = 3300;
  for (const Pos q_len : {1, 5, 131}) {
    for (const float poison : {kInf, -kInf}) {
      for (const bool in_k : {true, false}) {
        for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
          AttendCase c{.seed = ++seed, .q_len = q_len, .kv_len = 300, .n_heads = 3, .n_kv_heads = 1, .head_dim = 64};
          c.k_type = c.v_type = type, c.most_rows = 12;
          use(c, patterns()[seed % 6]);
          check_poison(c, in_k, 270, Random(seed).between(0, 63), poison);
        }
      }
    }
  }
}

TEST(Attend, AKeyThatTheBiasHidesMayHoldAnything) {
  std::uint64_t seed = 3400;
  for (const Pos q_len : {1, 5, 131}) {
    for (const bool in_k : {true, false}) {
      for (const float poison : {kNaN, kInf}) {
        for (const Pos key : {0, 130, 299}) {
          AttendCase c{.seed = ++seed, .q_len = q_len, .kv_len = 300, .n_heads = 3, .n_kv_heads = 1, .head_dim = 64};
          c.bias_type = seed % 2 == 0 ? DType::f16 : DType::f32, c.bias_keys = {0, 300}, c.most_rows = 12;
          check_poison(c, in_k, key, std::nullopt, poison);
        }
      }
    }
  }
}

TEST(Attend, ANaNQueryStaysInItsRow) {
  for (const Pos q_len : {2, 49}) {
    AttendCase c{.seed = 13, .q_len = q_len, .kv_len = 300, .n_heads = 6, .n_kv_heads = 2, .head_dim = 64};
    Problem problem(c);
    std::vector<std::unique_ptr<Output>> clean;
    on_every_target([&](const std::string&) {
      clean.push_back(std::make_unique<Output>(q_len, c.n_heads, c.v_dim(), c.o_layout));
      problem.run(*clean.back(), team_of(2), used_workspace());
    });
    std::vector<float> row = problem.q.get(1, 4);
    row[17] = kNaN;
    problem.q.set(1, 4, row);
    std::size_t n = 0;
    on_every_target([&](const std::string&) {
      Output out(q_len, c.n_heads, c.v_dim(), c.o_layout);
      problem.run(out, team_of(2), used_workspace());
      const Output& before = *clean[n++];
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < c.n_heads; ++head) {
          if (i == 1 && head == 4) {
            for (const float x : out.o(i, head)) EXPECT_TRUE(std::isnan(x));
            EXPECT_TRUE(std::isnan(out.lse(i, head)));
          } else {
            EXPECT_TRUE(out.same_bits(before, i, head)) << "query " << i << ", head " << head;
          }
        }
      }
    });
  }
}

TEST(Attend, NaNInKeysNobodyVisitsChangesNoBit) {
  for (const Pos q_len : {1, 4, 49}) {
    AttendCase c{.seed = 14, .q_len = q_len, .kv_len = 1200, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64};
    use(c, patterns()[5]);
    Problem problem(c);
    std::vector<std::unique_ptr<Output>> clean;
    on_every_target([&](const std::string&) {
      clean.push_back(std::make_unique<Output>(q_len, c.n_heads, c.v_dim(), c.o_layout));
      problem.run(*clean.back(), team_of(3), used_workspace());
    });
    const std::vector<float> sick(64, kNaN);
    for (Pos j = 4; j + q_len + 50 <= c.kv_len; ++j) {
      for (Pos head = 0; head < 2; ++head) problem.k.set(j, head, sick), problem.v.set(j, head, sick);
    }
    std::size_t n = 0;
    on_every_target([&](const std::string&) {
      Output out(q_len, c.n_heads, c.v_dim(), c.o_layout);
      problem.run(out, team_of(3), used_workspace());
      EXPECT_TRUE(out.same_bits(*clean[n++]));
    });
  }
}

// ---- the door

TEST(CanAttend, DeclinesWhatItDoesNotDo) {
  for (Pos head_dim = -8; head_dim <= 600; ++head_dim) {
    const bool plain = head_dim >= 32 && head_dim <= 576 && head_dim % 8 == 0;
    for (const DType q : kQTypes) {
      for (const DType k : kKvTypes) {
        for (const DType v : kKvTypes) {
          EXPECT_EQ(can_attend(q, k, v, head_dim, 64), plain && head_dim % block_len(k) == 0) << head_dim;
          EXPECT_EQ(can_attend(q, k, v, 64, head_dim), plain && head_dim % block_len(v) == 0) << head_dim;
        }
      }
    }
    EXPECT_FALSE(can_attend(DType::q8_0, DType::f16, DType::f16, head_dim, head_dim));
    EXPECT_FALSE(can_attend(DType::q4_0, DType::f16, DType::f16, head_dim, head_dim));
  }
}

TEST(DensePairs, CountsTheTriangle) {
  EXPECT_EQ(dense_pairs(0, 4, 4, 1), 10);
  EXPECT_EQ(dense_pairs(0, 4, 4, 3), 30);
  EXPECT_EQ(dense_pairs(10, 1, 11, 2), 22);
  EXPECT_EQ(dense_pairs(10, 1, 5, 1), 5) << "there are no more keys than there are";
  EXPECT_EQ(dense_pairs(0, 4, 2, 1), 7);
  EXPECT_EQ(dense_pairs(3, 0, 2, 1), 0);
  EXPECT_EQ(dense_pairs(0, 65'537, 65'537, 64), 64LL * 65'537 * 65'538 / 2);
}

/// A good call, to be broken one way at a time.
struct GoodCall {
  GoodCall() {
    problem.emplace(AttendCase{.q_len = 3, .kv_len = 40, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64});
    call = {.q = problem->q.view(), .k = problem->k.view(), .v = problem->v.view(), .o = out.view(), .lse = out.lse()};
    call.where = one;
    call.scale = 0.125F;
  }
  std::string line() {
    try {
      attend(call, team_of(1), used_workspace());
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::kUser);
      EXPECT_TRUE(std::isnan(out.lse(0, 0)) && std::isnan(out.o(2, 3)[63])) << "a refused call wrote something";
      return error.what();
    }
    return "no error";
  }

  std::optional<Problem> problem;
  Output out{3, 4, 64, Layout::kTokenMajor};
  WherePtr dense = make_where(where::Dense{});
  const Where* one[4] = {dense.get(), dense.get(), dense.get(), dense.get()};
  AttendCall call;
};

TEST(Attend, BadCallsAreRefusedInOneLine) {
  const auto refused = [](const char* what, auto&& spoil) {
    GoodCall good;
    spoil(good);
    const std::string line = good.line();
    EXPECT_THAT(line, ::testing::StartsWith("attend: ")) << what;
    EXPECT_THAT(line, ::testing::Not(::testing::HasSubstr("\n"))) << what;
    EXPECT_LT(line.size(), 200U) << what;
  };
  const auto spans = [](GoodCall& good, std::size_t n) { good.call.where = std::span(good.one).first(n); };
  EXPECT_EQ(GoodCall().line(), "no error");
  refused("no where", [&](GoodCall& good) { spans(good, 0); });
  refused("two wheres for four heads", [&](GoodCall& good) { spans(good, 2); });
  refused("head_dim 60",
          [](GoodCall& good) { good.call.q.dim = good.call.k.dim = good.call.v.dim = good.call.o.dim = 60; });
  refused("head_dim 0",
          [](GoodCall& good) { good.call.q.dim = good.call.k.dim = good.call.v.dim = good.call.o.dim = 0; });
  refused("q of another width", [](GoodCall& good) { good.call.q.dim = 32; });
  refused("v of another width", [](GoodCall& good) { good.call.v.dim = 32; });
  refused("o of another width", [](GoodCall& good) { good.call.o.dim = 32; });
  refused("q in q8_0", [](GoodCall& good) { good.call.q.dtype = DType::q8_0; });
  refused("q8_0 keys of width 40", [](GoodCall& good) {
    good.call.q.dim = good.call.k.dim = good.call.v.dim = good.call.o.dim = 40;
    good.call.k.dtype = DType::q8_0;
  });
  refused("v shorter than k", [](GoodCall& good) { good.call.v.len = 39; });
  refused("v with fewer heads than k", [](GoodCall& good) { good.call.v.n_heads = 1; });
  refused("o shorter than q", [](GoodCall& good) { good.call.o.len = 2; });
  refused("o with fewer heads than q", [](GoodCall& good) { good.call.o.n_heads = 2; });
  refused("no kv heads", [](GoodCall& good) { good.call.k.n_heads = good.call.v.n_heads = 0; });
  static const int short_table[] = {0, 1, 1}, beyond[] = {0, 1, 2, 1}, negative[] = {0, -1, 1, 1};
  refused("a short table", [](GoodCall& good) { good.call.kv_head = short_table; });
  refused("a table beyond the heads", [](GoodCall& good) { good.call.kv_head = beyond; });
  refused("a negative head", [](GoodCall& good) { good.call.kv_head = negative; });
  refused("a bias of a type that is none", [](GoodCall& good) {
    static const std::vector<float> zeros(120);
    good.call.bias = {zeros.data(), DType::q8_0, 160};
  });
  refused("scale NaN", [](GoodCall& good) { good.call.scale = kNaN; });
  refused("softcap negative", [](GoodCall& good) { good.call.softcap = -1.0F; });
  refused("a position before zero", [](GoodCall& good) { good.call.q_begin = -1; });
}

}  // namespace
}  // namespace saccade
