#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace saccade {

/// A token position or a count of them; signed, so that differences are safe.
using Pos = std::int64_t;

/// Half-open: begin is in, end is out.
struct Range {
  Pos begin = 0, end = 0;
  Pos size() const { return end > begin ? end - begin : 0; }
  bool empty() const { return end <= begin; }
  bool operator==(const Range&) const = default;
};

/// Element types a view may hold, spelt as GGUF spells them.
enum class DType : std::uint8_t { f32, f16, bf16, q8_0, q4_0 };

std::string_view name_of(DType dtype);

/// How many elements share a scale, and so come only together.
constexpr Pos block_len(DType dtype) { return dtype == DType::q8_0 || dtype == DType::q4_0 ? 32 : 1; }

/// Bytes of `dim` consecutive elements. A block of 32 is an f16 scale and, in q8_0, 32 signed bytes; in q4_0, 16 bytes
/// whose low halves are the first 16 elements and whose high halves the others, each 8 too large.
constexpr std::size_t row_bytes(DType dtype, Pos dim) {
  const auto n = static_cast<std::size_t>(dim);
  switch (dtype) {
    case DType::f32:
      return n * 4;
    case DType::f16:
    case DType::bf16:
      return n * 2;
    case DType::q8_0:
      return n / 32 * 34;
    case DType::q4_0:
      return n / 32 * 18;
  }
  return 0;
}

/// Reads `[len, n_heads, dim]` somebody else owns: any strides between rows and heads, `dim` elements contiguous.
struct View {
  const void* data = nullptr;
  DType dtype = DType::f32;
  Pos len = 0, n_heads = 0, dim = 0;
  std::ptrdiff_t len_stride = 0, head_stride = 0;  ///< bytes

  const std::byte* row(Pos i, Pos head) const {
    return static_cast<const std::byte*>(data) + i * len_stride + head * head_stride;
  }
};

/// Writes f32 `[len, n_heads, dim]`: any strides between rows and heads, `dim` elements contiguous.
struct MutableView {
  float* data = nullptr;
  Pos len = 0, n_heads = 0, dim = 0;
  std::ptrdiff_t len_stride = 0, head_stride = 0;  ///< bytes

  float* row(Pos i, Pos head) const {
    return reinterpret_cast<float*>(reinterpret_cast<std::byte*>(data) + i * len_stride + head * head_stride);
  }
};

/// An additive f16 or f32 term per (query, key), shared by all heads; -inf hides the key. `data == nullptr`: none.
struct BiasView {
  const void* data = nullptr;
  DType dtype = DType::f16;       ///< f16 or f32
  std::ptrdiff_t len_stride = 0;  ///< bytes from one query's row to the next; keys are contiguous

  const std::byte* row(Pos i) const { return static_cast<const std::byte*>(data) + i * len_stride; }
};

}  // namespace saccade
