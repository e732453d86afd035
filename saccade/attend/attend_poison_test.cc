// NaN and inf in the inputs of attend() stay in the rows that look at them.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "saccade/attend/attend.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::kKvTypes;
using testing::on_every_target;
using testing::Output;
using testing::patterns;
using testing::Problem;
using testing::Random;
using testing::team_of;
using testing::use;
using testing::used_workspace;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

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
          if (seed % 3 == 0) c.head_dim_v = 96;
          c.sink_scores = seed % 4 == 0;
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
          if (seed % 4 == 0) c.head_dim_v = 136;
          c.sink_scores = seed % 5 == 0;
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

TEST(Attend, ANaNSinkScoreStaysInItsHead) {
  for (const Pos q_len : {1, 60}) {
    AttendCase c{.seed = 15, .q_len = q_len, .kv_len = 3000, .n_heads = 6, .n_kv_heads = 2, .head_dim = 64};
    c.sink_scores = true, c.team = 3;
    Problem problem(c);
    on_every_target([&](const std::string&) {
      Output before = problem.output(), after = problem.output();
      problem.run(before, team_of(3), used_workspace());
      const float kept = std::exchange(problem.in.sink_scores[4], kNaN);
      problem.run(after, team_of(3), used_workspace());
      problem.in.sink_scores[4] = kept;
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < 6; ++head) {
          if (head != 4) EXPECT_TRUE(after.same_bits(before, i, head)) << "query " << i << ", head " << head;
        }
        EXPECT_TRUE(std::isnan(after.lse(i, 4)) && std::isnan(after.o(i, 4)[0]));
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

}  // namespace
}  // namespace saccade
