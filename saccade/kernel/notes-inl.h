// What probes keep of a block's scores and weights, compiled once per target. Rows lie in lanes, as in the visit
// kernel.

#include <limits>

#include "hwy/highway.h"
#include "saccade/kernel/notes.h"
#include "saccade/kernel/visit.h"

#if defined(SACCADE_KERNEL_NOTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SACCADE_KERNEL_NOTES_INL_H_
#undef SACCADE_KERNEL_NOTES_INL_H_
#else
#define SACCADE_KERNEL_NOTES_INL_H_
#endif

#include "saccade/kernel/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A sorted list takes in one more: each place keeps the better of what it has and what is pushed on from the one
/// before, which is the newcomer or its neighbour.
HWY_INLINE void keep(const BestLists& to, int row, RankedKey key) {
  const hn::CappedTag<std::uint64_t, kRankedTogether> d;
  const int lanes = static_cast<int>(hn::Lanes(d)), asked = to.n_best - 1;
  static constexpr std::uint64_t kBefore[kRankedTogether] = {0, 0, 1, 2, 3, 4, 5, 6};
  const auto one_before = hn::SetTableIndices(d, kBefore);
  const auto first = hn::FirstN(d, 1);
  const auto newcomer = hn::Set(d, key.rank());
  auto* const list = reinterpret_cast<std::uint64_t*>(to.best + row * to.stride);
  auto before = hn::Set(d, ~std::uint64_t{0});
  auto last = before;
  for (int at = 0; at < to.stride; at += lanes) {
    const auto kept = hn::Load(d, list + at);
    const auto pushed = hn::IfThenElse(first, before, hn::TableLookupLanes(kept, one_before));
    const auto stays = hn::Max(kept, hn::Min(newcomer, pushed));
    if (at + lanes < to.stride) before = hn::Set(d, list[at + lanes - 1]);
    hn::Store(stays, d, list + at);
    // Read back from memory it would come some 50 cycles later.
    if (asked >= at) last = hn::TableLookupLanes(stays, hn::IndicesFromVec(d, hn::Set(d, (asked - at) % lanes)));
  }
  to.floor[row] = RankedKey(hn::GetLane(last)).key().score;
}

/// Sums over the weights of a block, in the rows of a vector.
template <class D>
struct NoteSums {
  HWY_INLINE NoteSums() : logs(hn::Zero(D())), distances(hn::Zero(D())) {}

  /// `log`: of the weight, as it was raised; -inf, which has no weight, counts as any number.
  HWY_INLINE void add(hn::Vec<D> log, hn::Vec<D> weight, float distance) {
    const D d;
    logs = hn::MulAdd(weight, at_least(d, hn::Set(d, -127.0F), log), logs);
    distances = hn::MulAdd(weight, hn::Set(d, distance), distances);
  }

  hn::Vec<D> logs, distances;
};

/// Joins a block into the running sums, in the rows of the vector from `row` on. `fall`: old row_max less the new one;
/// `old_sum`: row_sum before the block. All weights shrink by 2^fall, and their logarithms fall by it:
///   sum' = shrink (sum + fall row_sum) + sum of the block
template <class D>
HWY_INLINE void join_notes(const Notes& notes, int row, hn::Vec<D> fall, hn::Vec<D> shrink, hn::Vec<D> old_sum,
                           hn::Vec<D> block_sum, const NoteSums<D>& sums) {
  const D d;
  if (notes.log_sum) {
    fall = at_least(d, hn::Set(d, -127.0F), fall);  // from nothing at all: -inf, and no weight
    float* logs = notes.log_sum + row;
    const auto before = hn::MulAdd(fall, old_sum, hn::Load(d, logs));
    hn::Store(hn::MulAdd(shrink, before, sums.logs), d, logs);
    float* distances = notes.distance_sum + row;
    hn::Store(hn::MulAdd(shrink, hn::Load(d, distances), sums.distances), d, distances);
  }
  hn::Store(shrink, d, notes.shrink + row);
  hn::Store(block_sum, d, notes.block_sum + row);
}

/// The weight of scores, relative to the row's maximum.
template <class D>
class Weigher {
 public:
  HWY_INLINE Weigher(const NotedScores& block, int row) : factor_(hn::Load(D(), block.factor + row)) {
    const D d;
    const auto top = hn::Load(d, block.row_max + row);
    const auto nothing = hn::Eq(top, hn::Set(d, -std::numeric_limits<float>::infinity()));
    row_max_ = hn::IfThenElse(nothing, hn::Zero(d), top);
  }
  HWY_INLINE hn::Vec<D> log(const float* score) const { return hn::MulSub(hn::Load(D(), score), factor_, row_max_); }
  HWY_INLINE hn::Vec<D> operator()(const float* score) const { return exp2_nonpositive(D(), log(score)); }
  HWY_INLINE hn::Vec<D> row_max() const { return row_max_; }

 private:
  hn::Vec<D> factor_, row_max_;
};

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SACCADE_KERNEL_NOTES_INL_H_
