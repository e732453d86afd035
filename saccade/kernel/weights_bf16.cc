// Compiled for AVX-512 alone (see the root CMakeLists.txt); nothing here runs before has_bf16() said yes.
//
// Scores are Q K^T here, tiles of 16 queries x 16 keys: keys lie in lanes, as probes want them. What visit_bf16
// multiplies and adds for a pair is multiplied and added in the same order, so that the bits are the same.

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

/// Keys whose scores are weighed before the next are scored: four sums hide the latency of a product, 4 KiB of scores
/// stay in the first-level cache, and the matrix unit does not fall asleep meanwhile.
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

/// What find_weights_bf16 was asked and where its results go.
struct Weighing {
  Weighing(const Bf16WeightsJob& what, ScoreRule rule, float* to_weights, float* to_logs)
      : job(what), shaper(F(), rule, what.bias != nullptr), weights(to_weights), log2_weights(to_logs) {}

  bool masked() const { return job.visible || !shaper.plain() || job.n_keys != kBlockKeys; }

  const Bf16WeightsJob& job;
  Shaper shaper;
  Exp2 exp2;
  float *weights, *log2_weights;
};

/// A query's scores in a strip, from `key` on, to weights and their logarithms; returns `sum` and the weights.
template <bool kMasked>
[[gnu::always_inline]] inline __m512 weigh_row(const Weighing& to, int query, int key, const float* scores,
                                               __m512 sum) {
  const __m512 factor = _mm512_set1_ps(to.shaper.factor());
  const __m512 lse = _mm512_set1_ps(static_cast<float>(to.job.lse[query]));
  for (int end = key + kStripKeys; key < end; key += kTileSide, scores += kTileSide) {
    const std::ptrdiff_t at = std::ptrdiff_t{query} * kBlockKeys + key;
    V score{_mm512_load_ps(scores)};
    if constexpr (kMasked) {
      score = to.job.bias ? to.shaper(F(), score, V{_mm512_loadu_ps(to.job.bias + at)}) : to.shaper(F(), score);
    }
    // The second operand of a maximum is what remains of NaN.
    __m512 log = _mm512_max_ps(_mm512_set1_ps(-127.0F), _mm512_fmsub_ps(score.raw, factor, lse));
    __m512 weight = to.exp2(log);
    if constexpr (kMasked) {
      const __mmask16 visible = visible_at(to.job, query, key);
      log = _mm512_maskz_mov_ps(visible, log), weight = _mm512_maskz_mov_ps(visible, weight);
    }
    _mm512_store_ps(to.log2_weights + at, log);
    _mm512_store_ps(to.weights + at, weight);
    sum = _mm512_add_ps(sum, weight);
  }
  return sum;
}

template <bool kMasked, class Unit>
void find_on(const Weighing& to, float* row_sums) {
  Unit unit;
  alignas(64) float scores[kTileSide * kStripKeys];
  for (int query = 0; query < to.job.n_queries; query += kTileSide) {
    const int n = std::min(kTileSide, to.job.n_queries - query);
    __m512 sums[kTileSide];
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    for (int key = 0; key < kBlockKeys; key += kStripKeys) {
      score_strip(unit, to.job, query, key, scores);
      for (int row = 0; row < n; ++row) {
        sums[row] = weigh_row<kMasked>(to, query + row, key, scores + row * kStripKeys, sums[row]);
      }
    }
    for (int row = 0; row < n; ++row) row_sums[query + row] = _mm512_reduce_add_ps(sums[row]);
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

void find_weights_bf16(const Bf16WeightsJob& job, ScoreRule rule, float* weights, float* log2_weights,
                       float* row_sums) noexcept {
  const OwnRounding rounding;
  const Weighing to(job, rule, weights, log2_weights);
  using Amx4 = Amx<4>;
  using Emulated4 = Emulated<4>;
  const auto on = [&]<class Unit>() {
    to.masked() ? find_on<true, Unit>(to, row_sums) : find_on<false, Unit>(to, row_sums);
  };
  has_bf16_tiles() ? on.operator()<Amx4>() : on.operator()<Emulated4>();
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know AVX-512: has_bf16() is false there and none of this is called.
namespace saccade::kernel {
void turn_tiles(std::uint32_t*, int) noexcept {}
void find_weights_bf16(const Bf16WeightsJob&, ScoreRule, float*, float*, float*) noexcept {}
}  // namespace saccade::kernel

#endif
