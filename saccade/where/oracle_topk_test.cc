#include "saccade/where/oracle_topk.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/laws/selector_laws.h"
#include "tests/support/error_line.h"

namespace saccade {
namespace {

using testing::SelectProblem;
using where::OracleTopk;

std::vector<Pos> keys_of(const Where& where, Pos q_pos) {
  std::vector<Pos> keys;
  for (Pos k_pos = 0; k_pos <= q_pos; ++k_pos) {
    if (where.admits(q_pos, k_pos)) keys.push_back(k_pos);
  }
  return keys;
}

TEST(OracleTopk, ObeysTheLawsOfSelectors) {
  testing::check_selector_laws<OracleTopk>({{}, {.mass = 0.3, .block_q = 16}, {.mass = 0.01, .block_q = 1}},
                                           {.mass = 1}, {{}, {.mass = 0.5}});
}

TEST(OracleTopk, WorkedByHand) {
  // One query, five keys with weights 1, 8, 2, 4, 1 of 16: 0.5, 0.75, 0.875, then the ones.
  SelectProblem problem({.q_begin = 4, .q_len = 1, .n_heads = 1});
  std::vector<float> row(32, 0.0F);
  row[0] = 1;
  problem.q.set(0, 0, row);
  const float weights[5] = {1, 8, 2, 4, 1};
  for (Pos j = 0; j < 5; ++j) {
    row[0] = std::sqrt(32.0F) * std::log(weights[j]);
    problem.k.set(j, 0, row);
  }
  Alone alone;
  const auto keys = [&](double mass) {
    return keys_of(*choose(*make_choice(OracleTopk{.mass = mass}), problem.call(alone)).of_head[0], 4);
  };
  EXPECT_EQ(keys(0.4), (std::vector<Pos>{1}));
  EXPECT_EQ(keys(0.7), (std::vector<Pos>{1, 3}));
  EXPECT_EQ(keys(0.8), (std::vector<Pos>{1, 2, 3}));
  EXPECT_EQ(keys(0.92), (std::vector<Pos>{0, 1, 2, 3}));  // of the two ones the first
  EXPECT_EQ(keys(0.96), (std::vector<Pos>{0, 1, 2, 3, 4}));
}

/// Sums of fp64 softmax weights: the kept keys reach `mass`, and without the least of them they would not.
TEST(OracleTopk, KeepsTheFewestKeysThatHoldTheMass) {
  for (const float softcap : {0.0F, 2.0F}) {
    const SelectProblem problem(
        {.q_begin = 600, .q_len = 100, .n_heads = 2, .head_dim = 64, .k_type = DType::f16, .gain = 3.0F});
    Alone alone;
    SelectCall call = problem.call(alone);
    call.softcap = softcap;
    const Selection chosen = choose(*make_choice(OracleTopk{.mass = 0.8}), call);
    const std::vector<float> q = problem.q.decoded(), k = problem.k.decoded();
    for (Pos head = 0; head < 2; ++head) {
      for (const Range rows : {Range{600, 640}, Range{640, 700}}) {
        std::vector<double> sums(static_cast<std::size_t>(rows.end), 0.0);
        for (Pos q_pos = rows.begin; q_pos < rows.end; ++q_pos) {
          std::vector<double> row;
          double all = 0;
          for (Pos j = 0; j <= q_pos; ++j) {
            double score = 0;
            for (Pos c = 0; c < 64; ++c) {
              score += double{q[static_cast<std::size_t>(((q_pos - 600) * 2 + head) * 64 + c)]} *
                       double{k[static_cast<std::size_t>(j * 64 + c)]} / 8.0;
            }
            if (softcap > 0) score = softcap * std::tanh(score / softcap);
            all += row.emplace_back(std::exp(score));
          }
          for (std::size_t j = 0; j < row.size(); ++j) sums[j] += row[j] / all / static_cast<double>(rows.size());
        }
        double covered = 0, least = 1;
        const std::vector<Pos> keys = keys_of(*chosen.of_head[static_cast<std::size_t>(head)], rows.end - 1);
        for (const Pos j : keys) {
          covered += sums[static_cast<std::size_t>(j)];
          least = std::min(least, sums[static_cast<std::size_t>(j)]);
        }
        EXPECT_GE(covered, 0.8 - 1e-5);
        EXPECT_LT(covered - least, 0.8 + 1e-5);
        for (Pos j = 0; j < rows.end; ++j) {  // none that is left out is larger
          if (!std::ranges::binary_search(keys, j)) EXPECT_LE(sums[static_cast<std::size_t>(j)], least + 1e-6);
        }
      }
    }
  }
}

TEST(OracleTopk, EveryQuerySeesAKey) {
  // All queries look at the last key, which the first ones may not see.
  SelectProblem problem({.q_begin = 0, .q_len = 64, .n_heads = 1});
  problem.plant_needle(63, 3000.0F);
  Alone alone;
  const WherePtr where = choose(*make_choice(OracleTopk{.mass = 0.01}), problem.call(alone)).of_head[0];
  for (Pos q_pos = 0; q_pos < 64; ++q_pos) EXPECT_FALSE(keys_of(*where, q_pos).empty()) << q_pos;
}

TEST(OracleTopk, RejectsParametersThatMakeNoSense) {
  const auto line = [](const OracleTopk& m) { return testing::error_line([&] { make_choice(m); }); };
  EXPECT_EQ(line({.mass = 0.0}), "where/oracle_topk: mass must be > 0 and <= 1, got 0.000000");
  EXPECT_EQ(line({.block_q = 0}), "where/oracle_topk: block_q must be >= 1 and <= 1024, got 0");
}

}  // namespace
}  // namespace saccade
