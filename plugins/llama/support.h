#pragma once

#include <optional>

#include "ggml.h"
#include "saccade/base/view.h"

namespace saccade::llama {

/// ggml's type as ours, where we have it.
std::optional<DType> dtype_of(ggml_type type);

/// May this FLASH_ATTN_EXT run here? False leaves it to ggml: the types and head sizes that `can_attend` declines, rows
/// that are not contiguous, shapes that ggml's API would not build. Sink scores, ALiBi, values of another width than
/// keys, several streams (ne[3]) and several mask heads (mask->ne[2]) are fine.
bool can_run(const ggml_tensor& node);

}  // namespace saccade::llama
