// Compiled for AVX-512 alone (see the root CMakeLists.txt); nothing here runs before has_bf16() said yes.

#include "saccade/kernel/linear_bf16.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <algorithm>
#include <cstring>

#include "saccade/kernel/bf16_words-inl.h"
#include "saccade/kernel/expand.h"
#include "saccade/kernel/tile_units-inl.h"

namespace saccade::kernel {
namespace {

constexpr int kDecoded = 256;  // parameters of a row at a time: the largest block, and 16 KiB for 16 rows

template <class Rounding>
void round_token_by(const float* x, int n, int n_dims, int terms, std::uint32_t* out) {
  const auto sixteen = [&](int dim) { return n - dim > 0 ? load_some(x + dim, n - dim) : _mm512_setzero_ps(); };
  for (int dim = 0; dim < n_dims; dim += kStepDims, out += terms * kTileWords) {
    __m512 first = sixteen(dim), second = sixteen(dim + kTileSide);
    const __m512i high = Rounding::words(first, second);
    _mm512_store_si512(out, high);
    if (terms > 1) {
      take_away(high, first, second);
      _mm512_store_si512(out + kTileWords, Rounding::words(first, second));
    }
    if (terms > 2) _mm512_store_si512(out + 2 * kTileWords, high);
  }
}

/// Words of 16 rows' 32 dimensions to a right operand.
inline void store_turned(__m512i (&words)[kTileSide], std::uint32_t* tile) {
  transpose(words);
  for (int pair = 0; pair < kTileSide; ++pair) _mm512_store_si512(tile + pair * kTileSide, words[pair]);
}

template <class Rounding>
void round_params_by(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n,
                     std::uint32_t* tiles) {
  const int together = block_of(type).n_rows, terms = terms_of(type);
  alignas(64) float values[kTileSide][kDecoded];
  for (int begin = 0; begin < n; begin += kDecoded) {
    const int n_here = std::min(kDecoded, n - begin), n_whole = round_up(n_here, kStepDims);
    for (int row = 0; row < n_rows; row += together) {
      expand(type, rows + row / together * stride + param_bytes(type, begin), n_here, values[row], kDecoded);
    }
    for (int row = 0; row < n_rows; ++row) std::fill(values[row] + n_here, values[row] + n_whole, 0.0F);
    for (int dim = 0; dim < n_whole; dim += kStepDims, tiles += terms * kTileWords) {
      __m512i high[kTileSide], low[kTileSide];
      for (int row = 0; row < kTileSide; ++row) {
        high[row] = low[row] = _mm512_setzero_si512();
        if (row >= n_rows) continue;
        __m512 first = _mm512_load_ps(values[row] + dim), second = _mm512_load_ps(values[row] + dim + kTileSide);
        high[row] = Rounding::words(first, second);
        if (terms < 3) continue;
        take_away(high[row], first, second);
        low[row] = Rounding::words(first, second);
      }
      store_turned(high, tiles);
      if (terms > 1) std::memcpy(tiles + kTileWords, tiles, kTileWords * sizeof *tiles);
      if (terms > 2) store_turned(low, tiles + 2 * kTileWords);
    }
  }
}

using Amx22 = Amx<4, 2, 2>;
using Emulated22 = Emulated<4, 2, 2>;

/// kHigh times 16 tokens and kWide times 16 rows, over all steps. Four products on sums of their own cover the latency
/// of each other (52 of 64 cycles), and each operand is loaded once for two of them; 1 x 6 or 2 x 3 sums, with the one
/// or two registers that these leave, take 7 loads for 6.
template <int kHigh, int kWide, class Unit>
[[gnu::always_inline]] inline void add_products(Unit& unit, const Bf16Product& product, const std::uint32_t* left,
                                                const std::uint32_t* right) {
  const std::ptrdiff_t next_rows = std::ptrdiff_t{product.n_steps} * kTileWords;
  for (int step = 0; step < product.n_steps; ++step, left += kTileWords, right += kTileWords) {
    unit.load_left(left);
    unit.load_passing_right(right);
    unit.template multiply<0>();
    if constexpr (kWide > 1) {
      unit.template load_passing_right<1>(right + next_rows);
      unit.template multiply<1, 0, 1>();
    }
    if constexpr (kHigh > 1) {
      unit.template load_left<1>(left + product.tokens_stride);
      unit.template multiply<2, 1, 0>();
      if constexpr (kWide > 1) unit.template multiply<3, 1, 1>();
    }
  }
}

/// One sum and its place in the results. What is no whole tile, or has no one stride, goes through a tile beside them.
struct SumPlace {
  SumPlace(const Bf16Product& product, const Bf16Results& results, int token, int row)
      : results_(results),
        token_(token),
        row_(row),
        n_tokens_(std::min(kTileSide, product.n_tokens - token)),
        n_rows_(std::min(kTileSide, product.n_rows - row)) {}

  template <int i, class Unit>
  [[gnu::always_inline]] void load(Unit& unit) const {
    if (!results_.add) return unit.template zero_sum<i>();
    if (is_plain()) return unit.template load_sum<i>(at(0), results_.stride * 4);
    alignas(64) float tile[kTileSide * kTileSide] = {};
    for (int token = 0; token < n_tokens_; ++token) {
      _mm512_store_ps(tile + token * kTileSide, _mm512_maskz_loadu_ps(mask(), at(token)));
    }
    unit.template load_sum<i>(tile, kTileSide * 4);
  }

  template <int i, class Unit>
  [[gnu::always_inline]] void store(Unit& unit) const {
    if (is_plain()) return unit.template store_sum<i>(at(0), results_.stride * 4);
    alignas(64) float tile[kTileSide * kTileSide];
    unit.template store_sum<i>(tile, kTileSide * 4);
    for (int token = 0; token < n_tokens_; ++token) {
      _mm512_mask_storeu_ps(at(token), mask(), _mm512_load_ps(tile + token * kTileSide));
    }
  }

 private:
  bool is_plain() const { return results_.rows == nullptr && n_tokens_ == kTileSide && n_rows_ == kTileSide; }
  __mmask16 mask() const { return static_cast<__mmask16>((1U << static_cast<unsigned>(n_rows_)) - 1U); }
  float* at(int token) const {
    return (results_.rows ? results_.rows[token_ + token] : results_.y + (token_ + token) * results_.stride) + row_;
  }

  const Bf16Results& results_;
  int token_, row_, n_tokens_, n_rows_;
};

template <int kHigh, int kWide, class Unit>
void multiply_block(Unit& unit, const Bf16Product& product, const Bf16Results& results, int token, int row) {
  const auto each_sum = [&](const auto& body) {
    body.template operator()<0>(SumPlace(product, results, token, row));
    if constexpr (kWide > 1) body.template operator()<1>(SumPlace(product, results, token, row + kTileSide));
    if constexpr (kHigh > 1) body.template operator()<2>(SumPlace(product, results, token + kTileSide, row));
    if constexpr (kHigh > 1 && kWide > 1) {
      body.template operator()<3>(SumPlace(product, results, token + kTileSide, row + kTileSide));
    }
  };
  each_sum([&]<int i>(const SumPlace& place) { place.load<i>(unit); });
  add_products<kHigh, kWide>(unit, product, product.tokens + token / kTileSide * product.tokens_stride,
                             product.params + std::ptrdiff_t{row / kTileSide} * product.n_steps * kTileWords);
  each_sum([&]<int i>(const SumPlace& place) { place.store<i>(unit); });
}

/// 32 tokens stay in the first-level cache, or close, while all rows pass by.
template <class Unit>
void multiply_on(const Bf16Product& product, const Bf16Results& results) {
  Unit unit;
  for (int token = 0; token < product.n_tokens; token += kStepTokens) {
    const bool high = product.n_tokens - token > kTileSide;
    for (int row = 0; row < product.n_rows; row += kStepRows) {
      const bool wide = product.n_rows - row > kTileSide;
      if (high && wide) multiply_block<2, 2>(unit, product, results, token, row);
      if (high && !wide) multiply_block<2, 1>(unit, product, results, token, row);
      if (!high && wide) multiply_block<1, 2>(unit, product, results, token, row);
      if (!high && !wide) multiply_block<1, 1>(unit, product, results, token, row);
    }
  }
}

}  // namespace

void round_token(const float* x, int n, int n_dims, int terms, std::uint32_t* out) noexcept {
  has_rounding() ? round_token_by<RoundByInstruction>(x, n, n_dims, terms, out)
                 : round_token_by<RoundByIntegers>(x, n, n_dims, terms, out);
}

void round_params(ParamFormat type, const std::byte* rows, std::ptrdiff_t stride, int n_rows, int n,
                  std::uint32_t* tiles) noexcept {
  has_rounding() ? round_params_by<RoundByInstruction>(type, rows, stride, n_rows, n, tiles)
                 : round_params_by<RoundByIntegers>(type, rows, stride, n_rows, n, tiles);
}

void multiply_bf16(const Bf16Product& product, const Bf16Results& results) noexcept {
  const OwnRounding rounding;
  has_bf16_tiles() ? multiply_on<Amx22>(product, results) : multiply_on<Emulated22>(product, results);
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know AVX-512: has_bf16() is false there and none of this is called.
namespace saccade::kernel {
void round_token(const float*, int, int, int, std::uint32_t*) noexcept {}
void round_params(ParamFormat, const std::byte*, std::ptrdiff_t, int, int, std::uint32_t*) noexcept {}
void multiply_bf16(const Bf16Product&, const Bf16Results&) noexcept {}
}  // namespace saccade::kernel

#endif
