#pragma once

#include "plugins/llama/ggml_door.h"
#include "plugins/llama/repacked.h"

// Where a model keeps its weights. llama.cpp asks the devices of type ACCEL first, then ggml's own layouts (AMX,
// repacked), then plain memory: for each it shows the device a product of 512 tokens with the weights in a buffer of
// that type, which has no memory yet.
namespace saccade::llama {

/// Is ggml about to lay weights out for its AMX code, which nobody else reads, on a CPU whose matrix unit is ours too?
/// Requires  ggml's CPU backend is registered
bool ggml_hides_weights(const Ggml& ggml);

/// Plain host memory, or a mapped file, under a name of ours, so that llama.cpp asks for it before ggml's layouts.
/// ggml's CPU backend computes with what lies there as with any other plain weights. Requires  make_plain_buffer_type
/// first, once, with the device that llama.cpp is to find behind the type
ggml_backend_buffer_type_t plain_buffer_type();
void make_plain_buffer_type(const Ggml& ggml, ggml_backend_dev_t device);

/// A buffer of this type around memory that somebody else owns, aligned as ggml wants it.
ggml_backend_buffer_t plain_buffer_around(void* memory, std::size_t n_bytes);

/// The two places for what linear() reads: repacked where it reads that layout, because ggml's decode steps run fastest
/// from it; else plain. False: no question of llama.cpp's loader, or weights that are better left where ggml wants
/// them.
bool belongs_repacked(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked);
bool belongs_plain(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked);

}  // namespace saccade::llama
