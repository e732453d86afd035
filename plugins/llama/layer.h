#pragma once

#include "ggml.h"

namespace saccade::llama {

/// The layer an attention node belongs to, read from the names llama.cpp gives: of the node ("__fattn__-7", older
/// releases), of its queries ("Qcur-7 (view) (permuted)") or of its keys ("cache_k_l7 (view)"). -1 when none tells:
/// then only those rows of a plan apply that hold for all layers.
int layer_of(const ggml_tensor& node);

}  // namespace saccade::llama
