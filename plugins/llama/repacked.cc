#include "plugins/llama/repacked.h"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "ggml-backend-impl.h"
#include "saccade/kernel/expand.h"
#include "saccade/kernel/linear.h"

namespace saccade::llama {
namespace {

constexpr int kRows = 16, kDim = 512;

/// The rows' parameters as f32, 256 of each at a time.
std::vector<float> decode(ParamFormat type, const std::byte* params) {
  const int together = block_of(type).n_rows;
  std::vector<float> all;
  for (int row = 0; row < kRows; row += together, params += param_bytes(type, kDim)) {
    std::vector<float> rows(static_cast<std::size_t>(together * kDim));
    for (int first = 0; first < kDim; first += 256) {
      alignas(64) float part[8 * 256];
      kernel::expand(type, params + param_bytes(type, first), 256, part, 256);
      for (int i = 0; i < together; ++i) std::memcpy(&rows[i * kDim + first], part + i * 256, 256 * sizeof(float));
    }
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Does ggml make `to` of `from` on such a buffer?
bool reads(const Ggml& ggml, ggml_backend_buffer_type_t buffer_type, ggml_type type, ParamFormat from, ParamFormat to) {
  std::vector<std::byte> plain(static_cast<std::size_t>(kRows * param_bytes(from, kDim)));
  std::uint32_t state = 1;
  for (std::byte& byte : plain) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24U);
  }
  ggml_backend_buffer_t buffer = ggml.buft_alloc_buffer(buffer_type, plain.size());
  if (buffer == nullptr) return false;
  ggml_tensor tensor = {};
  tensor.type = type;
  tensor.ne[0] = kDim, tensor.ne[1] = kRows, tensor.ne[2] = tensor.ne[3] = 1;
  tensor.nb[0] = static_cast<std::size_t>(block_of(from).n_bytes);
  tensor.nb[1] = static_cast<std::size_t>(param_bytes(from, kDim));
  tensor.nb[2] = tensor.nb[3] = plain.size();
  tensor.buffer = buffer;
  tensor.data = buffer->iface.get_base(buffer);
  bool good = buffer->iface.init_tensor != nullptr && buffer->iface.init_tensor(buffer, &tensor) == GGML_STATUS_SUCCESS;
  if (good && tensor.extra != nullptr) {
    buffer->iface.set_tensor(buffer, &tensor, plain.data(), 0, plain.size());
    good = same_bits(decode(from, plain.data()), decode(to, static_cast<const std::byte*>(tensor.data)));
  } else {
    good = false;
  }
  ggml.buffer_free(buffer);
  return good;
}

}  // namespace

void for_each_packing(const Ggml& ggml, const std::function<void(ggml_backend_buffer_type_t)>& see) {
  const ggml_backend_reg_t cpu = ggml.reg_by_name("CPU");
  if (cpu == nullptr) return;
  const auto extra_types = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml.reg_get_proc_address(cpu, "ggml_backend_dev_get_extra_bufts"));
  if (extra_types == nullptr) return;
  ggml_backend_buffer_type_t* types = extra_types(ggml.reg_dev_get(cpu, 0));
  for (; types != nullptr && *types != nullptr; ++types) see(*types);
}

Repacked find_repacked(const Ggml& ggml) {
  Repacked found;
  if (!kernel::has_linear()) return found;
  for_each_packing(ggml, [&](ggml_backend_buffer_type_t type) {
    if (std::string_view(ggml.buft_name(type)) == "CPU_REPACK") found.type = type;
  });
  if (found.type == nullptr) return found;
  found.reads_q4_0 = reads(ggml, found.type, GGML_TYPE_Q4_0, ParamFormat::q4_0, ParamFormat::q4_0x8);
  found.reads_q4_k = reads(ggml, found.type, GGML_TYPE_Q4_K, ParamFormat::q4_k, ParamFormat::q4_kx8);
  return found;
}

}  // namespace saccade::llama
