#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "apps/saccade/gguf_header.h"

namespace saccade::app {

/// What we need to know of a model file before llama.cpp opens it.
struct ModelFacts {
  std::string architecture;
  int n_layers = 0;
  int n_heads = 0;  ///< the most in any layer
  int n_ctx_train = 0;
  std::uint64_t file_bytes = 0;
  std::string fingerprint;  ///< of its size, its header and samples of its data: tells models apart, no more
};

/// Checks what `read_gguf_header` cannot: that keys and tensors agree with each other and with what llama.cpp will look
/// for. Returns the facts without size and fingerprint.
///
/// Errors    Fault::kUser, one line: place, rule, value
/// What it cannot see: damage inside free text (names, chat template, the letters of tokens), inside keys that nobody
///           reads, and a number that is as plausible as the right one (a rope base, a scale, a context length)
ModelFacts check_model(const GgufHeader& header);

/// Reads and checks a model file's header, tensor table and offsets.
/// Errors: Fault::kMachine when there is no such file or it cannot be read; Fault::kUser, one line, when it is damaged.
ModelFacts read_model_file(const std::string& path);

}  // namespace saccade::app
