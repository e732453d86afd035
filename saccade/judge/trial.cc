#include "saccade/judge/trial.h"

#include <algorithm>
#include <cstdint>

namespace saccade::judge {
namespace {

Pos kv_head_of(const AttendCall& call, int head) {
  if (!call.kv_head.empty()) return call.kv_head[static_cast<std::size_t>(head)];
  return head * call.k.n_heads / call.q.n_heads;
}

/// sum[0] += weight, sum[1 + c] += weight * value[c].
template <class T>
void add_key(float weight, const float* value, Pos dim, T* sum) {
  sum[0] += weight;
  for (Pos c = 0; c < dim; ++c) sum[1 + c] += weight * value[c];
}

}  // namespace

TrialRows::TrialRows(const AttendCall& call, int head, std::span<const Pos> rows, Team& team)
    : dense_(dense_rows(call, head, rows, team)), values_(load(call.v, kv_head_of(call, head), {0, call.k.len})) {
  sums_.resize(static_cast<std::size_t>(dense_.size() * n_blocks() * (1 + dense_.dim_v)));
  parallel_for(team, n_blocks(), [&](Pos block, int) {
    for (Pos i = 0; i < dense_.size(); ++i) {
      float* const sum = sums_.data() + (i * n_blocks() + block) * (1 + dense_.dim_v);
      const Pos end = std::min((block + 1) * kBlock, dense_.n_visible(i));
      for (Pos j = block * kBlock; j < end; ++j) {
        add_key(dense_.weights_of(i)[static_cast<std::size_t>(j)], values_.row(j), dense_.dim_v, sum);
      }
    }
  });
}

const float* TrialRows::sums(Pos row, Pos block) const {
  return sums_.data() + (row * n_blocks() + block) * (1 + dense_.dim_v);
}

TrialOutcome TrialRows::with(const Where& where) const {
  const Pos dim = dense_.dim_v;
  TrialOutcome out;
  out.delta.resize(dense_.o.size());
  std::vector<std::uint32_t> words;
  std::vector<double> sum;
  for (Pos i = 0; i < dense_.size(); ++i) {
    const Pos n = dense_.n_visible(i);
    words.assign(static_cast<std::size_t>((n + kBlock - 1) / kBlock * (kBlock / 32)), 0U);
    sum.assign(static_cast<std::size_t>(1 + dim), 0.0);
    where.mask(dense_.q_pos(i), {0, n}, words.data());
    for (Pos begin = 0; begin < n; begin += kBlock) {
      const auto word = static_cast<std::size_t>(begin / 32);
      const std::uint64_t shown = words[word] | static_cast<std::uint64_t>(words[word + 1]) << 32;
      const std::uint64_t all = n - begin >= kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << (n - begin)) - 1;
      if (shown == all) {
        const float* const block = sums(i, begin / kBlock);
        for (Pos c = 0; c <= dim; ++c) sum[static_cast<std::size_t>(c)] += block[c];
        continue;
      }
      for (Pos j = 0; j < kBlock && shown >> j != 0; ++j) {
        if ((shown >> j & 1U) == 0) continue;
        add_key(dense_.weights_of(i)[static_cast<std::size_t>(begin + j)], values_.row(begin + j), dim, sum.data());
      }
    }
    // The weights sum to 1 over all keys; beside them a sink score has (1 - share) / share.
    const double share = dense_.share[static_cast<std::size_t>(i)];
    const double whole = share > 0 ? sum[0] + (1 - share) / share : 0;
    out.mass.push_back(sum[0]);
    for (Pos c = 0; c < dim; ++c) {
      const auto at = static_cast<std::size_t>(i * dim + c);
      out.delta[at] = (whole > 0 ? sum[static_cast<std::size_t>(1 + c)] / whole : 0.0) - dense_.o[at];
    }
  }
  return out;
}

}  // namespace saccade::judge
