#include "plugins/llama/ggml_door.h"

#include <dlfcn.h>

#include <cstring>

namespace saccade::llama {
namespace {

/// First what the program itself links, then a ggml that somebody loaded privately (a Python module does).
void* find(const char* name) {
  if (void* symbol = dlsym(RTLD_DEFAULT, name)) return symbol;
  for (const char* library : {"libggml-base.so.0", "libggml.so.0", "libggml-base.so", "libggml.so"}) {
    void* handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    void* symbol = dlsym(handle, name);
    dlclose(handle);  // it was there before us and stays
    if (symbol != nullptr) return symbol;
  }
  return nullptr;
}

template <class Function>
void look_up(Function& function, const char* name) {
  void* symbol = find(name);
  static_assert(sizeof function == sizeof symbol);
  std::memcpy(&function, &symbol, sizeof symbol);
}

}  // namespace

Ggml find_ggml() {
  Ggml ggml;
  look_up(ggml.version, "ggml_version");
  look_up(ggml.log, "ggml_log_internal");
  look_up(ggml.cpu_buffer_type, "ggml_backend_cpu_buffer_type");
  look_up(ggml.cpu_buffer_from_ptr, "ggml_backend_cpu_buffer_from_ptr");
  look_up(ggml.buft_is_host, "ggml_backend_buft_is_host");
  look_up(ggml.buft_name, "ggml_backend_buft_name");
  look_up(ggml.buft_alloc_buffer, "ggml_backend_buft_alloc_buffer");
  look_up(ggml.buffer_free, "ggml_backend_buffer_free");
  look_up(ggml.graph_n_nodes, "ggml_graph_n_nodes");
  look_up(ggml.graph_node, "ggml_graph_node");
  look_up(ggml.reg_by_name, "ggml_backend_reg_by_name");
  look_up(ggml.reg_dev_get, "ggml_backend_reg_dev_get");
  look_up(ggml.reg_get_proc_address, "ggml_backend_reg_get_proc_address");
  look_up(ggml.register_backend, "ggml_backend_register");
  return ggml;
}

const char* known_ggml_version() { return SACCADE_GGML_VERSION; }

}  // namespace saccade::llama
