// Compiled for AVX-512 VNNI alone (see the root CMakeLists.txt); nothing here runs before has_linear() said yes.

#include "saccade/kernel/linear_few.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "saccade/kernel/six_bits-inl.h"

namespace saccade::kernel {
namespace {

constexpr int kStep = 64;           ///< elements that one instruction multiplies
constexpr int kStepBytes = 3 * 64;  ///< of a rounded token
constexpr int kChunkSteps = 4;      ///< of the largest block
/// One token keeps up with memory only if a row is asked for long before: 38 GB/s of 42 at 8 KiB, 35 at 2 KiB, 26
/// without.
constexpr std::ptrdiff_t kAheadOfOne = 8192;

/// Have the type's blocks a least value? Else its whole numbers are counted from `zero_of`, unsigned as they are
/// multiplied.
constexpr bool has_least(ParamFormat type) {
  return type == ParamFormat::q4_1 || type == ParamFormat::q5_1 || type == ParamFormat::q4_k ||
         type == ParamFormat::q5_k;
}

constexpr int zero_of(ParamFormat type) {
  switch (type) {
    case ParamFormat::q4_0:
      return 8;
    case ParamFormat::q5_0:
      return 16;
    case ParamFormat::q6_k:
      return 32;
    default:
      return 128;
  }
}

/// 64 parameters of a row: whole numbers, and for each lane of four what one of them stands for and what is added.
struct Step {
  __m512i numbers;
  __m512 scale, least;
};

/// 32 bytes, then 32 others.
inline __m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }
inline __m512i twice(const std::byte* at) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}
inline __m256i repeat(const std::byte* at) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
/// The f16 at this place in 8 lanes, that at the other in 8 others.
inline __m512 halves(const std::byte* a, const std::byte* b) {
  return _mm512_cvtph_ps(
      _mm256_set_m128i(_mm_set1_epi16(read<std::int16_t>(b)), _mm_set1_epi16(read<std::int16_t>(a))));
}
inline __m512i four_bits(__m512i bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }

/// Two blocks' nibbles, 16 bytes each, low ones first.
inline __m512i nibbles(const std::byte* a, const std::byte* b) {
  return four_bits(_mm512_srlv_epi64(join(repeat(a), repeat(b)), _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4)));
}
/// 32 bytes' nibbles, low ones first.
inline __m512i nibbles(const std::byte* at) {
  return four_bits(_mm512_srlv_epi64(twice(at), _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4)));
}
inline __m512i add_sixteen(__m512i numbers, __mmask64 where) {
  return _mm512_mask_add_epi8(numbers, where, numbers, _mm512_set1_epi8(16));
}
inline __mmask64 bits(const std::byte* a, const std::byte* b) {
  return read<std::uint32_t>(a) | static_cast<std::uint64_t>(read<std::uint32_t>(b)) << 32U;
}

/// Two blocks of 32.
template <ParamFormat type>
inline Step pair_of(const std::byte* a, const std::byte* b) {
  Step step;
  step.scale = halves(a, b);
  if constexpr (has_least(type)) step.least = halves(a + 2, b + 2);
  if constexpr (type == ParamFormat::q4_0) step.numbers = nibbles(a + 2, b + 2);
  if constexpr (type == ParamFormat::q4_1) step.numbers = nibbles(a + 4, b + 4);
  if constexpr (type == ParamFormat::q5_0) step.numbers = add_sixteen(nibbles(a + 6, b + 6), bits(a + 2, b + 2));
  if constexpr (type == ParamFormat::q5_1) step.numbers = add_sixteen(nibbles(a + 8, b + 8), bits(a + 4, b + 4));
  if constexpr (type == ParamFormat::q8_0) {
    const auto load = [](const std::byte* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); };
    step.numbers = _mm512_xor_si512(join(load(a + 2), load(b + 2)), _mm512_set1_epi8(-128));
  }
  return step;
}

/// A block of 256, whose parts have scales of their own.
template <ParamFormat type>
class Block {
 public:
  explicit Block(const std::byte* at) : at_(at) {
    if constexpr (type == ParamFormat::q6_k) {
      const __m128i scales = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 192));
      scale_ = _mm512_mul_ps(half(at + 208), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)));
    } else {
      const SixBits six = six_bits(at + 4);
      scale_ = _mm512_mul_ps(half(at), eight(six.scale));
      least_ = _mm512_mul_ps(_mm512_sub_ps(_mm512_setzero_ps(), half(at + 2)), eight(six.least));
    }
  }

  Step step(int i) const {
    Step step;
    if constexpr (type == ParamFormat::q6_k) {
      const __m512i of_lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
      step.scale = _mm512_permutexvar_ps(_mm512_add_epi32(of_lane, _mm512_set1_epi32(4 * i)), scale_);
      const __m512i low = _mm512_loadu_si512(at_ + i / 2 * 64);
      const __m512i high = twice(at_ + 128 + i / 2 * 32);  // two bits of each of four parts
      const __m512i left = _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2), right = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
      const __m512i two = i % 2 == 0 ? _mm512_sllv_epi64(high, left) : _mm512_srlv_epi64(high, right);
      step.numbers = _mm512_or_si512(four_bits(i % 2 == 0 ? low : _mm512_srli_epi64(low, 4)),
                                     _mm512_and_si512(two, _mm512_set1_epi8(0x30)));
    } else {
      const __m512i of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
      const __m512i which = _mm512_add_epi32(of_lane, _mm512_set1_epi32(2 * i));
      step.scale = _mm512_permutexvar_ps(which, scale_);
      step.least = _mm512_permutexvar_ps(which, least_);
      if constexpr (type == ParamFormat::q4_k) step.numbers = nibbles(at_ + 16 + 32 * i);
      if constexpr (type == ParamFormat::q5_k) {
        const __m512i bit =
            join(_mm256_set1_epi8(static_cast<char>(1 << 2 * i)), _mm256_set1_epi8(static_cast<char>(2 << 2 * i)));
        step.numbers = add_sixteen(nibbles(at_ + 48 + 32 * i), _mm512_test_epi8_mask(twice(at_ + 16), bit));
      }
    }
    return step;
  }

 private:
  static __m512 half(const std::byte* at) { return _mm512_cvtph_ps(_mm256_set1_epi16(read<std::int16_t>(at))); }
  static __m512 eight(const std::uint8_t* bytes) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
  }

  const std::byte* at_;
  __m512 scale_, least_ = _mm512_setzero_ps();
};

/// Calls use(i, step) for each 64 of up to 256 parameters of a row; of 32 that are left the step holds twice.
template <ParamFormat type, class Use>
[[gnu::always_inline]] inline void each_step(const std::byte* row, int n, const Use& use) {
  constexpr ParamBlock block = block_of(type);
  if constexpr (block.n_params == 256) {
    const Block<type> whole(row);
#pragma clang loop unroll(disable)
    for (int i = 0; i < kChunkSteps; ++i) use(i, whole.step(i));
  } else {
    int i = 0;
    for (; 2 * i + 2 <= n / 32; ++i, row += 2 * block.n_bytes) use(i, pair_of<type>(row, row + block.n_bytes));
    if (n % kStep != 0) use(i, pair_of<type>(row, row));
  }
}

template <ParamFormat type, int kRows, int kTokens>
[[gnu::always_inline]] inline void multiply_rows(const std::byte* rows, std::ptrdiff_t row_stride, Pos dim,
                                                 const std::byte* tokens, float* y, std::ptrdiff_t y_stride) {
  const std::ptrdiff_t token_bytes = few_token_bytes(dim);
  const std::ptrdiff_t ahead = kRows == 1 ? kAheadOfOne : kRows * row_stride;
  __m512 sum[kRows][kTokens];
#pragma clang loop unroll(full)
  for (int r = 0; r < kRows; ++r) {
#pragma clang loop unroll(full)
    for (int t = 0; t < kTokens; ++t) sum[r][t] = _mm512_setzero_ps();
  }
  for (Pos first = 0; first < dim; first += kChunkSteps * kStep, tokens += kChunkSteps * kStepBytes) {
    const int n = static_cast<int>(std::min<Pos>(kChunkSteps * kStep, dim - first));
    const std::byte* chunk = rows + param_bytes(type, first);
#pragma clang loop unroll(full)
    for (int r = 0; r < kRows; ++r, chunk += row_stride) {
      each_step<type>(
          chunk, n, [&](int i, const Step& step) __attribute__((always_inline)) {
            const std::byte* token = tokens + i * kStepBytes;
            _mm_prefetch(chunk + i * (param_bytes(type, kChunkSteps * kStep) / kChunkSteps) + ahead, _MM_HINT_T0);
#pragma clang loop unroll(full)
            for (int t = 0; t < kTokens; ++t, token += token_bytes) {
              const __m512i before = has_least(type) ? _mm512_setzero_si512() : _mm512_load_si512(token + 128);
              const __m512i dots = _mm512_dpbusd_epi32(before, step.numbers, _mm512_load_si512(token));
              const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), _mm512_load_ps(token + 64));
              sum[r][t] = _mm512_fmadd_ps(scaled, step.scale, sum[r][t]);
              if constexpr (has_least(type))
                sum[r][t] = _mm512_fmadd_ps(_mm512_load_ps(token + 128), step.least, sum[r][t]);
            }
          });
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < kTokens; ++t) {
#pragma clang loop unroll(full)
    for (int r = 0; r < kRows; ++r) y[t * y_stride + r] = _mm512_reduce_add_ps(sum[r][t]);
  }
}

template <ParamFormat type, int kTokens>
void multiply_so_many(const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, Pos dim, const std::byte* tokens,
                      float* y, std::ptrdiff_t y_stride) {
  int row = 0;
  if constexpr (kTokens > 1) {  // one token has nothing to gain from rows that lie side by side in registers
    for (; row + kFewRows <= n_rows; row += kFewRows)
      multiply_rows<type, kFewRows, kTokens>(rows + row * row_stride, row_stride, dim, tokens, y + row, y_stride);
  }
  for (; row < n_rows; ++row)
    multiply_rows<type, 1, kTokens>(rows + row * row_stride, row_stride, dim, tokens, y + row, y_stride);
}

template <ParamFormat type>
void multiply_tokens(const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, Pos dim, const std::byte* tokens,
                     int n_tokens, float* y, std::ptrdiff_t y_stride) {
  const auto run = [&]<int kTokens>() {
    multiply_so_many<type, kTokens>(rows, row_stride, n_rows, dim, tokens, y, y_stride);
  };
  static_assert(kFewTokens == 6);
  switch (n_tokens) {
    case 1:
      return run.template operator()<1>();
    case 2:
      return run.template operator()<2>();
    case 3:
      return run.template operator()<3>();
    case 4:
      return run.template operator()<4>();
    case 5:
      return run.template operator()<5>();
    default:
      return run.template operator()<6>();
  }
}

template <ParamFormat type>
void multiply_all(const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, Pos dim, const std::byte* tokens,
                  int n_tokens, float* y, std::ptrdiff_t y_stride) {
  // A few rows at a time past all tokens, so that they are read from memory once.
  constexpr int kTogether = 4 * kFewRows;
  for (int row = 0; row < n_rows; row += kTogether) {
    const int n = std::min(kTogether, n_rows - row);
    const std::byte* at = rows + row * row_stride;
    const int n_parts = (n_tokens + kFewTokens - 1) / kFewTokens;
    for (int part = 0; part < n_parts; ++part) {  // as alike as can be
      const int first = n_tokens * part / n_parts, n_here = n_tokens * (part + 1) / n_parts - first;
      multiply_tokens<type>(at, row_stride, n, dim, tokens + first * few_token_bytes(dim), n_here,
                            y + first * y_stride + row, y_stride);
    }
  }
}

}  // namespace

void fix_few_token(ParamFormat type, const float* x, Pos dim, std::byte* out) noexcept {
  const __m512i groups = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  bool finite = true;
  for (Pos first = 0; first < dim; first += kStep, out += kStepBytes) {
    for (int i = 0; i < 4; ++i) {
      const bool beyond = first + 16 * i >= dim;
      const __m512 values = beyond ? _mm512_setzero_ps() : _mm512_loadu_ps(x + first + 16 * i);
      const __m512 sizes = _mm512_abs_ps(values);
      finite &= _mm512_cmp_ps_mask(sizes, _mm512_set1_ps(FLT_MAX), _CMP_LE_OQ) == 0xffffU;
      __m512 most = _mm512_max_ps(sizes, _mm512_permute_ps(sizes, 0xb1));
      most = _mm512_max_ps(most, _mm512_permute_ps(most, 0x4e));
      const __mmask16 some = _mm512_cmp_ps_mask(most, _mm512_set1_ps(kSmallestNorm), _CMP_GE_OQ);
      const __m512 factor = _mm512_maskz_div_ps(some, _mm512_set1_ps(127.0F), most);
      const __m512i numbers = _mm512_cvtps_epi32(_mm512_mul_ps(values, factor));
      _mm_store_si128(reinterpret_cast<__m128i*>(out + 16 * i), _mm512_cvtepi32_epi8(numbers));
      const __m512 scale = _mm512_maskz_mul_ps(some, most, _mm512_set1_ps(1.0F / 127.0F));
      _mm_store_ps(reinterpret_cast<float*>(out + 64) + 4 * i,
                   _mm512_castps512_ps128(_mm512_permutexvar_ps(groups, scale)));
    }
    const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_load_si512(out));
    if (has_least(type)) {
      _mm512_store_ps(out + 128, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(out + 64)));
    } else {
      _mm512_store_si512(out + 128, _mm512_mullo_epi32(sums, _mm512_set1_epi32(-zero_of(type))));
    }
  }
  if (finite) return;
  // The scales of one step are enough for every sum to be NaN.
  _mm512_store_ps(out - kStepBytes + 64, _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN()));
}

void multiply_few(ParamFormat type, const std::byte* rows, std::ptrdiff_t row_stride, int n_rows, Pos dim,
                  const std::byte* tokens, int n_tokens, float* y, std::ptrdiff_t y_stride) noexcept {
  const auto run = [&]<ParamFormat kType>() {
    multiply_all<kType>(rows, row_stride, n_rows, dim, tokens, n_tokens, y, y_stride);
  };
  switch (type) {
    case ParamFormat::q4_0:
      return run.template operator()<ParamFormat::q4_0>();
    case ParamFormat::q4_1:
      return run.template operator()<ParamFormat::q4_1>();
    case ParamFormat::q5_0:
      return run.template operator()<ParamFormat::q5_0>();
    case ParamFormat::q5_1:
      return run.template operator()<ParamFormat::q5_1>();
    case ParamFormat::q8_0:
      return run.template operator()<ParamFormat::q8_0>();
    case ParamFormat::q4_k:
      return run.template operator()<ParamFormat::q4_k>();
    case ParamFormat::q5_k:
      return run.template operator()<ParamFormat::q5_k>();
    case ParamFormat::q6_k:
      return run.template operator()<ParamFormat::q6_k>();
    case ParamFormat::f16:
    case ParamFormat::bf16:
    case ParamFormat::q4_0x8:
    case ParamFormat::q4_kx8:
      return;
  }
}

}  // namespace saccade::kernel

#else

// Another architecture, or a compiler that does not know VNNI: has_linear() is false there and none of this is called.
namespace saccade::kernel {
void fix_few_token(ParamFormat, const float*, Pos, std::byte*) noexcept {}
void multiply_few(ParamFormat, const std::byte*, std::ptrdiff_t, int, Pos, const std::byte*, int, float*,
                  std::ptrdiff_t) noexcept {}
}  // namespace saccade::kernel

#endif
