#pragma once

#include <cstdint>
#include <string_view>

namespace saccade {

/// Who multiplies a prompt's tokens by the model's matrices.
enum class LinearLayers : std::uint8_t {
  kAuto,  ///< ours (linear/linear.h) where it can and where it is faster, else ggml
  kGgml,
};

constexpr std::string_view name_of(LinearLayers layers) { return layers == LinearLayers::kAuto ? "auto" : "ggml"; }

}  // namespace saccade
