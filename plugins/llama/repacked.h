#pragma once

#include <functional>

#include "plugins/llama/ggml_door.h"

namespace saccade::llama {

/// Calls `see` with each buffer type on which ggml's CPU backend lays weights out anew ("AMX", "CPU_REPACK"), in its
/// order.
void for_each_packing(const Ggml& ggml, const std::function<void(ggml_backend_buffer_type_t)>& see);

/// Where ggml's CPU backend keeps the weights it lays out anew while it loads them, and which of its layouts we read.
struct Repacked {
  ggml_backend_buffer_type_t type = nullptr;  ///< null: this ggml has none
  bool reads_q4_0 = false, reads_q4_k = false;
};

/// Asks ggml to lay out random weights and looks whether we read them back as they were, bit for bit. The layouts are
/// ggml's own affair: with another one nothing of that type is claimed, and ggml multiplies as it always did.
/// Cost      some microseconds and 10 KiB, once
Repacked find_repacked(const Ggml& ggml);

}  // namespace saccade::llama
