#include "saccade/kernel/notes.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "saccade/kernel/notes.cc"
#include "hwy/foreach_target.h"  // NOLINT: compiles what follows once per target
#include "hwy/highway.h"
#include "saccade/kernel/notes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace saccade::kernel::HWY_NAMESPACE {

using ND = hn::CappedTag<float, 16>;

void AddSomeWeights(const NotedScores& block, const std::uint32_t* keys, float* sums) {
  const ND d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int row = 0; row < block.n_rows; row += lanes) {
    const Weigher<ND> weight(block, row);
    auto sum = hn::Load(d, sums + row);
    for (int key = 0; key < block.n_keys; ++key) {
      if (keys[key / 32] >> (key % 32) & 1U) sum = hn::Add(sum, weight(block.scores + key * kTileRows + row));
    }
    hn::Store(sum, d, sums + row);
  }
}

void AddClipped(const NotedScores& block, const float* distance, const float* back, float clip, float* sums) {
  const ND d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int row = 0; row < block.n_rows; row += lanes) {
    const Weigher<ND> weight(block, row);
    const auto backs = hn::Load(d, back + row);
    auto sum = hn::Load(d, sums + row);
    for (int key = 0; key < block.n_keys; ++key) {
      const auto clipped = hn::Min(hn::Sub(hn::Set(d, distance[key]), backs), hn::Set(d, clip));
      sum = hn::MulAdd(weight(block.scores + key * kTileRows + row), clipped, sum);
    }
    hn::Store(sum, d, sums + row);
  }
}

constexpr int kTogether = 8, kMostGroups = kBlockKeys / kTogether;

/// The n-th largest of some vectors, lane by lane; -inf where there are fewer.
HWY_INLINE hn::Vec<ND> nth_largest(const hn::Vec<ND>* of, int n_of, int n) {
  const ND d;
  const auto nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  if (n > n_of) return nothing;
  hn::Vec<ND> best[kMostGroups];
  for (int i = 0; i < n; ++i) best[i] = nothing;
  for (int at = 0; at < n_of; ++at) {
    auto falls = of[at];
    for (int i = 0; i < n; ++i) {
      const auto stays = hn::Max(best[i], falls);
      falls = hn::Min(best[i], falls);
      best[i] = stays;
    }
  }
  return best[n - 1];
}

/// The largest score of each kTogether keys, the last of them maybe fewer; returns how many such there are.
HWY_INLINE int top_scores(const NotedScores& block, int row, hn::Vec<ND> (&tops)[kMostGroups]) {
  const ND d;
  const float* scores = block.scores + row;
  const auto score = [&](int key) HWY_ATTR { return hn::Load(d, scores + std::ptrdiff_t{key} * kTileRows); };
  int n = 0, left = block.n_keys;
  for (; left >= kTogether; left -= kTogether, scores += kTogether * kTileRows) {
    const auto early = hn::Max(hn::Max(score(0), score(1)), hn::Max(score(2), score(3)));
    const auto late = hn::Max(hn::Max(score(4), score(5)), hn::Max(score(6), score(7)));
    tops[n++] = hn::Max(early, late);
  }
  if (left == 0) return n;
  tops[n] = score(0);
  for (int key = 1; key < left; ++key) tops[n] = hn::Max(tops[n], score(key));
  return n + 1;
}

/// The lanes of a mask, as bits.
HWY_INLINE std::uint64_t lanes_of(hn::Mask<ND> mask) {
  std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(ND(), mask, bytes);
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits;
}

/// Lists the scores of up to kTogether keys from `begin` on that are at least `floors`; returns the list's end.
HWY_INLINE ListedScore* list_group(const NotedScores& block, int begin, int row, hn::Vec<ND> factor, hn::Vec<ND> floors,
                                   ListedScore* listed) {
  const ND d;
  const float* scores = block.scores + std::ptrdiff_t{begin} * kTileRows + row;
  std::uint64_t marked[2] = {};  // 16 rows of four keys each
  const auto mark = [&](int key) HWY_ATTR {
    const auto score = hn::Mul(hn::Load(d, scores + std::ptrdiff_t{key} * kTileRows), factor);
    marked[key / 4] |= lanes_of(hn::Ge(score, floors)) << (key % 4 * 16);
  };
  if (begin + kTogether <= block.n_keys) {
    for (int key = 0; key < kTogether; ++key) mark(key);
  } else {
    for (int key = 0; begin + key < block.n_keys; ++key) mark(key);
  }
  for (int half = 0; half < 2; ++half) {
    for (std::uint64_t bits = marked[half]; bits != 0; bits &= bits - 1) {
      const int at = std::countr_zero(bits);
      const int key = begin + half * 4 + at / 16, of_row = row + at % 16;
      *listed = {.score = block.scores[key * kTileRows + of_row] * block.factor[of_row],
                 .key = static_cast<std::uint8_t>(key),
                 .row = static_cast<std::uint8_t>(of_row)};
      listed += of_row < block.n_rows ? 1 : 0;
    }
  }
  return listed;
}

int ListBest(const NotedScores& block, int n_best, const float* floor, ListedScore* listed) {
  const ND d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto nothing = hn::Set(d, -std::numeric_limits<float>::infinity());
  ListedScore* end = listed;
  for (int row = 0; row < block.n_rows; row += lanes) {
    const auto factor = hn::Load(d, block.factor + row);
    hn::Vec<ND> tops[kMostGroups];
    const int n_groups = top_scores(block, row, tops);
    for (int group = 0; group < n_groups; ++group) tops[group] = hn::Mul(tops[group], factor);  // in the same order
    auto floors = hn::Load(d, floor + row);
    const auto few = hn::Eq(floors, nothing);
    if (!hn::AllFalse(d, few)) {
      // At least n_best scores, of as many groups, are not below the n_best-th of the tops.
      floors = hn::IfThenElse(few, nth_largest(tops, n_groups, n_best), floors);
      floors = hn::Max(floors, hn::Set(d, std::numeric_limits<float>::lowest()));  // above what is hidden
    }
    unsigned some = 0;  // of the groups have one to list
    for (int group = 0; group < n_groups; ++group) {
      some |= static_cast<unsigned>(!hn::AllFalse(d, hn::Ge(tops[group], floors))) << group;
    }
    for (; some != 0; some &= some - 1) {
      end = list_group(block, std::countr_zero(some) * kTogether, row, factor, floors, end);
    }
  }
  return static_cast<int>(end - listed);
}

void KeepBest(const ListedScore* listed, int n_listed, const std::int32_t* positions, const BestLists& lists) {
  const BestLists to = lists;
  for (const ListedScore* one = listed; one < listed + n_listed; ++one) {
    keep(to, one->row, RankedKey({one->score, positions[one->key]}));
  }
}

void NoteScores(const NotedScores& block, const float* old_max, const float* old_sum, const Notes& notes) {
  const ND d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int row = 0; row < block.n_rows; row += lanes) {
    const Weigher<ND> weight(block, row);
    NoteSums<ND> sums;
    auto block_sum = hn::Zero(d);
    for (int key = 0; key < block.n_keys; ++key) {
      const auto log = weight.log(block.scores + key * kTileRows + row);
      const auto w = exp2_nonpositive(d, log);
      block_sum = hn::Add(block_sum, w);
      if (notes.log_sum) sums.add(log, w, notes.distance[key]);
    }
    const auto fall = hn::Sub(hn::Load(d, old_max + row), weight.row_max());
    join_notes(notes, row, fall, exp2_nonpositive(d, fall), hn::Load(d, old_sum + row), block_sum, sums);
  }
}

}  // namespace saccade::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace saccade::kernel {

HWY_EXPORT(AddSomeWeights);
HWY_EXPORT(AddClipped);
HWY_EXPORT(ListBest);
HWY_EXPORT(KeepBest);
HWY_EXPORT(NoteScores);

void add_some_weights(const NotedScores& block, const std::uint32_t* keys, float* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(AddSomeWeights)(block, keys, sums);
}

void add_clipped(const NotedScores& block, const float* distance, const float* back, float clip, float* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(AddClipped)(block, distance, back, clip, sums);
}

int list_best(const NotedScores& block, int n_best, const float* floor, ListedScore* listed) noexcept {
  return HWY_DYNAMIC_DISPATCH(ListBest)(block, n_best, floor, listed);
}

void keep_best(const ListedScore* listed, int n_listed, const std::int32_t* positions, const BestLists& to) noexcept {
  HWY_DYNAMIC_DISPATCH(KeepBest)(listed, n_listed, positions, to);
}

void note_scores(const NotedScores& block, const float* old_max, const float* old_sum, const Notes& notes) noexcept {
  HWY_DYNAMIC_DISPATCH(NoteScores)(block, old_max, old_sum, notes);
}

}  // namespace saccade::kernel
#endif
