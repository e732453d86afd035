// Compiled for AVX-512 alone (see the root CMakeLists.txt); nothing here runs before has_linear() said yes.

#include "saccade/kernel/expand.h"

#if defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include <immintrin.h>

#include <cstdint>

#include "saccade/kernel/six_bits-inl.h"

namespace saccade::kernel {
namespace {

constexpr int kLanes = 16;

/// The f16 at this place, in all lanes.
inline __m512 half(const std::byte* at) { return _mm512_cvtph_ps(_mm256_set1_epi16(read<std::int16_t>(at))); }

/// 16 bytes, one to a lane.
inline __m512i bytes(const std::byte* at) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

inline __m512i low_nibbles(__m512i words) { return _mm512_and_si512(words, _mm512_set1_epi32(15)); }
inline __m512i high_nibbles(__m512i words) { return _mm512_srli_epi32(words, 4); }

inline __m512 count_from(float first) {
  const __m512 count = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_ps(count, _mm512_set1_ps(first));
}

/// 32 four-bit indices, low nibbles first, through a table of what each stands for.
inline void look_up(const std::byte* nibbles, __m512 table, float* out) {
  const __m512i words = bytes(nibbles);  // the permutation ignores all but the low four bits
  _mm512_store_ps(out, _mm512_permutexvar_ps(words, table));
  _mm512_store_ps(out + kLanes, _mm512_permutexvar_ps(high_nibbles(words), table));
}

/// The same with a fifth bit for each, in the order of the results.
inline void look_up(const std::byte* nibbles, std::uint32_t fifth, __m512 below, __m512 above, float* out) {
  const __m512i words = bytes(nibbles);
  const __m512i sixteen = _mm512_set1_epi32(16);
  const __m512i low = low_nibbles(words);
  const __m512i high = high_nibbles(words);
  const __m512i first = _mm512_mask_or_epi32(low, static_cast<__mmask16>(fifth), low, sixteen);
  const __m512i second = _mm512_mask_or_epi32(high, static_cast<__mmask16>(fifth >> 16U), high, sixteen);
  _mm512_store_ps(out, _mm512_permutex2var_ps(below, first, above));
  _mm512_store_ps(out + kLanes, _mm512_permutex2var_ps(below, second, above));
}

void expand_q4_0(const std::byte* block, float* out) {  // scale, 16 bytes of nibbles
  look_up(block + 2, _mm512_mul_ps(half(block), count_from(-8)), out);
}

void expand_q4_1(const std::byte* block, float* out) {  // scale, least value, nibbles
  look_up(block + 4, _mm512_fmadd_ps(half(block), count_from(0), half(block + 2)), out);
}

void expand_q5_0(const std::byte* block, float* out) {  // scale, fifth bits, nibbles
  const __m512 scale = half(block);
  look_up(block + 6, read<std::uint32_t>(block + 2), _mm512_mul_ps(scale, count_from(-16)),
          _mm512_mul_ps(scale, count_from(0)), out);
}

void expand_q5_1(const std::byte* block, float* out) {  // scale, least value, fifth bits, nibbles
  const __m512 scale = half(block);
  const __m512 least = half(block + 2);
  look_up(block + 8, read<std::uint32_t>(block + 4), _mm512_fmadd_ps(scale, count_from(0), least),
          _mm512_fmadd_ps(scale, count_from(16), least), out);
}

void expand_q8_0(const std::byte* block, float* out) {  // scale, 32 signed bytes
  const __m512 scale = half(block);
  for (int i = 0; i < 32; i += kLanes) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 2 + i));
    _mm512_store_ps(out + i, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed))));
  }
}

void expand_q4_k(const std::byte* block, float* out) {  // scale of scales, of least values, 12 bytes, nibbles
  const __m512 scale = half(block);
  const __m512 least = half(block + 2);
  const SixBits six = six_bits(block + 4);
  const std::byte* nibbles = block + 16;
  for (int part = 0; part < 8; part += 2, nibbles += 32, out += 64) {  // low nibbles: one part, high: the next
    for (int side = 0; side < 2; ++side) {
      const __m512 step = _mm512_mul_ps(scale, _mm512_set1_ps(six.scale[part + side]));
      const __m512 base = _mm512_mul_ps(least, _mm512_set1_ps(six.least[part + side]));
      const __m512 table = _mm512_fmsub_ps(step, count_from(0), base);
      for (int i = 0; i < 32; i += kLanes) {
        const __m512i words = _mm512_srli_epi32(bytes(nibbles + i), static_cast<unsigned>(4 * side));
        _mm512_store_ps(out + 32 * side + i, _mm512_permutexvar_ps(words, table));
      }
    }
  }
}

void expand_q5_k(const std::byte* block, float* out) {  // as q4_k, with 32 bytes of fifth bits before the nibbles
  const __m512 scale = half(block);
  const __m512 least = half(block + 2);
  const SixBits six = six_bits(block + 4);
  const std::byte* fifths = block + 16;
  const std::byte* nibbles = block + 48;
  for (int part = 0; part < 8; ++part) {
    const __m512 step = _mm512_mul_ps(scale, _mm512_set1_ps(six.scale[part]));
    const __m512 base = _mm512_mul_ps(least, _mm512_set1_ps(six.least[part]));
    for (int i = 0; i < 32; i += kLanes) {
      const __m512i words = bytes(nibbles + part / 2 * 32 + i);
      const __m512i four = low_nibbles(_mm512_srli_epi32(words, static_cast<unsigned>(part % 2 * 4)));
      const __m512i fifth =
          _mm512_and_si512(_mm512_srli_epi32(bytes(fifths + i), static_cast<unsigned>(part)), _mm512_set1_epi32(1));
      const __m512i number = _mm512_or_si512(four, _mm512_slli_epi32(fifth, 4));
      _mm512_store_ps(out + part * 32 + i, _mm512_fmsub_ps(step, _mm512_cvtepi32_ps(number), base));
    }
  }
}

void expand_q6_k(const std::byte* block, float* out) {  // 128 bytes of low bits, 64 of high bits, 16 scales, scale
  const __m512 scale = half(block + 208);
  for (int side = 0; side < 2; ++side) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 2; ++i) {
        const auto sub = static_cast<float>(read<std::int8_t>(block + 192 + 8 * side + 2 * quarter + i));
        const __m512i low = bytes(block + 64 * side + quarter % 2 * 32 + i * kLanes);
        const __m512i high = bytes(block + 128 + 32 * side + i * kLanes);
        const __m512i four = low_nibbles(_mm512_srli_epi32(low, static_cast<unsigned>(quarter / 2 * 4)));
        const __m512i two =
            _mm512_and_si512(_mm512_srli_epi32(high, static_cast<unsigned>(2 * quarter)), _mm512_set1_epi32(3));
        const __m512i number =
            _mm512_sub_epi32(_mm512_or_si512(four, _mm512_slli_epi32(two, 4)), _mm512_set1_epi32(32));
        const __m512 step = _mm512_mul_ps(scale, _mm512_set1_ps(sub));
        _mm512_store_ps(out + 128 * side + 32 * quarter + i * kLanes, _mm512_mul_ps(step, _mm512_cvtepi32_ps(number)));
      }
    }
  }
}

/// 8 bytes here and 8 there, one to a lane.
inline __m512i bytes(const std::byte* first, const std::byte* second) {
  return _mm512_cvtepu8_epi32(_mm_set_epi64x(read<std::int64_t>(second), read<std::int64_t>(first)));
}

/// 8 scales, then the rows' nibbles by turns, 8 bytes each; nibbles count from -8 in two's complement.
void expand_q4_0x8(const std::byte* block, float* out, int stride) {
  const __m512 signed_count = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
  const std::byte* nibbles = block + 16;
  for (int row = 0; row < 8; ++row, nibbles += 8, out += stride) {
    const __m512 table = _mm512_mul_ps(half(block + 2 * row), signed_count);
    const __m512i words = bytes(nibbles, nibbles + 64);
    _mm512_store_ps(out, _mm512_permutexvar_ps(words, table));
    _mm512_store_ps(out + kLanes, _mm512_permutexvar_ps(high_nibbles(words), table));
  }
}

/// 8 scales, 8 scales of least values, for each 32 elements 12 bytes that hold the six bits of the 8 rows, then the
/// rows' nibbles by turns, 8 bytes each.
void expand_q4_kx8(const std::byte* block, float* out, int stride) {
  SixBits six[8];
  for (int part = 0; part < 8; ++part) six[part] = six_bits(block + 32 + 12 * part);
  const std::byte* nibbles = block + 128;
  for (int row = 0; row < 8; ++row, nibbles += 8, out += stride) {
    const __m512 scale = half(block + 2 * row);
    const __m512 least = half(block + 16 + 2 * row);
    for (int part = 0; part < 8; ++part) {
      const __m512 step = _mm512_mul_ps(scale, _mm512_set1_ps(six[part].scale[row]));
      const __m512 base = _mm512_mul_ps(least, _mm512_set1_ps(six[part].least[row]));
      const __m512 table = _mm512_fmsub_ps(step, count_from(0), base);
      for (int i = 0; i < 2; ++i) {
        const std::byte* at = nibbles + (part / 2 * 4 + 2 * i) * 64;
        const __m512i words = _mm512_srli_epi32(bytes(at, at + 64), static_cast<unsigned>(part % 2 * 4));
        _mm512_store_ps(out + 32 * part + i * kLanes, _mm512_permutexvar_ps(words, table));
      }
    }
  }
}

template <class Convert>
void expand_halves(const std::byte* params, int n, float* out, Convert convert) {
  for (int at = 0; at < n; at += kLanes) {
    const int left = n - at;
    const auto mask = static_cast<__mmask16>(left >= kLanes ? 0xffffU : (1U << static_cast<unsigned>(left)) - 1U);
    _mm512_mask_storeu_ps(out + at, mask, convert(_mm256_maskz_loadu_epi16(mask, params + 2 * at)));
  }
}

}  // namespace

void expand(ParamFormat type, const std::byte* params, int n, float* out, int stride) noexcept {
  const auto each_block = [&](auto expand_block) {
    const ParamBlock block = block_of(type);
    for (int at = 0; at < n; at += block.n_params, params += block.n_bytes) expand_block(params, out + at);
  };
  switch (type) {
    case ParamFormat::q4_0:
      return each_block(expand_q4_0);
    case ParamFormat::q4_1:
      return each_block(expand_q4_1);
    case ParamFormat::q5_0:
      return each_block(expand_q5_0);
    case ParamFormat::q5_1:
      return each_block(expand_q5_1);
    case ParamFormat::q8_0:
      return each_block(expand_q8_0);
    case ParamFormat::q4_k:
      return each_block(expand_q4_k);
    case ParamFormat::q5_k:
      return each_block(expand_q5_k);
    case ParamFormat::q6_k:
      return each_block(expand_q6_k);
    case ParamFormat::f16:
      return expand_halves(params, n, out, [](__m256i halves) { return _mm512_cvtph_ps(halves); });
    case ParamFormat::bf16:
      return expand_halves(params, n, out, [](__m256i halves) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
      });
    case ParamFormat::q4_0x8:
      return each_block([stride](const std::byte* block, float* at) { expand_q4_0x8(block, at, stride); });
    case ParamFormat::q4_kx8:
      return each_block([stride](const std::byte* block, float* at) { expand_q4_kx8(block, at, stride); });
  }
}

}  // namespace saccade::kernel

#else

// Another architecture: has_linear() is false there and this is not called.
namespace saccade::kernel {
void expand(ParamFormat, const std::byte*, int, float*, int) noexcept {}
}  // namespace saccade::kernel

#endif
