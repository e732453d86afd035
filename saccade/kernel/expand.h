#pragma once

#include <cstddef>

#include "saccade/base/param_format.h"

namespace saccade::kernel {

/// Parameters as ggml stores them to f32, bit for bit what ggml's own conversion of the type gives.
///
/// Shapes    params [n] from a block's first byte; out [n], and nothing behind it is written. Of a format that lays
///           rows side by side: out [8, n] with `stride` floats from row to row
/// Requires  has_linear(); n a multiple of the type's block; out and stride multiples of 64 bytes
/// Errors    none, noexcept
/// Accuracy  exact: each result is the block's formula rounded once to f32
/// Cost      about one instruction a parameter
/// Source    the block layouts of ggml-common.h (facts; the code is ours)
void expand(ParamFormat type, const std::byte* params, int n, float* out, int stride = 0) noexcept;

}  // namespace saccade::kernel
