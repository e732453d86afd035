// Compiled for AVX-512 alone (see the root CMakeLists.txt); nothing here runs before has_bf16() said yes.

#include "saccade/kernel/bf16.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <algorithm>
#include <array>

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

/// Sixteen numbers of a row from its dimension `dim` on, zeros behind the last of n.
template <DType dtype>
__m512 load_sixteen(const std::byte* row, int dim, int n) {
  const int n_left = std::clamp(n - dim, 0, kTileSide);
  if constexpr (dtype == DType::f32) {
    return load_some(reinterpret_cast<const float*>(row) + dim, n_left);
  } else {
    const auto lanes = static_cast<__mmask16>((1U << static_cast<unsigned>(n_left)) - 1U);
    const __m256i halves = _mm256_maskz_loadu_epi16(lanes, row + 2 * static_cast<std::ptrdiff_t>(dim));
    if constexpr (dtype == DType::f16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
}

/// Remembers the largest magnitude of words of two bf16.
class Largest {
 public:
  __m512i see(__m512i words) {
    largest_ = _mm512_max_epu16(largest_, _mm512_and_si512(words, _mm512_set1_epi16(0x7FFF)));
    return words;
  }
  bool finite() const { return _mm512_cmpge_epu16_mask(largest_, _mm512_set1_epi16(0x7F80)) == 0; }

 private:
  __m512i largest_ = _mm512_setzero_si512();
};

template <DType dtype, class Rounding>
bool round_keys_by(const std::byte* k, std::ptrdiff_t stride, int n_keys, int head_dim, const float* centre,
                   std::uint32_t* out) {
  Largest largest;
  const int n_steps = round_up(head_dim, 32) / 32;
  for (int key = 0; key < round_up(n_keys, 32); ++key) {
    std::uint32_t* row = out + key / kTileSide * n_steps * kTileWords + key % kTileSide * kTileSide;
    const int n = key < n_keys ? head_dim : 0;
    for (int step = 0; step < n_steps; ++step, row += kTileWords) {
      const auto sixteen = [&](int dim) {
        const __m512 values = load_sixteen<dtype>(k + (n > 0 ? key * stride : 0), dim, n);
        return centre ? _mm512_sub_ps(values, load_some(centre + dim, std::clamp(n - dim, 0, kTileSide))) : values;
      };
      _mm512_store_si512(row, largest.see(Rounding::words(sixteen(step * 32), sixteen(step * 32 + kTileSide))));
    }
  }
  return largest.finite();
}

template <DType dtype, class Rounding>
bool round_values_by(const std::byte* v, std::ptrdiff_t stride, int n_keys, int v_dim, std::uint32_t* out) {
  Largest largest;
  // Sixteen numbers of one key, then of the next: to pairs.
  alignas(64) static constexpr auto kPairs = [] {
    std::array<std::uint16_t, 32> places{};
    for (std::uint16_t i = 0; i < 32; ++i) places[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * 16);
    return places;
  }();
  const __m512i pairs = _mm512_load_si512(kPairs.data());
  for (int dim = 0; dim < round_up(v_dim, kTileSide); dim += kTileSide) {
    for (int first = 0; first < round_up(n_keys, 32); first += 32, out += kTileWords) {
      __m512i words[kTileSide];
      for (int pair = 0; pair < kTileSide; ++pair) {
        const auto sixteen = [&](int key) {
          return load_sixteen<dtype>(v + (key < n_keys ? key * stride : 0), dim, key < n_keys ? v_dim : 0);
        };
        const int key = first + 2 * pair;
        words[pair] = _mm512_permutexvar_epi16(pairs, largest.see(Rounding::words(sixteen(key), sixteen(key + 1))));
      }
      transpose(words);
      for (int row = 0; row < kTileSide; ++row) _mm512_store_si512(out + row * kTileSide, words[row]);
    }
  }
  return largest.finite();
}

/// Calls body<dtype, how to round>().
template <class Body>
bool with_rows(DType dtype, const Body& body) {
  const auto rounded = [&]<DType type>() {
    return has_rounding() ? body.template operator()<type, RoundByInstruction>()
                          : body.template operator()<type, RoundByIntegers>();
  };
  if (dtype == DType::f32) return rounded.template operator()<DType::f32>();
  if (dtype == DType::f16) return rounded.template operator()<DType::f16>();
  return rounded.template operator()<DType::bf16>();
}

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

bool round_keys(DType dtype, const std::byte* k, std::ptrdiff_t stride, int n_keys, int head_dim, const float* centre,
                std::uint32_t* out) noexcept {
  return with_rows(dtype, [&]<DType type, class Rounding>() {
    return round_keys_by<type, Rounding>(k, stride, n_keys, head_dim, centre, out);
  });
}

bool round_values(DType dtype, const std::byte* v, std::ptrdiff_t stride, int n_keys, int v_dim,
                  std::uint32_t* out) noexcept {
  return with_rows(dtype, [&]<DType type, class Rounding>() {
    return round_values_by<type, Rounding>(v, stride, n_keys, v_dim, out);
  });
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know AVX-512: has_bf16() is false there and none of this is called.
namespace saccade::kernel {
void visit_bf16(const Bf16Tile&, std::span<const Bf16Block>, const TileMask&, ScoreRule, float*) noexcept {}
bool round_queries(const float*, int, std::uint32_t*) noexcept { return false; }
bool round_keys(DType, const std::byte*, std::ptrdiff_t, int, int, const float*, std::uint32_t*) noexcept {
  return false;
}
bool round_values(DType, const std::byte*, std::ptrdiff_t, int, int, std::uint32_t*) noexcept { return false; }
}  // namespace saccade::kernel

#endif
