#include "saccade/attend/centre.h"

#include <algorithm>
#include <cmath>

#include "saccade/attend/packed.h"
#include "saccade/kernel/few.h"

namespace saccade::detail {
namespace {

constexpr Pos kMostSamples = 32;

/// The n-th key of the visits, and whether its visit is full.
Visit nth_key(const VisitList& visits, Pos n) {
  for (const Visit& visit : visits) {
    if (n < visit.keys.size()) return {{visit.keys.begin + n, visit.keys.begin + n + 1}, visit.full};
    n -= visit.keys.size();
  }
  return {};
}

}  // namespace

Centres::Centres(Layout& layout, const AttendCall& call)
    : head_dim_(call.k.dim),
      edge_(layout, call, 1),
      samples_(layout.take<float>(kMostSamples * head_dim_)),
      centres_(layout.take<float>(call.k.n_heads * head_dim_)) {}

bool Centres::wanted(const AttendCall& call, const Schedule& schedule) {
  return schedule.most_rows > kernel::kFewRows && call.softcap == 0 && runs_in(call) == Precision::kBf16 &&
         call.k.dtype != DType::bf16;
}

void Centres::find(const AttendCall& call, const Schedule& schedule) {
  std::fill_n(centres_, call.k.n_heads * head_dim_, 0.0F);
  for (int kv_head = 0; kv_head < call.k.n_heads; ++kv_head) {
    const auto set = std::find_if(schedule.sets.begin(), schedule.sets.end(),
                                  [kv_head](const HeadSet& one) { return one.kv_head == kv_head; });
    if (set != schedule.sets.end()) find(call, *set);
  }
}

void Centres::find(const AttendCall& call, const HeadSet& set) {
  const Range last{call.q.len - 1, call.q.len};
  VisitList visits;
  set.where->visits({call.q_begin + last.begin, call.q_begin + last.end}, visits);
  clip(visits, {0, call.k.len});
  Pos n_visited = 0;
  for (const Visit& visit : visits) n_visited += visit.keys.size();
  const Pos n_wanted = std::min(kMostSamples, n_visited);

  Pos n = 0;
  for (Pos i = 0; i < n_wanted; ++i) {
    const Visit key = nth_key(visits, i * n_visited / n_wanted);
    if (!key.full && (edge_.ask(call, *set.where, last, Gathered(key.keys)) == 0 || edge_.words(last.begin)[0] == 0))
      continue;
    float* sample = samples_ + n * head_dim_;
    kernel::load_rows(call.k.dtype, call.k.row(key.keys.begin, set.kv_head), 0, 1, static_cast<int>(head_dim_), sample);
    if (std::all_of(sample, sample + head_dim_, [](float x) { return std::isfinite(x); })) ++n;
  }
  if (n == 0) return;
  float column[kMostSamples];
  for (Pos dim = 0; dim < head_dim_; ++dim) {
    for (Pos i = 0; i < n; ++i) column[i] = samples_[i * head_dim_ + dim];
    std::nth_element(column, column + n / 2, column + n);
    centres_[set.kv_head * head_dim_ + dim] = column[n / 2];
  }
}

}  // namespace saccade::detail
