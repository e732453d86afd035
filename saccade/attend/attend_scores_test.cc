// attend() against the oracle: what becomes of a score between the dot product and its weight.

#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/attend/given_mask.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::any_case;
using testing::AttendCase;
using testing::check_attend;
using testing::on_every_target;
using testing::Output;
using testing::patterns;
using testing::Problem;
using testing::team_of;
using testing::use;
using testing::used_workspace;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

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

// Scores that reach +-1e5 in every row, near ties among them, with and without a sink score of that size.
TEST(Attend, ScoresOfAHundredThousand) {
  for (const Pos q_len : {1, 49}) {
    for (const float sink : {-kInf, -1e5F, 1e5F - 1.0F, 1e5F}) {
      AttendCase c{.seed = 1700, .q_len = q_len, .kv_len = 500, .n_heads = 3, .n_kv_heads = 1, .scale = 1.0F};
      c.sink_scores = sink != -kInf;
      Problem problem(c);
      const std::vector<float> row = problem.k.get(0, 0);
      const float square = std::inner_product(row.begin(), row.end(), row.begin(), 0.0F);
      const auto times = [&](float factor) {
        std::vector<float> product = row;
        for (float& x : product) x *= factor;
        return product;
      };
      for (Pos i = 0; i < q_len; ++i) {
        for (Pos head = 0; head < 3; ++head) problem.q.set(i, head, times((head == 1 ? -1e5F : 1e5F) / square));
      }
      for (Pos j = 0; j < c.kv_len; ++j) {
        const float near_one = 1.0F - static_cast<float>(j % 7) * 0x1p-17F;
        problem.k.set(j, 0, times(j % 2 == 0 ? near_one : -near_one));
      }
      problem.read_tensors();
      if (c.sink_scores) problem.in.sink_scores.assign(3, sink);
      on_every_target([&](const std::string&) {
        Output out = problem.output();
        problem.run(out, team_of(2), used_workspace());
        for (const auto& [i, head] : testing::rows_to_judge(c)) {
          const float lse = out.lse(i, head);
          ASSERT_TRUE(judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << c << ", sink " << sink;
        }
      });
    }
  }
}

// A bias of -inf hides whatever the slope makes of it.
TEST(Attend, SlopesOfZeroAndBelow) {
  for (const Pos q_len : {1, 49}) {
    AttendCase c{.seed = 1750, .q_len = q_len, .kv_len = 300, .n_heads = 4, .n_kv_heads = 1};
    c.bias_type = DType::f16, c.bias_keys = {100, 300}, c.slopes = true;
    Problem problem(c);
    problem.in.slopes = {0.0F, -2.0F, 3.0F, 0x1p-8F};
    on_every_target([&](const std::string&) {
      Output out = problem.output();
      problem.run(out, team_of(2), used_workspace());
      for (const auto& [i, head] : testing::rows_to_judge(c)) {
        const float lse = out.lse(i, head);
        ASSERT_TRUE(judge(problem.expect(i, head), out.o(i, head), &lse, c.seed)) << c;
      }
    });
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

}  // namespace
}  // namespace saccade
