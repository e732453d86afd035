#include "plugins/llama/device.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <span>
#include <vector>

#include "ggml-backend-impl.h"
#include "plugins/llama/judge.h"
#include "plugins/llama/layer.h"
#include "plugins/llama/linear_node.h"
#include "plugins/llama/placement.h"
#include "plugins/llama/plan_check.h"
#include "plugins/llama/repacked.h"
#include "plugins/llama/runner.h"
#include "plugins/llama/support.h"
#include "plugins/llama/team.h"
#include "saccade/kernel/matrix_unit.h"
#include "saccade/linear/few.h"

namespace saccade::llama {
namespace {

constexpr const char* kName = "Saccade";

/// ggml's registry is global, and so is what we keep behind our entry in it.
struct State {
  std::mutex mutex;  // guards the rest, but for ggml and n_devices, which are set before anything can call us
  Ggml ggml;
  std::shared_ptr<const Plan> plan;
  bool told_not_causal = false;
  int n_devices = 1;  ///< set before anything can call us
  std::atomic<bool> on_probation = false;
  Record record;
};

State& state() {
  // A context that is freed after our destructors, while the process ends, reads nothing but `ggml`, which has none.
  static State the;
  return the;
}

std::shared_ptr<const Plan> plan_now() {
  const std::lock_guard lock(state().mutex);
  return state().plan;
}

/// Asked for first when a graph is planned, when ggml's CPU backend is there.
const Repacked& repacked() {
  static const Repacked found = find_repacked(state().ggml);
  return found;
}

template <class... Args>
void log(ggml_log_level level, const char* format, Args... args) {
  if (state().ggml.log != nullptr) state().ggml.log(level, format, args...);
}

void add(Record& sum, const Record& more) {
  sum.pairs_visited += more.pairs_visited;
  sum.pairs_i16 += more.pairs_i16;
  sum.selection_ns += more.selection_ns;
  sum.heads_chosen += more.heads_chosen;
  sum.heads_dense_by_rule += more.heads_dense_by_rule;
  sum.heads_dense_by_floor += more.heads_dense_by_floor;
  sum.heads_dense_by_cost += more.heads_dense_by_cost;
  sum.pairs_bf16 += more.pairs_bf16;
  sum.pairs_skipped += more.pairs_skipped;
  sum.pairs_dense += more.pairs_dense;
  sum.calls += more.calls;
  sum.calls_not_causal += more.calls_not_causal;
  sum.attention_ns += more.attention_ns;
  sum.judged_ns += more.judged_ns;
  sum.linear_calls += more.linear_calls;
  sum.linear_flop += more.linear_flop;
  sum.linear_bf16 += more.linear_bf16;
  sum.linear_ns += more.linear_ns;
}

/// Logs a line that is not empty.
void warn(const std::string& line) {
  if (!line.empty()) log(GGML_LOG_LEVEL_WARN, "saccade: %s\n", line.c_str());
}

std::int64_t ns_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

/// One llama.cpp context's use of us.
struct Backend {
  int n_threads = GGML_DEFAULT_N_THREADS;
  std::unique_ptr<Team> team;
  Runner runner;
  LinearWorkspace linear_workspace;
  PlanCheck plan_check;
  Record record;

  Team& workers() {
    if (team == nullptr || team->size() != n_threads) team = make_guest_team(state().ggml, n_threads);
    return *team;
  }

  /// Matrices that multiply the same tokens, all of them many or all of them few.
  void run_linear(std::span<const ggml_tensor* const> nodes) {
    const auto start = std::chrono::steady_clock::now();
    const auto floats = [](const ggml_tensor& tensor) {
      return static_cast<std::ptrdiff_t>(tensor.nb[1] / sizeof(float));
    };
    const ggml_tensor& x = *nodes.front()->src[1];
    std::vector<LinearProduct> products;
    Record done;
    for (const ggml_tensor* node : nodes) {
      products.push_back(
          {*params_of(*node->src[0], state().ggml, repacked()), static_cast<float*>(node->data), floats(*node)});
      done.linear_flop += flop_of(*node);
    }
    const LinearCall call{static_cast<const float*>(x.data), floats(x), x.ne[1], x.ne[0], products};
    if (can_run_linear(*nodes.front(), state().ggml, repacked())) {
      linear(call, workers(), linear_workspace);
      if (in_tiles()) done.linear_bf16 = done.linear_flop;
    } else {
      linear_few(call, workers(), linear_workspace);
    }
    done.linear_calls = static_cast<std::int64_t>(nodes.size());
    done.linear_ns = ns_since(start);
    count(done);
  }

  void run_experts(const ggml_tensor& node) {
    const auto start = std::chrono::steady_clock::now();
    linear_experts(experts_call_of(node, state().ggml, repacked()), workers(), linear_workspace);
    const std::int64_t flop = flop_of(node);
    count({.linear_calls = 1, .linear_flop = flop, .linear_bf16 = in_tiles() ? flop : 0, .linear_ns = ns_since(start)});
  }

  static bool in_tiles() { return linear_precision() == Precision::kBf16; }

  void count(const Record& done) {
    add(record, done);
    const std::lock_guard lock(state().mutex);
    add(state().record, done);
  }

  void run(const ggml_tensor& node) {
    static const auto dense = std::make_shared<const Plan>(Plan::from_spec("dense"));
    // Without a plan nothing new is claimed, but a graph made while there was one may still come here.
    const std::shared_ptr<const Plan> plan = plan_now();
    if (plan) warn(plan_check.next(plan, layer_of(node), static_cast<int>(node.src[0]->ne[2])));
    const Record done = runner.run(node, plan ? plan : dense, workers());
    add(record, done);
    const std::lock_guard lock(state().mutex);
    add(state().record, done);
    if (done.calls_not_causal > 0 && plan && !(plan->with_precision(Precision::kAuto) == *dense) &&
        !state().told_not_causal) {
      state().told_not_causal = true;
      log(GGML_LOG_LEVEL_WARN,
          "saccade: the mask of %s is not one causal run in slot order (a sliding window, several sequences, reused "
          "cells): such attention runs dense, whatever the plan\n",
          node.name);
    }
  }
};

Backend& backend_of(ggml_backend_t backend) { return *static_cast<Backend*>(backend->context); }

bool only_changes_shape(ggml_op op) {
  return op == GGML_OP_NONE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE || op == GGML_OP_RESHAPE ||
         op == GGML_OP_TRANSPOSE;
}

bool has_elements(const ggml_tensor& tensor) {
  return tensor.ne[0] > 0 && tensor.ne[1] > 0 && tensor.ne[2] > 0 && tensor.ne[3] > 0;
}

// --- the backend: one per llama.cpp context ---

const char* backend_name(ggml_backend_t) { return kName; }

void backend_free(ggml_backend_t backend) {
  warn(backend_of(backend).plan_check.end());
  const Record& done = backend_of(backend).record;
  if (done.calls > 0) {
    const auto share = [](std::int64_t part, std::int64_t of, double of_nothing) {
      return of > 0 ? static_cast<double>(part) / static_cast<double>(of) : of_nothing;
    };
    log(GGML_LOG_LEVEL_INFO,
        "saccade: %lld attention nodes ran here (%lld not one causal run) in %.3f s, density %.4f, %.1f %% of it bf16, "
        "%.1f %% i16, %.1f %% skipped (%s)\n",
        static_cast<long long>(done.calls), static_cast<long long>(done.calls_not_causal),
        static_cast<double>(done.attention_ns) * 1e-9, share(done.pairs_visited, done.pairs_dense, 1.0),
        100 * share(done.pairs_bf16, done.pairs_visited, 0.0), 100 * share(done.pairs_i16, done.pairs_visited, 0.0),
        100 * share(done.pairs_skipped, done.pairs_visited, 0.0), kernel::matrix_unit_status().c_str());
  }
  if (done.heads_chosen > 0) {
    log(GGML_LOG_LEVEL_INFO,
        "saccade: selectors chose for %lld heads of calls in %.3f s; dense ran %lld by rule, %lld by floor, %lld by "
        "cost\n",
        static_cast<long long>(done.heads_chosen), static_cast<double>(done.selection_ns) * 1e-9,
        static_cast<long long>(done.heads_dense_by_rule), static_cast<long long>(done.heads_dense_by_floor),
        static_cast<long long>(done.heads_dense_by_cost));
  }
  if (done.linear_calls > 0) {
    const double seconds = static_cast<double>(done.linear_ns) * 1e-9;
    log(GGML_LOG_LEVEL_INFO,
        "saccade: %lld matrix products ran here in %.3f s, %.0f GFLOP/s, %.1f %% of it in bf16 tiles\n",
        static_cast<long long>(done.linear_calls), seconds, static_cast<double>(done.linear_flop) * 1e-9 / seconds,
        100.0 * static_cast<double>(done.linear_bf16) / static_cast<double>(done.linear_flop));
  }
  delete &backend_of(backend);
  delete backend;
}

/// The node at `i` and those right behind it that multiply the same tokens in the same way.
std::vector<const ggml_tensor*> products_at(ggml_cgraph* graph, int i) {
  const Ggml& ggml = state().ggml;
  const bool many = can_run_linear(*ggml.graph_node(graph, i), ggml, repacked());
  std::vector<const ggml_tensor*> nodes;
  for (; i < ggml.graph_n_nodes(graph); ++i) {
    const ggml_tensor* node = ggml.graph_node(graph, i);
    const bool same =
        nodes.empty() || (node->src[1] == nodes.front()->src[1] && (node->flags & GGML_TENSOR_FLAG_COMPUTE) != 0);
    if (!same || !(many ? can_run_linear(*node, ggml, repacked()) : can_run_few(*node, ggml, repacked()))) break;
    nodes.push_back(node);
  }
  return nodes;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  const Ggml& ggml = state().ggml;
  try {
    for (int i = 0; i < ggml.graph_n_nodes(graph); ++i) {
      const ggml_tensor& node = *ggml.graph_node(graph, i);
      if ((node.flags & GGML_TENSOR_FLAG_COMPUTE) == 0 || only_changes_shape(node.op) || !has_elements(node)) continue;
      if (const auto products = products_at(graph, i); !products.empty()) {
        backend_of(backend).run_linear(products);
        i += static_cast<int>(products.size()) - 1;
        continue;
      }
      if (can_run_experts(node, ggml, repacked())) {
        backend_of(backend).run_experts(node);
        continue;
      }
      if (node.op != GGML_OP_FLASH_ATTN_EXT || !can_run(node)) {
        log(GGML_LOG_LEVEL_ERROR, "saccade: %s was given to us although we declined it\n", node.name);
        return GGML_STATUS_FAILED;
      }
      backend_of(backend).run(node);
    }
    return GGML_STATUS_SUCCESS;
  } catch (const std::bad_alloc&) {
    log(GGML_LOG_LEVEL_ERROR, "saccade: not enough memory\n");
    return GGML_STATUS_ALLOC_FAILED;
  } catch (const std::exception& error) {
    log(GGML_LOG_LEVEL_ERROR, "saccade: %s\n", error.what());
    return GGML_STATUS_FAILED;
  }
}

void backend_set_n_threads(ggml_backend_t backend, int n_threads) {
  backend_of(backend).n_threads = n_threads < 1 ? 1 : n_threads;
}

// --- the devices: one that computes, and beside it, where weights are placed, one for each place (placement.h),
// because llama.cpp looks at nothing but a device's default buffer type ---

enum class Role : std::uint8_t { kComputes, kKeepsPlain, kKeepsRepacked };
constexpr int kRoles = 3;

Role role_of(ggml_backend_dev_t device) { return *static_cast<const Role*>(device->context); }

const char* device_name(ggml_backend_dev_t device) {
  constexpr const char* kNames[kRoles] = {kName, "Saccade_Plain", "Saccade_Repacked"};
  return kNames[static_cast<int>(role_of(device))];
}
const char* device_description(ggml_backend_dev_t device) {
  return role_of(device) == Role::kComputes ? "Saccade attention" : "Saccade weights";
}
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_ACCEL; }

void device_memory(ggml_backend_dev_t, std::size_t* free, std::size_t* total) { *free = *total = 0; }

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props* props) {
  *props = {};
  props->name = device_name(device);
  props->description = device_description(device);
  props->type = device_type(device);
  props->caps.buffer_from_host_ptr = role_of(device) == Role::kKeepsPlain;  // mapped files stay mapped
}

/// ggml's own means that llama.cpp asks no further: nothing is placed.
ggml_backend_buffer_type_t device_buffer_type(ggml_backend_dev_t device) {
  if (role_of(device) == Role::kKeepsPlain && places_weights()) return plain_buffer_type();
  if (role_of(device) == Role::kKeepsRepacked && places_weights()) return repacked().type;
  return state().ggml.cpu_buffer_type();
}

ggml_backend_buffer_t device_buffer_from_host_ptr(ggml_backend_dev_t, void* memory, std::size_t n_bytes, std::size_t) {
  return plain_buffer_around(memory, n_bytes);
}

bool device_supports_buft(ggml_backend_dev_t, ggml_backend_buffer_type_t buft) {
  return state().ggml.buft_is_host(buft) || buft == repacked().type;
}

/// With `-fa auto` a new llama.cpp context tries one token a sequence and, where another device than the layer's own
/// takes its attention, switches flash attention off for good. So a new context's narrow nodes are declined until it
/// shows a wide one, as it does next, when it reserves memory for a whole batch.
bool passes_probation(const ggml_tensor& attention) {
  constexpr Pos kWide = 32;
  if (attention.src[0]->ne[1] >= kWide) state().on_probation = false;
  return !state().on_probation;
}

bool device_supports_op(ggml_backend_dev_t device, const ggml_tensor* node) {
  if (role_of(device) == Role::kKeepsPlain) return belongs_plain(*node, state().ggml, repacked());
  if (role_of(device) == Role::kKeepsRepacked) return belongs_repacked(*node, state().ggml, repacked());
  const std::shared_ptr<const Plan> plan = plan_now();
  if (plan == nullptr) return false;
  if (node->op == GGML_OP_MUL_MAT) {
    return plan->linear() == LinearLayers::kAuto &&
           (can_run_linear(*node, state().ggml, repacked()) || can_run_few(*node, state().ggml, repacked()));
  }
  if (node->op == GGML_OP_MUL_MAT_ID) {
    return plan->linear() == LinearLayers::kAuto && can_run_experts(*node, state().ggml, repacked());
  }
  if (node->op == GGML_OP_FLASH_ATTN_EXT) {
    if (!can_run(*node) || !passes_probation(*node)) return false;
    if (Judge* judge = judge_now()) judge->expect(layer_of(*node));
    return true;
  }
  return only_changes_shape(node->op);
}

ggml_backend_t device_init_backend(ggml_backend_dev_t device, const char*) {
  static ggml_guid guid = {0x73, 0x61, 0x63, 0x63, 0x61, 0x64, 0x65, 0x2d,
                           0x61, 0x74, 0x74, 0x65, 0x6e, 0x64, 0x2d, 0x31};
  ggml_backend_i iface = {};
  iface.get_name = backend_name;
  iface.free = backend_free;
  iface.graph_compute = backend_compute;
  try {
    auto context = std::make_unique<Backend>();
    auto* backend = new ggml_backend{&guid, iface, device, context.get()};
    context.release();
    state().on_probation = true;
    return backend;
  } catch (const std::exception&) {
    return nullptr;
  }
}

// --- the registry entry ---

const char* reg_name(ggml_backend_reg_t) { return kName; }
std::size_t reg_device_count(ggml_backend_reg_t) { return static_cast<std::size_t>(state().n_devices); }

ggml_backend_dev_t reg_device(ggml_backend_reg_t reg, std::size_t index) {
  static Role roles[kRoles] = {Role::kComputes, Role::kKeepsPlain, Role::kKeepsRepacked};
  static ggml_backend_device_i iface = [] {
    ggml_backend_device_i functions = {};
    functions.get_name = device_name;
    functions.get_description = device_description;
    functions.get_memory = device_memory;
    functions.get_type = device_type;
    functions.get_props = device_props;
    functions.init_backend = device_init_backend;
    functions.get_buffer_type = device_buffer_type;
    functions.buffer_from_host_ptr = device_buffer_from_host_ptr;
    functions.supports_op = device_supports_op;
    functions.supports_buft = device_supports_buft;
    return functions;
  }();
  static ggml_backend_device devices[kRoles] = {{iface, reg, roles}, {iface, reg, roles + 1}, {iface, reg, roles + 2}};
  return devices + index;
}

void* reg_proc_address(ggml_backend_reg_t, const char* name) {
  if (std::strcmp(name, "ggml_backend_set_n_threads") != 0) return nullptr;
  return reinterpret_cast<void*>(&backend_set_n_threads);
}

ggml_backend_reg& the_reg() {
  static ggml_backend_reg reg = {
      GGML_BACKEND_API_VERSION, {reg_name, reg_device_count, reg_device, reg_proc_address}, nullptr};
  return reg;
}

}  // namespace

std::string reason_to_decline(const Ggml& ggml) {
  const std::string version = ggml.version == nullptr ? "unknown" : ggml.version();
  if (version != known_ggml_version()) {
    return "built for ggml " + std::string(known_ggml_version()) + ", this is ggml " + version;
  }
  if (!ggml.complete()) return "this ggml " + version + " lacks functions that we need";
  const ggml_backend_reg_t other = ggml.reg_by_name(kName);
  if (other != nullptr && other != &the_reg()) return "this program has Saccade already; unset GGML_BACKEND_PATH";
  return {};
}

ggml_backend_reg_t make_reg(const Ggml& ggml, bool place_weights) {
  state().ggml = ggml;
  state().n_devices = 1;
  if (place_weights) {
    state().n_devices = repacked().type == nullptr ? 2 : 3;
    make_plain_buffer_type(ggml, reg_device(&the_reg(), static_cast<int>(Role::kKeepsPlain)));
  }
  return &the_reg();
}

bool places_weights() {
  const std::shared_ptr<const Plan> plan = plan_now();
  return state().n_devices > 1 && plan != nullptr && plan->linear() == LinearLayers::kAuto;
}

void set_plan(std::shared_ptr<const Plan> plan) {
  const std::lock_guard lock(state().mutex);
  state().plan = std::move(plan);
  state().told_not_causal = false;
}

Record record() {
  const std::lock_guard lock(state().mutex);
  return state().record;
}

void reset_record() {
  const std::lock_guard lock(state().mutex);
  state().record = {};
}

}  // namespace saccade::llama
