#pragma once

#include <cstddef>
#include <optional>

#include "ggml-backend.h"
#include "ggml.h"

namespace saccade::llama {

/// The functions of ggml that we call, found in the running program when we are loaded. Nothing of ggml is linked, so
/// that a program with another ggml can still load us, be told why we decline, and go on.
struct Ggml {
  const char* (*version)() = nullptr;
  void (*log)(ggml_log_level level, const char* format, ...) = nullptr;  // ggml_log_internal; may be null
  ggml_backend_buffer_type_t (*cpu_buffer_type)() = nullptr;
  ggml_backend_buffer_t (*cpu_buffer_from_ptr)(void*, std::size_t) = nullptr;
  bool (*buft_is_host)(ggml_backend_buffer_type_t) = nullptr;
  const char* (*buft_name)(ggml_backend_buffer_type_t) = nullptr;
  ggml_backend_buffer_t (*buft_alloc_buffer)(ggml_backend_buffer_type_t, std::size_t) = nullptr;
  void (*buffer_free)(ggml_backend_buffer_t) = nullptr;
  int (*graph_n_nodes)(ggml_cgraph*) = nullptr;
  ggml_tensor* (*graph_node)(ggml_cgraph*, int) = nullptr;
  ggml_backend_reg_t (*reg_by_name)(const char*) = nullptr;
  ggml_backend_dev_t (*reg_dev_get)(ggml_backend_reg_t, std::size_t) = nullptr;
  void* (*reg_get_proc_address)(ggml_backend_reg_t, const char*) = nullptr;
  void (*register_backend)(ggml_backend_reg_t) = nullptr;

  /// All but `log` were found.
  bool complete() const {
    return version && cpu_buffer_type && cpu_buffer_from_ptr && buft_is_host && buft_name && buft_alloc_buffer &&
           buffer_free && graph_n_nodes && graph_node && reg_by_name && reg_dev_get && reg_get_proc_address &&
           register_backend;
  }
};

/// Looks them up; those that this program does not have stay null.
Ggml find_ggml();

/// The release whose struct layouts we were compiled with: the only one that we talk to, because ggml has changed them
/// without changing its API version.
const char* known_ggml_version();

}  // namespace saccade::llama
