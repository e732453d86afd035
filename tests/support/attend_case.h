#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/kernel/bf16.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/targets.h"
#include "saccade/oracle/attention.h"
#include "saccade/oracle/bf16.h"
#include "saccade/oracle/fixed.h"
#include "saccade/weigh/softcap.h"
#include "saccade/where/dense.h"
#include "saccade/where/where.h"
#include "tests/support/centres.h"
#include "tests/support/random.h"
#include "tests/support/tensor.h"
#include "tests/support/thorough.h"
#include "tests/tolerance.h"

namespace saccade::testing {

/// Calls no visit full where it touches `edge`, so that a bias may lie there; admits what `inner` admits.
class EdgeWithin final : public Where {
 public:
  EdgeWithin(WherePtr inner, Range edge) : inner_(std::move(inner)), edge_(edge) {}
  bool admits(Pos q_pos, Pos k_pos) const override { return inner_->admits(q_pos, k_pos); }
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override { inner_->mask(q_pos, keys, words); }
  Pos q_step() const override { return inner_->q_step(); }
  void visits(Range q_block, VisitList& out) const override {
    VisitList inner;
    inner_->visits(q_block, inner);
    out.clear();
    for (const Visit& visit : inner) {
      const Pos first = std::clamp(edge_.begin, visit.keys.begin, visit.keys.end);
      const Pos last = std::clamp(edge_.end, first, visit.keys.end);
      for (const Visit part : {Visit{{visit.keys.begin, first}, visit.full}, Visit{{first, last}, false},
                               Visit{{last, visit.keys.end}, visit.full}}) {
        if (!part.keys.empty()) out.push_back(part);
      }
    }
  }

 private:
  WherePtr inner_;
  Range edge_;
};

/// One call of attend(), written as what it is about. Prints itself.
struct AttendCase {
  std::uint64_t seed = 1;
  Pos q_len = 1, kv_len = 1;
  Pos n_heads = 2, n_kv_heads = 1, head_dim = 64;
  Pos head_dim_v = 0;  ///< 0: head_dim
  DType q_type = DType::f32, k_type = DType::f32, v_type = DType::f32;
  Layout q_layout = Layout::kTokenMajor, kv_layout = Layout::kTokenMajor, o_layout = Layout::kTokenMajor;
  std::string where_name = "dense";
  std::vector<WherePtr> where = {make_where(where::Dense{})};
  std::vector<int> kv_head;        ///< empty: the engine's own
  std::optional<Pos> q_begin;      ///< none: the queries are the last of the text
  std::optional<DType> bias_type;  ///< none: no bias
  Range bias_keys;                 ///< the bias is zero elsewhere
  bool slopes = false;             ///< the bias times another number in each head
  bool sink_scores = false;        ///< one a head, about as large as the scores; some -inf
  std::optional<float> scale;      ///< none: 1 / sqrt(head_dim)
  float softcap = 0.0F;
  float gain = 1.0F;  ///< of q: scores are about this large
  int team = 2;
  Precision precision = Precision::kF32;
  Pos most_rows = 40;  ///< judged; the others must only be numbers

  Pos v_dim() const { return head_dim_v == 0 ? head_dim : head_dim_v; }
};

inline std::ostream& operator<<(std::ostream& out, const AttendCase& c) {
  out << "q " << name_of(c.q_type) << " k " << name_of(c.k_type) << " v " << name_of(c.v_type) << ", q_len " << c.q_len
      << " kv_len " << c.kv_len << " heads " << c.n_heads << "/" << c.n_kv_heads << " head_dim " << c.head_dim << "/"
      << c.v_dim() << ", layouts " << static_cast<int>(c.q_layout) << static_cast<int>(c.kv_layout)
      << static_cast<int>(c.o_layout) << ", where " << c.where_name << (c.where.size() > 1 ? " per head" : "")
      << ", kv_head";
  for (const int head : c.kv_head) out << " " << head;
  if (c.kv_head.empty()) out << " by ratio";
  if (c.q_begin) out << ", q_begin " << *c.q_begin;
  if (c.bias_type)
    out << ", bias " << name_of(*c.bias_type) << " [" << c.bias_keys.begin << ", " << c.bias_keys.end << ")";
  if (c.slopes) out << ", slopes";
  if (c.sink_scores) out << ", sink scores";
  if (c.scale) out << ", scale " << *c.scale;
  if (c.precision != Precision::kF32) out << ", " << name_of(c.precision);
  return out << ", softcap " << c.softcap << ", gain " << c.gain << ", team " << c.team << ", seed " << c.seed;
}

/// A case with its data.
class Problem {
 public:
  explicit Problem(AttendCase what)
      : c(std::move(what)),
        q(c.q_type, c.q_len, c.n_heads, c.head_dim, c.q_layout),
        k(c.k_type, c.kv_len, c.n_kv_heads, c.head_dim, c.kv_layout),
        v(c.v_type, c.kv_len, c.n_kv_heads, c.v_dim(), c.kv_layout) {
    Random random(c.seed);
    q.fill(random, c.gain);
    k.fill(random, 1.0F);
    v.fill(random, 1.0F);
    in.q_len = c.q_len, in.kv_len = c.kv_len, in.n_heads = c.n_heads, in.n_kv_heads = c.n_kv_heads;
    in.head_dim = c.head_dim, in.head_dim_v = c.v_dim();
    in.scale = c.scale.value_or(1.0F / std::sqrt(static_cast<float>(c.head_dim)));
    in.q_begin = c.q_begin.value_or(std::max<Pos>(0, c.kv_len - c.q_len));
    for (Pos head = 0; head < c.n_heads; ++head) {
      in.kv_head.push_back(c.kv_head.empty() ? static_cast<int>(head * c.n_kv_heads / c.n_heads)
                                             : c.kv_head[static_cast<std::size_t>(head)]);
    }
    if (c.bias_type) {
      for (WherePtr& where : c.where) where = std::make_shared<EdgeWithin>(where, c.bias_keys);
      fill_bias(random);
    }
    for (Pos head = 0; head < c.n_heads; ++head) {
      if (c.slopes) in.slopes.push_back(head == 0 ? 0.0F : random.normal());
      if (!c.sink_scores) continue;
      const bool none = random.one_in(5);
      in.sink_scores.push_back(none ? -std::numeric_limits<float>::infinity() : 2.0F * c.gain * random.normal());
    }
    read_tensors();
  }

  /// Call after changing q, k or v: what the oracle reads is what the storage holds.
  void read_tensors() { in.q = q.decoded(), in.k = k.decoded(), in.v = v.decoded(); }

  const Where& where(Pos head) const { return *c.where[c.where.size() == 1 ? 0 : static_cast<std::size_t>(head)]; }

  bool sees(Pos i, Pos head, Pos j) const {
    const bool hidden = !in.bias.empty() && std::isinf(in.bias[static_cast<std::size_t>(i * in.kv_len + j)]);
    return !hidden && where(head).admits(in.q_begin + i, j);
  }

  Expected expect(Pos i, Pos head) const {
    const auto visible = [this, head](Pos q_pos, Pos k_pos) { return where(head).admits(q_pos, k_pos); };
    const auto shape = [this](auto score) { return weigh::Softcap{c.softcap}.shape(score); };
    Expected expected = expect_row(in, i, head, visible, shape);
    if (c.precision == Precision::kI16) {
      expected.eps = 1.0 / 4096;
      expected.compare_with(oracle::attend_row_fixed(in, i, head, visible));
    }
    if (c.precision == Precision::kBf16) {
      expected.eps = 1.0 / 256;
      expected.compare_with(oracle::attend_row_bf16(in, i, head, visible, shape, centres()));
    }
    return expected;
  }

  std::int64_t pairs() const {
    std::int64_t pairs = 0;
    for (std::size_t n = 0; n < c.where.size(); ++n) {
      for (Pos i = 0; i < in.q_len; ++i) {
        for (Pos j = 0; j < in.kv_len; ++j) pairs += c.where[n]->admits(in.q_begin + i, j) ? 1 : 0;
      }
    }
    return c.where.size() == 1 ? pairs * c.n_heads : pairs;
  }

  Output output() const { return Output(c.q_len, c.n_heads, c.v_dim(), c.o_layout); }

  /// The call that writes to `out`. It borrows from the problem, and the patterns from `where`.
  AttendCall call(Output& out, std::vector<const Where*>& where) const {
    where.clear();
    for (const WherePtr& pattern : c.where) where.push_back(pattern.get());
    AttendCall call{.q = q.view(), .k = k.view(), .v = v.view(), .o = out.view(), .lse = out.lse()};
    call.where = where;
    call.kv_head = c.kv_head;
    if (c.bias_type) call.bias = {bias_.data(), *c.bias_type, bias_stride_};
    call.slopes = in.slopes;
    call.sink_scores = in.sink_scores;
    call.scale = in.scale;
    call.softcap = c.softcap;
    call.precision = c.precision;
    call.q_begin = in.q_begin;
    return call;
  }

  AttendCost run(Output& out, Team& team, Workspace& workspace, bool with_lse = true) const {
    std::vector<const Where*> borrowed;
    AttendCall what = call(out, borrowed);
    if (!with_lse) what.lse = nullptr;
    return attend(what, team, workspace);
  }

  std::vector<float> centres() const {
    Output nowhere = output();
    std::vector<const Where*> borrowed;
    return centres_of(call(nowhere, borrowed), c.team);
  }

  AttendCase c;
  Tensor q, k, v;
  oracle::Inputs in;

 private:
  void fill_bias(Random& random) {
    const auto row = static_cast<std::ptrdiff_t>(row_bytes(*c.bias_type, c.kv_len));
    bias_stride_ = row + static_cast<std::ptrdiff_t>(3 * row_bytes(*c.bias_type, 1));
    bias_.assign(static_cast<std::size_t>(bias_stride_ * c.q_len), std::byte{0xFF});
    for (Pos i = 0; i < c.q_len; ++i) {
      std::vector<float> values(static_cast<std::size_t>(c.kv_len), 0.0F);
      const bool hide_all = random.one_in(9);
      for (Pos j = std::max<Pos>(0, c.bias_keys.begin); j < std::min(c.kv_len, c.bias_keys.end); ++j) {
        values[static_cast<std::size_t>(j)] =
            hide_all || random.one_in(5) ? -std::numeric_limits<float>::infinity() : 2.0F * random.normal();
      }
      std::byte* out = bias_.data() + i * bias_stride_;
      encode(*c.bias_type, values, out);
      const std::vector<float> rounded = decode(*c.bias_type, out, c.kv_len);
      in.bias.insert(in.bias.end(), rounded.begin(), rounded.end());
    }
  }

  std::vector<std::byte> bias_;
  std::ptrdiff_t bias_stride_ = 0;
};

/// Teams are made once a program.
inline Team& team_of(int size) {
  static std::vector<std::unique_ptr<Team>> teams(16);
  std::unique_ptr<Team>& team = teams.at(static_cast<std::size_t>(size));
  if (!team) team = make_thread_team(size);
  return *team;
}

/// One workspace for everything, full of the last call's leftovers.
inline Workspace& used_workspace() {
  static Workspace workspace;
  return workspace;
}

/// Runs `body(target)` with each CPU target of this machine forced, and sets the choice free again.
template <class Body>
void on_every_target(const Body& body) {
  struct Free {
    ~Free() { kernel::force_target(""); }
  } free;
  for (const std::string& target : kernel::supported_targets()) {
    SCOPED_TRACE("target " + target);
    kernel::force_target(target);
    body(target);
  }
}

/// Rows to judge: the corners, the neighbours of blocks of 48, 64 and 128 queries, and some at random; under a
/// sanitizer fewer.
inline std::set<std::pair<Pos, Pos>> rows_to_judge(const AttendCase& c) {
  std::set<std::pair<Pos, Pos>> rows;
  const Pos all = c.q_len * c.n_heads, most_rows = thinned(c.most_rows);
  if (all <= most_rows) {
    for (Pos n = 0; n < all; ++n) rows.insert({n / c.n_heads, n % c.n_heads});
    return rows;
  }
  Random random(c.seed);
  for (const Pos i : {Pos{0}, Pos{47}, Pos{48}, Pos{63}, Pos{64}, Pos{127}, Pos{128}, c.q_len - 1}) {
    if (i < c.q_len) rows.insert({i, random.between(0, c.n_heads - 1)});
  }
  while (static_cast<Pos>(rows.size()) < most_rows) {
    rows.insert({random.between(0, c.q_len - 1), random.between(0, c.n_heads - 1)});
  }
  return rows;
}

/// attend() against the oracle on every target: judged rows by tests/tolerance.h, no NaN left in the others, gaps of
/// the output untouched, pairs counted.
inline void check_attend(const AttendCase& c) {
  const Problem problem(c);
  std::vector<Expected> rows;
  for (const auto& [i, head] : rows_to_judge(c)) rows.push_back(problem.expect(i, head));
  const std::int64_t pairs = problem.pairs();
  on_every_target([&](const std::string&) {
    if (c.precision == Precision::kI16 && !kernel::has_fixed()) return;
    if (c.precision == Precision::kBf16 && !kernel::has_bf16()) return;
    Output out = problem.output();
    const AttendCost cost = problem.run(out, team_of(c.team), used_workspace());
    EXPECT_EQ(cost.pairs_visited, pairs) << c;
    EXPECT_TRUE(out.gaps_untouched()) << c;
    for (const Expected& row : rows) {
      const float lse = out.lse(row.i, row.head);
      ASSERT_TRUE(judge(row, out.o(row.i, row.head), &lse, c.seed)) << c;
    }
    for (Pos i = 0; i < c.q_len; ++i) {
      for (Pos head = 0; head < c.n_heads; ++head) {
        ASSERT_FALSE(std::isnan(out.lse(i, head))) << "query " << i << ", head " << head << " of " << c;
        for (const float x : out.o(i, head))
          ASSERT_TRUE(std::isfinite(x)) << "query " << i << ", head " << head << " of " << c;
      }
    }
  });
}

}  // namespace saccade::testing
