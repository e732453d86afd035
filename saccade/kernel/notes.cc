#include "saccade/kernel/notes.h"

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

void MarkScores(const NotedScores& block, const float* floor, std::uint64_t* marks) {
  const ND d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int key = 0; key < block.n_keys; ++key) marks[key] = 0;
  for (int row = 0; row < block.n_rows; row += lanes) {
    const auto factor = hn::Load(d, block.factor + row);
    const auto floors = hn::Load(d, floor + row);
    for (int key = 0; key < block.n_keys; ++key) {
      const auto score = hn::Mul(hn::Load(d, block.scores + key * kTileRows + row), factor);
      const auto above = hn::Ge(score, floors);
      if (hn::AllFalse(d, above)) continue;
      std::uint8_t bits[8] = {};
      hn::StoreMaskBits(d, above, bits);
      marks[key] |= (bits[0] | static_cast<std::uint64_t>(bits[1]) << 8U) << row;
    }
  }
  const std::uint64_t rows = (std::uint64_t{1} << block.n_rows) - 1;
  for (int key = 0; key < block.n_keys; ++key) marks[key] &= rows;
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
      sums.add(log, w, notes.distance[key]);
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
HWY_EXPORT(MarkScores);
HWY_EXPORT(NoteScores);

void add_some_weights(const NotedScores& block, const std::uint32_t* keys, float* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(AddSomeWeights)(block, keys, sums);
}

void add_clipped(const NotedScores& block, const float* distance, const float* back, float clip, float* sums) noexcept {
  HWY_DYNAMIC_DISPATCH(AddClipped)(block, distance, back, clip, sums);
}

void mark_scores(const NotedScores& block, const float* floor, std::uint64_t* marks) noexcept {
  HWY_DYNAMIC_DISPATCH(MarkScores)(block, floor, marks);
}

void note_scores(const NotedScores& block, const float* old_max, const float* old_sum, const Notes& notes) noexcept {
  HWY_DYNAMIC_DISPATCH(NoteScores)(block, old_max, old_sum, notes);
}

}  // namespace saccade::kernel
#endif
