// attend() on selections: lists of blocks, of single keys, of runs at any offset, another one for each head, chosen for
// steps of queries. Short visits are gathered into blocks of the kernel, and items begin where steps do.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/sink.h"
#include "saccade/where/window.h"
#include "tests/support/any_case.h"

namespace saccade {
namespace {

using testing::AttendCase;
using testing::check_attend;
using testing::on_every_target;
using testing::Output;
using testing::Problem;
using testing::Random;
using testing::team_of;
using testing::used_workspace;

/// A pattern that says for which blocks of queries it is sharp.
class Stepped final : public Where {
 public:
  Stepped(WherePtr inner, Pos step) : inner_(std::move(inner)), step_(step) {}
  bool admits(Pos q_pos, Pos k_pos) const override { return inner_->admits(q_pos, k_pos); }
  void visits(Range q_block, VisitList& out) const override { inner_->visits(q_block, out); }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override { inner_->mask(q_pos, keys, words); }
  Pos q_step() const override { return step_; }

 private:
  WherePtr inner_;
  Pos step_;
};

struct Drawing {
  Range queries;  ///< positions
  Pos kv_len;
  Random& random;

  template <class List>
  WherePtr lists(Pos step, Pos width, const List& list) {
    const Pos first = queries.begin / step;
    Lists all;
    for (Pos u = first; u * step < queries.end; ++u) {
      std::vector<std::int32_t> numbers = list(u);
      std::sort(numbers.begin(), numbers.end());
      numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
      all.add(numbers);
    }
    if (width > 1) return std::make_shared<Stepped>(std::make_shared<BlockLists>(step, width, first, all), step);
    return std::make_shared<Stepped>(std::make_shared<TokenLists>(step, first, all), step);
  }

  /// Each block of keys with some chance, the diagonal most of the time.
  WherePtr blocks(Pos step, Pos width) {
    const Pos one_in = random.between(2, 8);
    return lists(step, width, [&](Pos u) {
      std::vector<std::int32_t> numbers;
      for (Pos t = 0; t * width < std::min((u + 1) * step, kv_len); ++t) {
        const bool diagonal = t == u * step / width && !random.one_in(8);
        if (diagonal || random.one_in(one_in)) numbers.push_back(static_cast<std::int32_t>(t));
      }
      return numbers;
    });
  }

  /// Single keys and runs of a few.
  WherePtr tokens(Pos step) {
    const Pos one_in = random.between(3, 40);
    return lists(step, 1, [&](Pos) {
      std::vector<std::int32_t> numbers;
      for (Pos key = 0; key < kv_len; ++key) {
        if (!random.one_in(one_in)) continue;
        const Pos end = std::min(kv_len, key + random.pick<Pos>({1, 1, 2, 5}));
        for (; key < end; ++key) numbers.push_back(static_cast<std::int32_t>(key));
      }
      return numbers;
    });
  }

  /// Columns, and runs of 64 keys at fixed distances from the block of queries.
  WherePtr vertical_slash(Pos step) {
    std::vector<std::int32_t> columns;
    for (int n = 0; n < 9; ++n) columns.push_back(static_cast<std::int32_t>(random.between(0, kv_len - 1)));
    std::vector<Pos> distances = {0};
    for (int n = 0; n < 3; ++n) distances.push_back(random.between(1, kv_len));
    return lists(step, 1, [&](Pos u) {
      std::vector<std::int32_t> numbers = columns;
      for (const Pos distance : distances) {
        for (Pos key = std::max<Pos>(0, u * step - distance); key < u * step - distance + 64; ++key) {
          numbers.push_back(static_cast<std::int32_t>(key));
        }
      }
      return numbers;
    });
  }

  WherePtr any() {
    const Pos step = random.pick<Pos>({32, 64, 128});
    switch (random.between(0, 3)) {
      case 0:
        return tokens(step);
      case 1:
        return vertical_slash(64);
      default:
        return blocks(step, random.pick<Pos>({16, 64, 128}));
    }
  }
};

/// Heads that share a pattern or have one each, dense ones among them if that is asked for.
AttendCase sparse_case(std::uint64_t seed, bool with_dense) {
  Random random(seed);
  AttendCase c{.seed = seed};
  c.q_len = random.pick<Pos>({1, 1, 3, 40, 65, 130, 200, 300});
  c.kv_len = random.pick<Pos>({129, 331, 640, 1009, 1537});
  c.q_len = std::min(c.q_len, c.kv_len);
  if (random.one_in(3)) c.q_begin = random.between(0, c.kv_len);
  c.n_kv_heads = random.between(1, 2);
  c.n_heads = c.n_kv_heads * random.pick<Pos>({1, 2, 3, 7});
  c.head_dim = random.pick<Pos>({32, 64, 96, 128});
  c.k_type = c.v_type = random.pick({DType::f32, DType::f16, DType::q8_0});
  c.kv_layout = random.pick({testing::Layout::kTokenMajor, testing::Layout::kHeadMajor});
  c.team = static_cast<int>(random.between(1, 4));
  c.gain = random.pick({1.0F, 4.0F});
  c.sink_scores = random.one_in(4);
  c.most_rows = 16;
  const Pos begin = c.q_begin.value_or(c.kv_len - c.q_len);
  Drawing draw{{begin, begin + c.q_len}, c.kv_len, random};
  c.where_name = "a selection";
  c.where = {draw.any()};
  if (random.one_in(3)) return c;
  while (static_cast<Pos>(c.where.size()) < c.n_heads) {
    WherePtr next = random.one_in(3) ? c.where.back() : draw.any();
    if (random.one_in(5)) next = unite({next, make_where(where::Sink{4}), make_where(where::Window{30})});
    if (with_dense && random.one_in(4)) next = make_where(where::Dense{});
    c.where.push_back(std::move(next));
  }
  return c;
}

TEST(AttendSparse, EqualsItsDefinition) {
  for (std::uint64_t seed = 12000; seed < 12090; ++seed) check_attend(sparse_case(seed, true));
}

TEST(AttendSparse, EqualsItsDefinitionInSixteenBits) {
  for (std::uint64_t seed = 12200; seed < 12300; ++seed) {
    AttendCase c = sparse_case(seed, true);
    c.precision = seed % 4 == 0 ? Precision::kBf16 : Precision::kI16;
    check_attend(c);
  }
}

TEST(AttendSparse, CapsAndBiasesAtTheEdges) {
  for (std::uint64_t seed = 12500; seed < 12540; ++seed) {
    AttendCase c = sparse_case(seed, true);
    Random random(seed);
    c.softcap = random.pick({0.0F, 20.0F});
    c.bias_type = random.pick({DType::f32, DType::f16});
    const Pos begin = random.between(0, c.kv_len - 1);
    c.bias_keys = {begin, random.between(begin, c.kv_len)};
    c.slopes = random.one_in(2);
    check_attend(c);
  }
}

/// Keys that no query sees through this KV head.
std::vector<Pos> unseen(const Problem& problem, Pos kv_head) {
  std::vector<Pos> keys;
  for (Pos key = 0; key < problem.c.kv_len; ++key) {
    bool seen = false;
    for (Pos head = 0; head < problem.c.n_heads && !seen; ++head) {
      if (problem.in.kv_head[static_cast<std::size_t>(head)] != kv_head) continue;
      for (Pos i = 0; i < problem.c.q_len && !seen; ++i) seen = problem.sees(i, head, key);
    }
    if (!seen) keys.push_back(key);
  }
  return keys;
}

/// The law exact_on_selection: with the selection held, NaN in every unvisited key changes no bit.
TEST(AttendSparse, NaNInEveryKeyThatNobodySeesChangesNoBit) {
  std::size_t n_poisoned = 0;
  for (std::uint64_t seed = 12600; seed < 12690; ++seed) {
    AttendCase c = sparse_case(seed, false);
    c.precision = std::vector{Precision::kF32, Precision::kI16, Precision::kBf16}[seed % 3];
    if (c.precision == Precision::kI16 && !kernel::has_fixed()) continue;
    if (c.precision == Precision::kBf16 && !kernel::has_bf16()) continue;
    Problem problem(c);
    Output before = problem.output(), after = problem.output();
    problem.run(before, team_of(c.team), used_workspace());
    for (Pos kv_head = 0; kv_head < c.n_kv_heads; ++kv_head) {
      const std::vector<float> nan(static_cast<std::size_t>(c.head_dim), std::numeric_limits<float>::quiet_NaN());
      for (const Pos key : unseen(problem, kv_head)) {
        problem.k.set(key, kv_head, nan);
        problem.v.set(key, kv_head, nan);
        ++n_poisoned;
      }
    }
    problem.run(after, team_of(c.team), used_workspace());
    EXPECT_TRUE(after.same_bits(before)) << c;
  }
  EXPECT_GT(n_poisoned, 1000U) << "the test says nothing";
}

TEST(AttendSparse, SameTeamSizeSameBits) {
  for (const int size : {1, 2, 5, 64}) {
    for (std::uint64_t seed = 12700; seed < 12706; ++seed) {
      AttendCase c = sparse_case(seed, true);
      c.precision = seed % 2 == 0 || !kernel::has_fixed() ? Precision::kF32 : Precision::kI16;
      const Problem problem(c);
      const std::unique_ptr<Team> team = make_thread_team(size);
      Output first = problem.output();
      problem.run(first, *team, used_workspace());
      for (int repeat = 0; repeat < 3; ++repeat) {
        Output again = problem.output();
        problem.run(again, *team, used_workspace());
        ASSERT_TRUE(again.same_bits(first)) << c << ", " << size << " threads";
      }
    }
  }
}

/// A key with NaN runs in f32 by itself: rows that see it get what fp64 says, rows beside them keep all their bits.
TEST(AttendSparse, AWildKeyTouchesOnlyTheRowsThatSeeIt) {
  if (!kernel::has_fixed()) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float poison : {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf}) {
    for (const bool in_k : {true, false}) {
      AttendCase c{.seed = 12800, .q_len = 128, .kv_len = 512, .n_heads = 2, .n_kv_heads = 1, .head_dim = 64};
      c.precision = Precision::kI16;
      Random random(c.seed);
      c.where_name = "64 x 64", c.where = {Drawing{{384, 512}, c.kv_len, random}.blocks(64, 64)};
      Problem problem(c);
      Output before = problem.output(), after = problem.output();
      problem.run(before, team_of(2), used_workspace());
      std::vector<float> row = in_k ? problem.k.get(480, 0) : problem.v.get(480, 0);
      row[5] = poison;
      in_k ? problem.k.set(480, 0, row) : problem.v.set(480, 0, row);
      problem.read_tensors();
      problem.run(after, team_of(2), used_workspace());
      for (Pos i = 0; i < c.q_len; ++i) {
        for (Pos head = 0; head < c.n_heads; ++head) {
          if (!problem.sees(i, head, 480)) {
            EXPECT_TRUE(after.same_bits(before, i, head)) << i;
          } else {
            const float lse = after.lse(i, head);
            EXPECT_TRUE(judge(problem.expect(i, head), after.o(i, head), &lse, c.seed)) << i << ", " << poison;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace saccade
