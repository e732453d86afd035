#include "plugins/llama/placement.h"

#include <string_view>

#include "ggml-backend-impl.h"
#include "plugins/llama/linear_node.h"
#include "saccade/linear/linear.h"

namespace saccade::llama {
namespace {

/// What the type and its functions, which get no more than the type, share.
struct Plain {
  ggml_backend_buffer_type type = {};
  Ggml ggml;
};

Plain& plain() {
  static Plain the;
  return the;
}

/// Of ggml's making, under our name.
ggml_backend_buffer_t renamed(ggml_backend_buffer_t buffer) {
  if (buffer != nullptr) buffer->buft = &plain().type;
  return buffer;
}

/// The product that the loader asks about as the graph will have it: with weights in memory. Nothing for another node.
struct Loaded {
  ggml_tensor node = {}, weights = {};
  ggml_backend_buffer buffer = {};
  bool valid = false;

  Loaded(const ggml_tensor& asked, ggml_backend_buffer_type_t where) {
    const ggml_tensor* from = asked.src[0];
    if (asked.op != GGML_OP_MUL_MAT || from == nullptr || from->buffer == nullptr) return;
    if (from->buffer->usage != GGML_BACKEND_BUFFER_USAGE_ANY || from->buffer->size != 0) return;
    node = asked, weights = *from, buffer = *from->buffer;
    buffer.usage = GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
    buffer.buft = where;
    weights.buffer = &buffer;
    weights.extra = &buffer;  // ggml sets it when it repacks
    node.src[0] = &weights;
    valid = true;
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
};

bool repacks(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  Loaded loaded(node, repacked.type);
  if (repacked.type == nullptr || !loaded.valid || !can_run_linear(loaded.node, ggml, repacked)) return false;
  const ggml_backend_dev_t cpu = repacked.type->device;
  return cpu->iface.supports_op(cpu, &loaded.node);  // and ggml puts such weights there
}

}  // namespace

bool ggml_hides_weights(const Ggml& ggml) {
  if (linear_precision() != Precision::kBf16) return false;
  bool found = false;
  for_each_packing(ggml,
                   [&](ggml_backend_buffer_type_t type) { found |= std::string_view(ggml.buft_name(type)) == "AMX"; });
  return found;
}

ggml_backend_buffer_type_t plain_buffer_type() { return &plain().type; }

void make_plain_buffer_type(const Ggml& ggml, ggml_backend_dev_t device) {
  plain().ggml = ggml;
  ggml_backend_buffer_type& type = plain().type;
  type.device = device;
  type.iface.get_name = [](ggml_backend_buffer_type_t) { return "Saccade"; };
  type.iface.alloc_buffer = [](ggml_backend_buffer_type_t, std::size_t n_bytes) {
    const Ggml& mine = plain().ggml;
    return renamed(mine.buft_alloc_buffer(mine.cpu_buffer_type(), n_bytes));
  };
  type.iface.get_alignment = [](ggml_backend_buffer_type_t) {
    const ggml_backend_buffer_type_t cpu = plain().ggml.cpu_buffer_type();
    return cpu->iface.get_alignment(cpu);
  };
  type.iface.is_host = [](ggml_backend_buffer_type_t) { return true; };
}

ggml_backend_buffer_t plain_buffer_around(void* memory, std::size_t n_bytes) {
  return renamed(plain().ggml.cpu_buffer_from_ptr(memory, n_bytes));
}

bool belongs_repacked(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  return node.src[0] != nullptr && node.src[0]->buffer != nullptr && node.src[0]->buffer->buft == repacked.type &&
         repacks(node, ggml, repacked);
}

bool belongs_plain(const ggml_tensor& node, const Ggml& ggml, const Repacked& repacked) {
  Loaded loaded(node, &plain().type);
  return loaded.valid && node.src[0]->buffer->buft == &plain().type && can_run_linear(loaded.node, ggml, repacked) &&
         !repacks(node, ggml, repacked);
}

}  // namespace saccade::llama
