#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "saccade/base/view.h"

namespace saccade {

/// How a model's parameters are stored, spelt as GGUF spells it. All but the halves come in blocks that share a scale.
/// The last two are what ggml's CPU backend makes of its weights while it loads them ("repacking"): blocks of eight
/// rows side by side.
enum class ParamFormat : std::uint8_t { q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k, f16, bf16, q4_0x8, q4_kx8 };

inline constexpr int kParamFormats = 12;

struct ParamBlock {
  std::string_view name;
  int n_params;    ///< of a row in one block
  int n_bytes;     ///< of one block
  int n_rows = 1;  ///< that lie in one block
};

constexpr ParamBlock block_of(ParamFormat type) {
  switch (type) {
    case ParamFormat::q4_0:
      return {"q4_0", 32, 18};
    case ParamFormat::q4_1:
      return {"q4_1", 32, 20};
    case ParamFormat::q5_0:
      return {"q5_0", 32, 22};
    case ParamFormat::q5_1:
      return {"q5_1", 32, 24};
    case ParamFormat::q8_0:
      return {"q8_0", 32, 34};
    case ParamFormat::q4_k:
      return {"q4_k", 256, 144};
    case ParamFormat::q5_k:
      return {"q5_k", 256, 176};
    case ParamFormat::q6_k:
      return {"q6_k", 256, 210};
    case ParamFormat::f16:
      return {"f16", 1, 2};
    case ParamFormat::bf16:
      return {"bf16", 1, 2};
    case ParamFormat::q4_0x8:
      return {"q4_0x8", 32, 8 * 18, 8};
    case ParamFormat::q4_kx8:
      return {"q4_kx8", 256, 8 * 144, 8};
  }
  return {"", 1, 0};
}

/// Bytes of `dim` consecutive parameters of a row, or of the rows that lie in its blocks. Requires whole blocks.
constexpr std::ptrdiff_t param_bytes(ParamFormat type, Pos dim) {
  return dim / block_of(type).n_params * block_of(type).n_bytes;
}

}  // namespace saccade
