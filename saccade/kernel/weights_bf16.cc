// Compiled for AVX-512 alone (see the root CMakeLists.txt); nothing here runs before has_bf16() said yes.
//
// Scores are Q K^T here, tiles of 16 queries x 16 keys: keys lie in lanes, as probes want them. What visit_bf16
// multiplies and adds for a pair is multiplied and added in the same order, so that scores have the same bits.

#include "saccade/kernel/weights_bf16.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <algorithm>
#include <array>
#include <bit>

#include "saccade/kernel/bf16_words-inl.h"
#include "saccade/kernel/exp2-inl.h"
#include "saccade/kernel/tile_units-inl.h"

namespace saccade::kernel {
namespace {

namespace hv = HWY_NAMESPACE;
static_assert(HWY_TARGET == HWY_AVX3, "compile this for AVX-512");
using F = hwy::HWY_NAMESPACE::CappedTag<float, 16>;
using V = hwy::HWY_NAMESPACE::Vec<F>;
using Shaper = hv::Shaper<F>;

/// Keys that are scored together: four sums hide the latency of a product.
constexpr int kStripKeys = 64;
constexpr int kStripTiles = kStripKeys / kTileSide;
static_assert(kStripTiles == 4 && kBlockKeys % kStripKeys == 0);

/// 2^x for x from -127 to below 127; at -127 and up to -126 it is 0; NaN stays NaN, and inf becomes NaN.
///
/// 2^x = 2^n 2^(i / 32) 2^f: n and i are what rounding x to steps of 1/32 leaves in the low bits of a float, the power
/// of i comes from a table, and |f| <= 1/64 is small enough for 1 + f (c1 + f c2), off by 5.4e-8 of itself at most.
class Exp2 {
 public:
  [[gnu::always_inline]] __m512 operator()(__m512 x) const {
    const __m512 magic = _mm512_set1_ps(kMagic);
    const __m512 rounded = _mm512_add_ps(x, magic);
    const __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(rounded, magic));
    const __m512i steps = _mm512_castps_si512(rounded);
    const __m512i part = _mm512_permutex2var_epi32(low_, steps, high_);
    const __m512 power = _mm512_castsi512_ps(_mm512_add_epi32(part, _mm512_slli_epi32(steps, kShift)));
    const __m512 slope = _mm512_fmadd_ps(f, _mm512_set1_ps(0.24022651F), _mm512_set1_ps(0.69315734F));
    return _mm512_fmadd_ps(_mm512_mul_ps(power, f), slope, power);
  }

 private:
  static constexpr int kSteps = 32, kShift = 23 - 5;
  static constexpr float kMagic = 0x1.8p18F + 127.0F;  ///< leaves 32 (x + 127), rounded, in the low bits
  /// Mantissas of 2^(i / 32), less the i that is shifted to where they are.
  static constexpr std::array<std::uint32_t, kSteps> kParts = [] {
    std::array<std::uint32_t, kSteps> parts{};
    double power = 1.0;
    for (std::uint32_t i = 0; i < kSteps; ++i, power *= 1.0218971486541166782) {  // 2^(1/32)
      parts[i] = std::bit_cast<std::uint32_t>(static_cast<float>(power)) - (127U << 23U) - (i << kShift);
    }
    return parts;
  }();
  __m512i low_ = _mm512_loadu_si512(kParts.data()), high_ = _mm512_loadu_si512(kParts.data() + kTileSide);
};

/// Scores of 16 queries from `query` on and a strip of keys from `key` on.
template <class Unit>
[[gnu::always_inline]] inline void score_strip(Unit& unit, const Bf16WeightsJob& job, int query, int key,
                                               float* scores) {
  const int n_steps = round_up(job.head_dim, 32) / 32;
  const std::uint32_t* q = job.q + query / kTileSide * n_steps * kTileWords;
  const std::uint32_t* k = job.k + key / kTileSide * n_steps * kTileWords;
  const auto each_sum = [](const auto& body) __attribute__((always_inline)) {
    body.template operator()<0>();
    body.template operator()<1>();
    body.template operator()<2>();
    body.template operator()<3>();
  };
  each_sum([&]<int i>() __attribute__((always_inline)) { unit.template zero_sum<i>(); });
  for (int step = 0; step < n_steps; ++step) {
    unit.load_left(q + step * kTileWords);
    each_sum([&]<int i>() __attribute__((always_inline)) {
      unit.load_right(k + (i * n_steps + step) * kTileWords, kTileSide * 4);
      unit.template multiply<i>();
    });
  }
  each_sum([&]<int i>()
               __attribute__((always_inline)) { unit.template store_sum<i>(scores + i * kTileSide, kStripKeys * 4); });
}

/// Which of 16 keys from `key` on the query sees.
inline __mmask16 visible_at(const Bf16WeightsJob& job, int query, int key) {
  const int left = std::clamp(job.n_keys - key, 0, kTileSide);
  std::uint32_t lanes = (1U << static_cast<unsigned>(left)) - 1U;
  if (job.visible) lanes &= job.visible[query * (kBlockKeys / 32) + key / 32] >> static_cast<unsigned>(key % 32);
  return static_cast<__mmask16>(lanes);
}

/// What find_weights_bf16 was asked, and where its results go.
struct Weighing {
  bool masked() const { return job.visible || !shaper.plain() || job.n_keys != kBlockKeys; }

  const Bf16WeightsJob& job;
  Shaper shaper;
  float *weights, *row_sums, *row_log_sums;
};

/// Sums over a row so far, by lanes: of weights, and of weights times their logarithms.
struct RowSums {
  __m512 weights = _mm512_setzero_ps(), logs = _mm512_setzero_ps();
};

/// A query's scores in a strip, from `key` on, to weights; returns `so_far` and what they add.
template <bool kMasked, bool kLogs>
[[gnu::always_inline]] inline RowSums weigh_row(const Weighing& to, const Exp2& exp2, int query, int key,
                                                const float* scores, RowSums so_far) {
  const __m512 factor = _mm512_set1_ps(to.shaper.factor());
  const __m512 lse = _mm512_set1_ps(static_cast<float>(to.job.lse[query]));
  for (int end = key + kStripKeys; key < end; key += kTileSide, scores += kTileSide) {
    const std::ptrdiff_t at = std::ptrdiff_t{query} * kBlockKeys + key;
    V score{_mm512_load_ps(scores)};
    if constexpr (kMasked) {
      score = to.job.bias ? to.shaper(F(), score, V{_mm512_loadu_ps(to.job.bias + at)}) : to.shaper(F(), score);
    }
    // The second operand of a maximum is what remains of NaN.
    const __m512 log = _mm512_max_ps(_mm512_set1_ps(-127.0F), _mm512_fmsub_ps(score.raw, factor, lse));
    __m512 weight = exp2(log);
    const __mmask16 visible = kMasked ? visible_at(to.job, query, key) : __mmask16{0xffff};
    if constexpr (kMasked) weight = _mm512_maskz_mov_ps(visible, weight);
    _mm512_store_ps(to.weights + at, weight);
    so_far.weights = _mm512_add_ps(so_far.weights, weight);
    // A hidden logarithm may be NaN or inf.
    if constexpr (kLogs) so_far.logs = _mm512_mask3_fmadd_ps(weight, log, so_far.logs, visible);
  }
  return so_far;
}

template <bool kMasked, bool kLogs, class Unit>
void find_on(const Weighing& to) {
  Unit unit;
  const Exp2 exp2;
  alignas(64) float scores[kTileSide * kStripKeys];
  RowSums sums[kTileSide];
  for (int query = 0; query < to.job.n_queries; query += kTileSide) {
    const int n = std::min(kTileSide, to.job.n_queries - query);
    for (int key = 0; key < kBlockKeys; key += kStripKeys) {
      score_strip(unit, to.job, query, key, scores);
      for (int row = 0; row < n; ++row) {
        sums[row] = weigh_row<kMasked, kLogs>(to, exp2, query + row, key, scores + row * kStripKeys,
                                              key == 0 ? RowSums() : sums[row]);
      }
    }
    for (int row = 0; row < n; ++row) {
      to.row_sums[query + row] = _mm512_reduce_add_ps(sums[row].weights);
      if constexpr (kLogs) to.row_log_sums[query + row] = _mm512_reduce_add_ps(sums[row].logs);
    }
  }
}

}  // namespace

void turn_tiles(std::uint32_t* tiles, int n_tiles) noexcept {
  for (int tile = 0; tile < n_tiles; ++tile, tiles += kTileWords) {
    __m512i rows[kTileSide];
    for (int row = 0; row < kTileSide; ++row) rows[row] = _mm512_load_si512(tiles + row * kTileSide);
    transpose(rows);
    for (int row = 0; row < kTileSide; ++row) _mm512_store_si512(tiles + row * kTileSide, rows[row]);
  }
}

void find_weights_bf16(const Bf16WeightsJob& job, ScoreRule rule, float* weights, float* row_sums,
                       float* row_log_sums) noexcept {
  const OwnRounding rounding;
  const Weighing to{job, Shaper(F(), rule, job.bias != nullptr), weights, row_sums, row_log_sums};
  const auto on = [&]<class Unit>() {
    const auto masked = [&]<bool kMasked>() {
      row_log_sums ? find_on<kMasked, true, Unit>(to) : find_on<kMasked, false, Unit>(to);
    };
    to.masked() ? masked.template operator()<true>() : masked.template operator()<false>();
  };
  has_bf16_tiles() ? on.operator()<Amx<4>>() : on.operator()<Emulated<4>>();
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know AVX-512: has_bf16() is false there and none of this is called.
namespace saccade::kernel {
void turn_tiles(std::uint32_t*, int) noexcept {}
void find_weights_bf16(const Bf16WeightsJob&, ScoreRule, float*, float*, float*) noexcept {}
}  // namespace saccade::kernel

#endif
