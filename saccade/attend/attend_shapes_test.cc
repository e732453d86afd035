// attend() against the oracle: types, sizes, heads, patterns, lengths.

#include <gtest/gtest.h>

#include <string>

#include "saccade/attend/attend.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::any_case;
using testing::AttendCase;
using testing::check_attend;
using testing::fit_types;
using testing::kKvTypes;
using testing::kQTypes;
using testing::on_every_target;
using testing::Output;
using testing::patterns;
using testing::Problem;
using testing::Random;
using testing::team_of;
using testing::use;
using testing::used_workspace;

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

// Prompts convert quantised keys and values once for all rows and run on the same tiles: the bits of the same numbers
// in f32.
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
    c.precision = Precision::kI16;
    check_attend(c);
    c.precision = Precision::kF32, c.q_len = 1, c.head_dim_v = 40, c.sink_scores = true;
    check_attend(c);
    c.q_len = 49;
    use(c, patterns()[5]);
    check_attend(c);
  }
}

}  // namespace
}  // namespace saccade
