// The visit kernel in bf16 tiles, for any unit of tile_units-inl.h. Included by bf16.cc alone.
//
// Rows lie in lanes here too: scores are K Q^T, tiles of 16 keys x 16 rows, and o is V^T W^T, tiles of 16 dimensions x
// 16 rows. Both left operands lie in tiles ready to load, both right ones as words of two dimensions or two keys.

#pragma once

#include <algorithm>
#include <span>
#include <type_traits>
#include <utility>

#include "saccade/kernel/bf16_notes-inl.h"
#include "saccade/kernel/bf16_weigh-inl.h"
#include "saccade/kernel/tile_units-inl.h"
#include "saccade/kernel/visit-inl.h"

namespace saccade::kernel {
namespace {

static_assert(HWY_TARGET == HWY_AVX3, "compile this for AVX-512");

/// sum<first + n> += left tiles times right tiles, over n_steps, in kWide columns of rows.
template <int kFirst, int kWide, class Unit>
[[gnu::always_inline]] inline void multiply_row(Unit& unit, const std::uint32_t* left, const std::uint32_t* right) {
  unit.load_passing_left(left);
  unit.load_right(right);
  unit.template multiply<kFirst>();
  if constexpr (kWide > 1) {
    unit.load_right(right + kTileSide);
    unit.template multiply<kFirst + 1>();
  }
  if constexpr (kWide > 2) {
    unit.load_right(right + 2 * kTileSide);
    unit.template multiply<kFirst + 2>();
  }
}

/// Columns of rows, written out: sums that live in registers do not stand a loop.
template <int kWide, class Body>
[[gnu::always_inline]] inline void for_each_column(const Body& body) {
  body(0);
  if constexpr (kWide > 1) body(1);
  if constexpr (kWide > 2) body(2);
}

template <int kHigh, int kWide, class Body>
[[gnu::always_inline]] inline void for_each_sum(const Body& body) {
  const auto row = [&]<int kRow>(std::integral_constant<int, kRow>) {
    body.template operator()<kRow * 3>(kRow, 0);
    if constexpr (kWide > 1) body.template operator()<kRow * 3 + 1>(kRow, 1);
    if constexpr (kWide > 2) body.template operator()<kRow * 3 + 2>(kRow, 2);
  };
  row(std::integral_constant<int, 0>{});
  if constexpr (kHigh > 1) row(std::integral_constant<int, 1>{});
}

/// Rows of sums that come next, on their way to the first-level cache, a part beside each step of products: a store
/// whose line is still in the second takes four times as long.
class OnItsWay {
 public:
  OnItsWay(const float* sums, int n_rows, int n_steps)
      : at_(sums), n_(std::max(0, n_rows) * kTileRows / kLine), each_((n_ + n_steps - 1) / n_steps) {}
  void fetch() {
    for (int n = std::min(each_, n_); n > 0; --n, --n_, at_ += kLine) __builtin_prefetch(at_, 1);
  }

 private:
  static constexpr int kLine = 16;
  const float* at_;
  int n_, each_;
};

/// sums [kHigh, kWide] += left right, over n_steps of the left_steps that lie there. A right tile is loaded once for
/// each of the kHigh left ones: four loads of 8 cycles beside three products of 16, hidden by them even where they come
/// from the second-level cache.
template <int kHigh, int kWide, class Unit>
[[gnu::always_inline]] inline void add_products(Unit& unit, const std::uint32_t* left, const std::uint32_t* right,
                                                int n_steps, int left_steps, OnItsWay& next) {
  for (int step = 0; step < n_steps; ++step) {
    next.fetch();
    multiply_row<0, kWide>(unit, left + step * kTileWords, right + step * kTileSide * kTileRows);
    if constexpr (kHigh > 1) {
      multiply_row<3, kWide>(unit, left + (left_steps + step) * kTileWords, right + step * kTileSide * kTileRows);
    }
  }
}

/// Where the sum in this row and column of sums lies in a [32, kTileRows] matrix.
inline float* place_of(float* out, int row, int column) {
  return out + row * kTileSide * kTileRows + column * kTileSide;
}

constexpr int kStripKeys = 32;

/// Scores of a strip of 32 keys, some products at a time.
template <int kWide>
class Scoring {
 public:
  Scoring() = default;  ///< of nothing
  Scoring(const Bf16Tile& tile, const Bf16Block& block, int key, float* scores)
      : n_steps_(round_up(block.head_dim, 32) / 32),
        left_(block.k + key / kTileSide * n_steps_ * kTileWords),
        right_(tile.q),
        scores_(scores) {}

  /// Beside the weighing of another strip, which calls this kCalls times.
  template <class Unit>
  [[gnu::always_inline]] void go_on(Unit& unit) {
    for (int n = (2 * n_steps_ + kCalls - 1) / kCalls; n > 0 && step_ < n_steps_; --n) row(unit);
  }
  template <class Unit>
  [[gnu::always_inline]] void finish(Unit& unit) {
    while (step_ < n_steps_) row(unit);
  }

 private:
  static constexpr int kCalls = kStripKeys / 4;

  /// A tile of keys times all of q: the earlier and the later 16 keys of the strip take turns.
  template <class Unit>
  [[gnu::always_inline]] void row(Unit& unit) {
    if (!later_) {
      if (step_ == 0) for_each_sum<2, kWide>([&]<int i>(int, int) { unit.template zero_sum<i>(); });
      multiply_row<0, kWide>(unit, left_, right_);
    } else {
      multiply_row<3, kWide>(unit, left_ + n_steps_ * kTileWords, right_);
      left_ += kTileWords, right_ += kTileSide * kTileRows;
      if (++step_ == n_steps_) store(unit);
    }
    later_ = !later_;
  }
  template <class Unit>
  [[gnu::always_inline]] void store(Unit& unit) {
    for_each_sum<2, kWide>(
        [&]<int i>(int row, int column) { unit.template store_sum<i>(place_of(scores_, row, column)); });
  }

  int n_steps_ = 0, step_ = 0;
  bool later_ = false;
  const std::uint32_t *left_ = nullptr, *right_ = nullptr;
  float* scores_ = nullptr;
};

/// Puts -inf in the place of scores of keys that are not there, and returns the largest of each row.
template <int kWide>
[[gnu::always_inline]] inline void find_tops(int n_there, float* scores, hv::V (&top)[kWide]) {
  for (int n = n_there * kWide; n < kStripKeys * kWide; ++n) {
    _mm512_store_ps(scores + n / kWide * kTileRows + n % kWide * kTileSide, _mm512_set1_ps(hv::kNegInf));
  }
  for (int at = 0; at < n_there; ++at) {
#pragma clang loop unroll(full)
    for (int n = 0; n < kWide; ++n) {
      top[n].raw = _mm512_max_ps(top[n].raw, _mm512_load_ps(scores + at * kTileRows + n * kTileSide));
    }
  }
}

/// o = o alpha, in the columns where that changes anything.
template <int kWide>
[[gnu::always_inline]] inline void rescale(const hv::V (&alpha)[kWide], int n_dims, float* o) {
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    if (_mm512_cmpneq_ps_mask(alpha[n].raw, _mm512_set1_ps(1.0F)) == 0) continue;
    for (int dim = 0; dim < n_dims; ++dim) {
      float* at = o + dim * kTileRows + n * kTileSide;
      _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), alpha[n].raw));
    }
  }
}

/// The running maximum takes in the block's.
template <int kWide>
[[gnu::always_inline]] inline void raise_maxima(const hv::V (&top)[kWide], float* maxima, Weighing<kWide>& to) {
  const hv::F d;
  const hv::V nothing = hwy::HWY_NAMESPACE::Set(d, hv::kNegInf);
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    const __m512 old = _mm512_load_ps(maxima + n * kTileSide);
    const __m512 seen = _mm512_max_ps(old, _mm512_mul_ps(top[n].raw, _mm512_set1_ps(to.factor)));
    const __mmask16 blank = _mm512_cmpeq_ps_mask(seen, nothing.raw);  // nothing seen yet: weights 0
    const __m512 taken = to.take_maximum(n, _mm512_mask_mov_ps(seen, blank, _mm512_setzero_ps()));
    _mm512_store_ps(maxima + n * kTileSide, _mm512_mask_mov_ps(taken, blank, nothing.raw));
    to.fall[n].raw = _mm512_sub_ps(old, to.row_max[n].raw);
    to.alpha[n] = hv::exp2_nonpositive(d, to.fall[n]);
  }
}

/// A block's weights that still are to be multiplied by its values.
struct Weighed {
  const std::uint32_t *v, *marks, *words;
  int n_steps, v_steps;  // of 32 keys
};

/// o += V^T W^T of all that waits: o comes and goes once for them. `values`: which of its members V^T is.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void mix(Unit& unit, std::span<const Weighed> waiting,
                                       const std::uint32_t* Weighed::*values, int v_dim, float* o) {
  if (waiting.empty()) return;
  int n_steps = 0;
  for (const Weighed& one : waiting) n_steps += one.n_steps;
  const int n_dims = round_up(v_dim, kTileSide);
  const auto dims = [&]<int kHigh>(std::integral_constant<int, kHigh>, int dim) {
    float* const here = o + dim * kTileRows;
    OnItsWay next(here + kHigh * kTileSide * kTileRows, std::min(2 * kTileSide, n_dims - dim - kHigh * kTileSide),
                  n_steps);
    for_each_sum<kHigh, kWide>(
        [&]<int i>(int row, int column) { unit.template load_sum<i>(place_of(here, row, column)); });
    for (const Weighed& one : waiting) {
      const std::uint32_t* left = one.*values + dim / kTileSide * one.v_steps * kTileWords;
      add_products<kHigh, kWide>(unit, left, one.words, one.n_steps, one.v_steps, next);
    }
    for_each_sum<kHigh, kWide>(
        [&]<int i>(int row, int column) { unit.template store_sum<i>(place_of(here, row, column)); });
  };
  int dim = 0;
  for (; dim + 2 * kTileSide <= n_dims; dim += 2 * kTileSide) dims(std::integral_constant<int, 2>{}, dim);
  if (dim < n_dims) dims(std::integral_constant<int, 1>{}, dim);
}

/// Weighs a block that all rows see, a strip of 32 keys at a time, relative to the maxima so far; meanwhile the matrix
/// unit scores the next strip, be it of the next block. False, with nothing changed but scratch, where a score exceeds
/// the maxima by too much. `scored`: the first strip has its scores; returned for the next block.
///
/// Two strips stay in the first-level cache between their store, a slow one where it has to fetch its line, and their
/// weights; and the matrix unit, which falls asleep after some 300 ns and takes 400 to wake, stays awake.
template <int kWide, class Unit>
[[gnu::always_inline]] inline bool weigh_as_is(Unit& unit, const Bf16Tile& tile, std::span<const Bf16Block> blocks,
                                               int number, float* scores, std::uint32_t* words, bool& scored,
                                               Weighing<kWide>& to) {
  const bool first_is_scored = std::exchange(scored, false);
  const Bf16Block& block = blocks[static_cast<std::size_t>(number)];
  if (block.n_keys % kStripKeys != 0) return false;
#pragma clang loop unroll(full)
  for (int n = 0; n < kWide; ++n) {
    const __m512 maximum = _mm512_load_ps(tile.row_max + n * kTileSide);
    const __mmask16 none = _mm512_cmpeq_ps_mask(maximum, _mm512_set1_ps(hv::kNegInf));
    if ((none | _mm512_cmpneq_ps_mask(to.take_maximum(n, maximum), maximum)) != 0) return false;  // or not in steps
  }
  Bf16Notes* const notes = tile.notes;
  __m512i floors[kWide];
  find_floors<kWide>(notes, notes && notes->ties[number], to, floors);
  const bool stay = notes && notes->scores_stay;
  std::uint32_t* listed = wants_best(notes) ? notes->words : nullptr;
  const auto place = [&](int key) { return scores + (stay ? key : key % (2 * kStripKeys)) * kTileRows; };
  if (!first_is_scored) Scoring<kWide>(tile, block, 0, place(0)).finish(unit);
  const bool goes_on = number + 1 < static_cast<int>(blocks.size()) && place(block.n_keys) == scores;
  for (int key = 0; key < block.n_keys; key += kStripKeys) {
    const int next_key = key + kStripKeys;
    Scoring<kWide> next;
    if (next_key < block.n_keys) next = {tile, block, next_key, place(next_key)};
    if (next_key == block.n_keys && goes_on) next = {tile, (&block)[1], 0, scores};
    const float* strip = place(key);
    unsigned hits = 0;
    const auto beside = [&]() __attribute__((always_inline)) { next.go_on(unit); };
    if (!weigh<true, kWide, Unit>(notes, kStripKeys, strip, words + key / 2 * kTileRows, floors, hits, to, beside)) {
      return false;
    }
    if (hits != 0) listed = list_hits<kWide>(hits, strip, number * kBlockKeys + key, floors, to, listed);
    if (tile.ahead) tile.ahead->fetch(tile.n_ahead);
  }
  if (listed) keep_listed(listed, tile.row_max, *notes);
  scored = goes_on;
  return true;
}

/// Weighs a block relative to maxima that take in its own, and multiplies o by what that leaves of it.
template <int kWide, class Unit>
[[gnu::always_inline]] inline void weigh_anew(Unit& unit, const Bf16Tile& tile, const Bf16Block& block,
                                              const TileMask& mask, const hv::Shaper<hv::F>& shaper, float* scores,
                                              std::uint32_t* words, Weighing<kWide>& to) {
  hv::V top[kWide];
  for (hv::V& of_row : top) of_row.raw = _mm512_set1_ps(hv::kNegInf);
  for (int key = 0; key < block.n_keys; key += kStripKeys) {
    float* strip = scores + key * kTileRows;
    Scoring<kWide>(tile, block, key, strip).finish(unit);
    find_tops<kWide>(std::min(kStripKeys, block.n_keys - key), strip, top);
  }
  if (mask.visible || !shaper.plain()) hv::shape_scores<kWide>(mask, shaper, block.n_keys, 0, scores, top);
  to = Weighing<kWide>(to.factor);  // a strip or two may have been weighed as they were
  raise_maxima<kWide>(top, tile.row_max, to);
  rescale<kWide>(to.alpha, round_up(block.v_dim, kTileSide), tile.o);
  if (tile.notes) rescale<kWide>(to.alpha, tile.notes->n_marks, tile.notes->marks);
  unsigned no_hits = 0;
  weigh<false, kWide, Unit>(tile.notes, round_up(block.n_keys, kStripKeys), scores, words, nullptr, no_hits, to, [] {});
}

/// The block joins the running sums of its rows.
template <int kWide>
[[gnu::always_inline]] inline void join(const Bf16Tile& tile, const Weighing<kWide>& of_block) {
  for (int n = 0; n < kWide; ++n) {
    float* at = tile.row_sum + n * kTileSide;
    _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_load_ps(at), of_block.alpha[n].raw, of_block.sums[n]));
  }
}

template <class Unit, int kWide>
[[gnu::noinline]] void visit_columns(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask,
                                     ScoreRule rule, float* scratch) {
  Unit unit;
  const hv::Shaper<hv::F> shaper(hv::F(), rule, mask.bias != nullptr);
  const bool plain = !mask.visible && shaper.plain();
  Bf16Notes* const notes = tile.notes;
  if (notes) clear(shaper.factor(), *notes);
  Weighed waiting[kMostBf16Blocks];
  std::size_t n_waiting = 0;
  bool scored = false;  // the next block's first strip
  const auto mix_all = [&](int v_dim) {
    const std::span<const Weighed> all(waiting, n_waiting);
    mix<kWide>(unit, all, &Weighed::v, v_dim, tile.o);
    if (notes) mix<kWide>(unit, all, &Weighed::marks, notes->n_marks, notes->marks);
    n_waiting = 0;
  };
  auto* words = reinterpret_cast<std::uint32_t*>(scratch + kBlockKeys * kTileRows);
  for (int number = 0; number < static_cast<int>(blocks.size()); ++number) {
    const Bf16Block& block = blocks[static_cast<std::size_t>(number)];
    Weighing<kWide> weighing(shaper.factor());
    if (plain && weigh_as_is<kWide>(unit, tile, blocks, number, scratch, words, scored, weighing)) {
      if (notes) note_as_is<kWide>(*notes, weighing);
    } else {
      mix_all(block.v_dim);
      weigh_anew<kWide>(unit, tile, block, mask, shaper, scratch, words, weighing);
      if (wants_best(notes)) keep_best_of(tile, block, number, scratch);
    }
    if (notes) join_notes<kWide>(tile, weighing);
    join<kWide>(tile, weighing);
    const auto steps = [](int n_keys) { return round_up(n_keys, kStripKeys) / kStripKeys; };
    const int n_steps = steps(block.n_keys);
    waiting[n_waiting++] = {block.v, block.marks, words, n_steps, steps(std::max(block.n_keys, block.v_keys))};
    words += n_steps * kTileSide * kTileRows;
  }
  mix_all(blocks[0].v_dim);
}

template <class Unit>
void visit_on(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask, ScoreRule rule,
              float* scratch) {
  const int n_vectors = (tile.n_rows + kTileSide - 1) / kTileSide;
  if (n_vectors == 3) visit_columns<Unit, 3>(tile, blocks, mask, rule, scratch);
  if (n_vectors == 2) visit_columns<Unit, 2>(tile, blocks, mask, rule, scratch);
  if (n_vectors == 1) visit_columns<Unit, 1>(tile, blocks, mask, rule, scratch);
}

}  // namespace
}  // namespace saccade::kernel
