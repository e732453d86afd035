// Compiled for AVX-512 alone (see the root CMakeLists.txt); nothing here runs before has_bf16() said yes.

#include "saccade/kernel/bf16.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include "saccade/kernel/bf16-inl.h"
#include "saccade/kernel/bf16_words-inl.h"

namespace saccade::kernel {
namespace {

/// Pairs of f32 vectors to vectors of words of two bf16, to the nearest, ties to even; remembers the largest magnitude.
class Rounder {
 public:
  __m512i pair(__m512 low, __m512 high) {
    const __m512i high_bits = _mm512_set1_epi32(-65536);
    return _mm512_or_si512(_mm512_srli_epi32(nearest(low), 16), _mm512_and_si512(nearest(high), high_bits));
  }
  /// Sixteen numbers side by side.
  __m256i row(__m512 values) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(nearest(values), 16)); }
  bool finite() const {
    constexpr std::uint32_t kRoundsToInfinity = 0x7f7f8000;
    return _mm512_reduce_max_epu32(largest_) < kRoundsToInfinity;
  }

 private:
  __m512i nearest(__m512 values) {
    const __m512i bits = _mm512_castps_si512(values);
    largest_ = _mm512_max_epu32(largest_, _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  }
  __m512i largest_ = _mm512_setzero_si512();
};

}  // namespace

void visit_bf16(const Bf16Tile& tile, std::span<const Bf16Block> blocks, const TileMask& mask, ScoreRule rule,
                float* scratch) noexcept {
  const OwnRounding rounding;
  has_bf16_tiles() ? visit_on<Amx<>>(tile, blocks, mask, rule, scratch)
                   : visit_on<Emulated<>>(tile, blocks, mask, rule, scratch);
}

bool round_queries(const float* q, int head_dim, std::uint32_t* out) noexcept {
  Rounder rounder;
  for (int dim = 0; dim < round_up(head_dim, 32); dim += 2) {
    for (int n = 0; n < kTileRows; n += kTileSide) {
      const float* from = q + dim * kTileRows + n;  // head_dim is even: both rows are there, or neither
      const bool there = dim < head_dim;
      const __m512i words =
          there ? rounder.pair(_mm512_load_ps(from), _mm512_load_ps(from + kTileRows)) : _mm512_setzero_si512();
      _mm512_store_si512(out + dim / 2 * kTileRows + n, words);
    }
  }
  return rounder.finite();
}

bool round_keys(const float* k, int n_keys, int head_dim, std::uint32_t* out) noexcept {
  Rounder rounder;
  const int n_steps = round_up(head_dim, 32) / 32;
  for (int key = 0; key < round_up(n_keys, 32); ++key) {
    std::uint32_t* row = out + key / kTileSide * n_steps * kTileWords + key % kTileSide * kTileSide;
    for (int dim = 0; dim < round_up(head_dim, 32); dim += kTileSide) {
      const int n_left = key < n_keys ? head_dim - dim : 0;
      const __m512 values = n_left > 0 ? load_some(k + key * head_dim + dim, n_left) : _mm512_setzero_ps();
      std::uint32_t* to = row + dim / 32 * kTileWords + dim % 32 / 2;
      _mm256_store_si256(reinterpret_cast<__m256i*>(to), rounder.row(values));
    }
  }
  return rounder.finite();
}

bool round_values(const float* v, int n_keys, int v_dim, std::uint32_t* out) noexcept {
  Rounder rounder;
  const int n_steps = round_up(n_keys, 32) / 32;
  for (int dim = 0; dim < round_up(v_dim, kTileSide); dim += kTileSide) {
    const float* low = v + dim / kPanel * n_keys * kPanel;                       // dimensions dim to dim + 7
    const float* high = dim + kPanel < v_dim ? low + n_keys * kPanel : nullptr;  // and the next 8
    const auto sixteen = [&](int key) {
      if (key >= n_keys) return _mm512_setzero_ps();
      const __m512 first = _mm512_zextps256_ps512(_mm256_load_ps(low + key * kPanel));
      return high ? _mm512_insertf32x8(first, _mm256_load_ps(high + key * kPanel), 1) : first;
    };
    for (int step = 0; step < n_steps; ++step, out += kTileWords) {
      __m512i words[kTileSide];
      for (int pair = 0; pair < kTileSide; ++pair) {
        const int key = step * 32 + pair * 2;
        words[pair] = rounder.pair(sixteen(key), sixteen(key + 1));
      }
      transpose(words);
      for (int row = 0; row < kTileSide; ++row) _mm512_store_si512(out + row * kTileSide, words[row]);
    }
  }
  return rounder.finite();
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know AVX-512: has_bf16() is false there and none of this is called.
namespace saccade::kernel {
void visit_bf16(const Bf16Tile&, std::span<const Bf16Block>, const TileMask&, ScoreRule, float*) noexcept {}
bool round_queries(const float*, int, std::uint32_t*) noexcept { return false; }
bool round_keys(const float*, int, int, std::uint32_t*) noexcept { return false; }
bool round_values(const float*, int, int, std::uint32_t*) noexcept { return false; }
}  // namespace saccade::kernel

#endif
