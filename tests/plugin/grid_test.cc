// FLASH_ATTN_EXT in our backend and in ggml's CPU backend over a generated grid, both against fp64. Ours must keep the
// rule of tests/tolerance.h; ggml's error is printed beside it.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "ggml-backend.h"
#include "saccade/kernel/bf16.h"
#include "saccade/oracle/bf16.h"
#include "saccade/oracle/fixed.h"
#include "tests/plugin/attention_case.h"
#include "tests/support/random.h"
#include "tests/support/thorough.h"
#include "tests/tolerance.h"

namespace saccade::testing {
namespace {

constexpr std::uint64_t kShards = 12, kCasesPerShard = 100;

struct ErrorSum {
  double largest = 0.0, sum = 0.0;
  std::int64_t n = 0;
  void add(double error) {
    largest = std::max(largest, error);
    sum += error;
    ++n;
  }
  double mean() const { return n > 0 ? sum / static_cast<double>(n) : 0.0; }
};

struct Tally {
  int ours = 0, declined = 0, ggml_judged = 0;
  ErrorSum our_error, ggml_error;
};

struct SoftCap {
  float c;
  template <class T>
  T operator()(T score) const {
    return c > 0.0F ? T{c} * std::tanh(score / T{c}) : score;
  }
};

/// What precision bf16 is measured against.
Expected expect_bf16(Expected row, const AttentionCase& c, const oracle::Inputs& in) {
  row.eps = 1.0 / 256;
  row.compare_with(oracle::attend_row_bf16(
      in, row.i, row.head, [](Pos, Pos) { return true; }, SoftCap{c.softcap}));
  return row;
}

/// What precision auto is measured against: bf16 on a matrix unit, else 16-bit fixed point, where it may run in that.
Expected expect_auto(Expected row, const AttentionCase& c, const oracle::Inputs& in) {
  if (kernel::has_bf16_tiles()) return expect_bf16(std::move(row), c, in);
  const auto is_a_value = [](float bias) { return bias != 0.0F && !std::isinf(bias); };
  if (c.softcap > 0.0F || std::any_of(in.bias.begin(), in.bias.end(), is_a_value)) return row;
  const auto not_hidden = [&](Pos q_pos, Pos k_pos) {
    return in.bias.empty() || !std::isinf(in.bias[static_cast<std::size_t>(q_pos * in.kv_len + k_pos)]);
  };
  row.eps = 1.0 / 4096;
  row.compare_with(oracle::attend_row_fixed(in, row.i, row.head, not_hidden));
  return row;
}

/// What each backend and precision made of a case.
struct Results {
  std::vector<float> ours, in_auto, in_bf16, ggmls;  // in_bf16: empty where the CPU cannot
};

void check_row(const AttentionCase& c, const oracle::Inputs& in, Pos stream, Pos i, Pos head, const Results& results,
               Tally& tally) {
  const auto visible = [](Pos, Pos) { return true; };  // the bias hides
  const Expected row = expect_row(in, i, head, visible, SoftCap{c.softcap});
  const std::size_t first = static_cast<std::size_t>(((stream * c.q_len + i) * c.n_heads + head) * c.head_dim_v);
  const auto size = static_cast<std::size_t>(c.head_dim_v);
  EXPECT_TRUE(judge(row, std::span(results.ours).subspan(first, size), nullptr, c.seed))
      << c.print() << ", stream " << stream;
  EXPECT_TRUE(judge(expect_auto(row, c, in), std::span(results.in_auto).subspan(first, size), nullptr, c.seed))
      << c.print() << ", stream " << stream << ", precision auto";
  if (!results.in_bf16.empty()) {
    EXPECT_TRUE(judge(expect_bf16(row, c, in), std::span(results.in_bf16).subspan(first, size), nullptr, c.seed))
        << c.print() << ", stream " << stream << ", precision bf16";
  }
  if (c.k_type == GGML_TYPE_F32 && c.v_type == GGML_TYPE_F32) {
    // Where ggml rounds nothing to fewer than 32 bits it keeps the rule as well: the definition is ggml's.
    EXPECT_TRUE(judge(row, std::span(results.ggmls).subspan(first, size), nullptr, c.seed))
        << c.print() << ", ggml's own";
    ++tally.ggml_judged;
  }
  for (std::size_t d = 0; d < size; ++d) {
    tally.our_error.add(std::fabs(results.ours[first + d] - row.exact.o[d]));
    tally.ggml_error.add(std::fabs(results.ggmls[first + d] - row.exact.o[d]));
  }
}

void check_case(const AttentionCase& c, Tally& tally) {
  AttentionGraph graph(c);
  Random random(c.seed + 2);
  const int n_threads = static_cast<int>(random.between(1, 3));
  ggml_backend_t ours = our_backend("dense", n_threads);
  ASSERT_EQ(ggml_backend_supports_op(ours, graph.node()), c.is_ours()) << c.print();
  if (!c.is_ours()) {
    ++tally.declined;
    return;
  }
  ++tally.ours;
  Results results;
  results.ours = graph.run(ours);
  results.in_auto = graph.run(our_backend("dense", n_threads, Precision::kAuto));
  if (kernel::has_bf16()) results.in_bf16 = graph.run(our_backend("dense", n_threads, Precision::kBf16));
  results.ggmls = graph.run(cpu_backend(n_threads));
  for (const float x : results.ours) ASSERT_TRUE(std::isfinite(x)) << c.print();
  for (Pos stream = 0; stream < c.n_streams; ++stream) {
    const Pos n_rows = std::min(thinned(6), c.q_len * c.n_heads);
    for (Pos n = 0; n < n_rows; ++n) {  // the corners, and what lies between them by chance
      const Pos i = n == 0 ? 0 : n == 1 ? c.q_len - 1 : random.between(0, c.q_len - 1);
      const Pos head = n == 0 ? 0 : n == 1 ? c.n_heads - 1 : random.between(0, c.n_heads - 1);
      check_row(c, graph.inputs(stream, head), stream, i, head, results, tally);
    }
  }
}

class Grid : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(Grid, AgreesWithFp64) {
  Tally tally;
  for (std::uint64_t n = 0; n < kCasesPerShard; ++n) check_case(draw_case(GetParam() * kCasesPerShard + n), tally);
  EXPECT_EQ(tally.ours + tally.declined, static_cast<int>(kCasesPerShard));
  EXPECT_GT(tally.declined, 0);
  EXPECT_GT(tally.ggml_judged, 0);
  std::printf("ran %d, declined %d; |o - fp64| largest, mean: ours %.2e, %.2e; ggml %.2e, %.2e\n", tally.ours,
              tally.declined, tally.our_error.largest, tally.our_error.mean(), tally.ggml_error.largest,
              tally.ggml_error.mean());
}

INSTANTIATE_TEST_SUITE_P(Shard, Grid, ::testing::Range<std::uint64_t>(0, kShards));

}  // namespace
}  // namespace saccade::testing
