#include "tests/plugin/attention_case.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

#include "ggml-backend.h"
#include "plugins/llama/backend.h"
#include "tests/support/dtype.h"
#include "tests/support/random.h"

namespace saccade::testing {
namespace {

constexpr float kHide = -std::numeric_limits<float>::infinity();

bool is_stored_by_us(ggml_type type) {
  return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_Q8_0 ||
         type == GGML_TYPE_Q4_0;
}

bool is_in_range(Pos dim) { return dim >= 32 && dim <= 576 && dim % 8 == 0; }

/// Rows of a quantised type come in blocks.
ggml_type that_fits(ggml_type type, Pos dim) { return dim % ggml_blck_size(type) == 0 ? type : GGML_TYPE_F16; }

/// As ops.cpp of ggml's CPU backend writes it.
float slope_of(float max_bias, Pos head, Pos n_heads) {
  const auto n_head_log2 = static_cast<Pos>(1U << static_cast<unsigned>(std::floor(std::log2(n_heads))));
  const float m0 = std::pow(2.0F, -max_bias / static_cast<float>(n_head_log2));
  const float m1 = std::pow(2.0F, -(max_bias / 2.0F) / static_cast<float>(n_head_log2));
  return head < n_head_log2 ? std::pow(m0, static_cast<float>(head + 1))
                            : std::pow(m1, static_cast<float>(2 * (head - n_head_log2) + 1));
}

/// The value of the mask for one pair.
float mask_value(const AttentionCase& c, Random& random, Pos i, Pos j, bool row_hidden) {
  const Pos q_pos = c.p0 + i;
  switch (c.mask) {
    case MaskKind::kNone:
      return 0.0F;
    case MaskKind::kCausal:
    case MaskKind::kPaddedCausal:
      return j <= q_pos ? 0.0F : kHide;
    case MaskKind::kSlidingWindow:
      return j <= q_pos && j > q_pos - 1 - static_cast<Pos>(c.seed % 90) ? 0.0F : kHide;
    case MaskKind::kTwoSequences:
      return j <= q_pos && j % 2 == i % 2 ? 0.0F : kHide;
    case MaskKind::kRandom:
      return row_hidden || random.one_in(3) ? kHide : 0.0F;
    case MaskKind::kBias:
      return row_hidden || random.one_in(4) ? kHide : random.one_in(3) ? 0.0F : 2.0F * random.normal();
    case MaskKind::kHidesAll:
      return kHide;
  }
  return 0.0F;
}

std::vector<float> decode_row(ggml_type type, const std::byte* row, Pos dim) {
  std::vector<float> values(static_cast<std::size_t>(dim));
  if (type == GGML_TYPE_F32) {
    std::memcpy(values.data(), row, values.size() * sizeof(float));
  } else {
    ggml_get_type_traits(type)->to_float(row, values.data(), dim);
  }
  return values;
}

const std::byte* at(const ggml_tensor& t, Pos i, Pos head, Pos stream) {
  return static_cast<const std::byte*>(t.data) + i * t.nb[1] + head * t.nb[2] + stream * t.nb[3];
}

void set_n_threads(ggml_backend_t backend, int n_threads) {
  const auto reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(backend));
  using Set = void (*)(ggml_backend_t, int);
  reinterpret_cast<Set>(ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"))(backend, n_threads);
}

}  // namespace

bool AttentionCase::is_ours() const {
  return is_stored_by_us(k_type) && is_stored_by_us(v_type) && is_in_range(head_dim) && is_in_range(head_dim_v);
}

std::string AttentionCase::print() const {
  const auto field = [](const char* name, Pos value) { return std::string(", ") + name + " " + std::to_string(value); };
  return "seed " + std::to_string(seed) + field("head_dim", head_dim) + field("head_dim_v", head_dim_v) +
         field("n_heads", n_heads) + field("n_kv_heads", n_kv_heads) + field("q_len", q_len) + field("kv_len", kv_len) +
         field("n_streams", n_streams) + field("n_mask_heads", n_mask_heads) + field("p0", p0) + ", k " +
         ggml_type_name(k_type) + ", v " + ggml_type_name(v_type) + field("mask", static_cast<int>(mask)) +
         field("layout", static_cast<int>(layout)) + ", softcap " + std::to_string(softcap) + ", max_bias " +
         std::to_string(max_bias) + field("sinks", sinks) + field("v_in_k", v_in_k) + field("hint", hint);
}

AttentionCase draw_case(std::uint64_t seed) {
  Random random(seed);
  AttentionCase c;
  c.seed = seed;
  // All head sizes come up, the small ones most often.
  c.head_dim = seed % 3 == 0 ? 256 + 8 * static_cast<Pos>(seed / 3 % 41) : 32 + 8 * static_cast<Pos>(seed % 29);
  c.head_dim_v = random.one_in(4) ? 32 + 8 * random.between(0, 68) : c.head_dim;
  c.n_kv_heads = random.pick({1, 1, 2, 3});
  c.n_heads = c.n_kv_heads * random.pick({1, 1, 2, 4, 7});
  c.q_len = random.pick({1, 1, 1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 64, 65, 97, 130});
  c.n_streams = random.pick({1, 1, 1, 1, 2, 3});
  c.mask = static_cast<MaskKind>(random.between(0, 7));
  c.p0 = random.pick({0, 0, 1, 30, 127, 128, 300, 511});
  c.kv_len = c.p0 + c.q_len;
  if (c.mask == MaskKind::kPaddedCausal || c.mask == MaskKind::kSlidingWindow) c.kv_len = (c.kv_len + 255) / 256 * 256;
  if (c.mask == MaskKind::kRandom || c.mask == MaskKind::kBias) c.kv_len = random.between(1, 600);
  if (c.mask != MaskKind::kNone && random.one_in(8)) c.n_mask_heads = c.n_heads;
  if (random.one_in(2)) c.n_mask_streams = c.n_streams;
  const auto type = [&] {
    return random.pick({GGML_TYPE_F16, GGML_TYPE_F16, GGML_TYPE_F32, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0});
  };
  c.k_type = type();
  c.v_type = random.one_in(3) ? type() : c.k_type;
  c.layout = static_cast<Layout4>(random.between(0, 2));
  if (random.one_in(4)) c.softcap = random.pick({2.0F, 30.0F, 50.0F});
  c.gain = random.pick({0.5F, 1.0F, 1.0F, 3.0F});
  c.sinks = random.one_in(4);
  if (c.mask != MaskKind::kNone && random.one_in(4)) c.max_bias = random.pick({1.0F, 8.0F});
  c.hint = c.mask != MaskKind::kNone && random.one_in(3);
  if (random.one_in(10)) {
    c.v_in_k = true;
    c.head_dim_v = std::min(c.head_dim, c.head_dim_v);
    c.v_type = c.k_type;
  }
  switch (random.between(0, 39)) {  // some are not for us
    case 0:
      c.head_dim = random.pick({8, 24, 584, 640});
      break;
    case 1:
      c.head_dim = 160, c.k_type = random.pick({GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1});
      break;
    case 2:
      c.head_dim_v = 96, c.v_type = random.pick({GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1});
      break;
    default:
      break;
  }
  c.k_type = that_fits(c.k_type, c.head_dim);
  c.v_type = that_fits(c.v_type, c.head_dim_v);
  if (c.v_type != c.k_type || c.head_dim_v > c.head_dim) c.v_in_k = false;
  return c;
}

AttentionGraph::AttentionGraph(const AttentionCase& c) : case_(c) {
  context_ = ggml_init({ggml_tensor_overhead() * 32 + ggml_graph_overhead(), nullptr, true});
  q_ = new_input(GGML_TYPE_F32, c.head_dim, c.q_len, c.n_heads, c.layout);
  k_ = new_input(c.k_type, c.head_dim, c.kv_len, c.n_kv_heads, c.layout);
  v_ = c.v_in_k ? ggml_view_4d(context_, k_, c.head_dim_v, c.kv_len, c.n_kv_heads, c.n_streams, k_->nb[1], k_->nb[2],
                               k_->nb[3], 0)
                : new_input(c.v_type, c.head_dim_v, c.kv_len, c.n_kv_heads, c.layout);
  if (c.mask != MaskKind::kNone) {
    const Pos rows = c.layout == Layout4::kPaddedCache ? (c.q_len + 63) / 64 * 64 : c.q_len;
    mask_ = ggml_new_tensor_4d(context_, GGML_TYPE_F16, c.kv_len, rows, c.n_mask_heads, c.n_mask_streams);
  }
  node_ = ggml_flash_attn_ext(context_, q_, k_, v_, mask_, 1.0F / std::sqrt(static_cast<float>(c.head_dim)), c.max_bias,
                              c.softcap);
  if (c.sinks) ggml_flash_attn_ext_add_sinks(node_, ggml_new_tensor_1d(context_, GGML_TYPE_F32, c.n_heads));
  graph_ = ggml_new_graph(context_);
  ggml_build_forward_expand(graph_, node_);
  buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(context_, ggml_backend_cpu_buffer_type());
  if (buffer_ == nullptr) throw std::runtime_error("no memory for " + c.print());
  ggml_backend_buffer_clear(buffer_, 0xFF);  // NaN in every type, so that gaps between rows are noticed
  fill();
}

AttentionGraph::~AttentionGraph() {
  ggml_backend_buffer_free(buffer_);
  ggml_free(context_);
}

/// [dim, len, n_heads, n_streams], stored in one of three ways.
ggml_tensor* AttentionGraph::new_input(ggml_type type, Pos dim, Pos len, Pos n_heads, Layout4 layout) {
  if (layout == Layout4::kContiguous) return ggml_new_tensor_4d(context_, type, dim, len, n_heads, case_.n_streams);
  const Pos gap = layout == Layout4::kPaddedCache ? ggml_blck_size(type) * 2 : 0;
  const Pos room = layout == Layout4::kPaddedCache ? len + 3 : len;
  ggml_tensor* cache = ggml_new_tensor_3d(context_, type, n_heads * dim + gap, room, case_.n_streams);
  ggml_tensor* view = ggml_view_4d(context_, cache, dim, n_heads, len, case_.n_streams, ggml_row_size(type, dim),
                                   cache->nb[1], cache->nb[2], ggml_row_size(type, gap));
  return ggml_permute(context_, view, 0, 2, 1, 3);
}

void AttentionGraph::fill() {
  Random random(case_.seed + 1);
  for (ggml_tensor* tensor : {q_, k_, v_}) {
    if (tensor == v_ && case_.v_in_k) continue;
    std::vector<float> values(static_cast<std::size_t>(tensor->ne[0]));
    for (Pos stream = 0; stream < tensor->ne[3]; ++stream) {
      for (Pos head = 0; head < tensor->ne[2]; ++head) {
        for (Pos i = 0; i < tensor->ne[1]; ++i) {
          for (float& x : values) x = case_.gain * random.normal();
          auto* row = const_cast<std::byte*>(at(*tensor, i, head, stream));
          ggml_quantize_chunk(tensor->type, values.data(), row, 0, 1, tensor->ne[0], nullptr);
        }
      }
    }
  }
  for (Pos head = 0; case_.sinks && head < case_.n_heads; ++head) sink_scores()[head] = 3.0F * random.normal();
  if (mask_ == nullptr) return;
  Pos fullest = 0;
  for (Pos stream = 0; stream < mask_->ne[3]; ++stream) {
    for (Pos head = 0; head < mask_->ne[2]; ++head) {
      for (Pos i = 0; i < case_.q_len; ++i) {
        const bool row_hidden = random.one_in(9);
        auto* row = reinterpret_cast<std::uint16_t*>(const_cast<std::byte*>(at(*mask_, i, head, stream)));
        Pos shown = 0;
        for (Pos j = 0; j < case_.kv_len; ++j) {
          const float value = mask_value(case_, random, i, j, row_hidden);
          shown += value == kHide ? 0 : 1;
          row[j] = encode_f16(value);
        }
        fullest = std::max(fullest, shown);
      }
    }
  }
  if (case_.hint) ggml_flash_attn_ext_set_n_kv_max(node_, static_cast<std::int32_t>(fullest));
}

float* AttentionGraph::sink_scores() const { return static_cast<float*>(node_->src[4]->data); }

std::vector<float> AttentionGraph::run(ggml_backend_t backend) {
  std::memset(node_->data, 0xFF, ggml_nbytes(node_));
  if (ggml_backend_graph_compute(backend, graph_) != GGML_STATUS_SUCCESS)
    throw std::runtime_error("failed: " + case_.print());
  std::vector<float> out(static_cast<std::size_t>(ggml_nelements(node_)));
  std::memcpy(out.data(), node_->data, ggml_nbytes(node_));
  return out;
}

oracle::Inputs AttentionGraph::inputs(Pos stream, Pos head) const {
  oracle::Inputs in;
  in.q_len = case_.q_len;
  in.kv_len = case_.kv_len;
  in.n_heads = case_.n_heads;
  in.n_kv_heads = case_.n_kv_heads;
  in.head_dim = case_.head_dim;
  in.head_dim_v = case_.head_dim_v;
  in.scale = 1.0F / std::sqrt(static_cast<float>(case_.head_dim));
  const auto gather = [&](const ggml_tensor& t, std::vector<float>& out) {
    for (Pos i = 0; i < t.ne[1]; ++i) {
      for (Pos h = 0; h < t.ne[2]; ++h) {
        const std::vector<float> row = decode_row(t.type, at(t, i, h, stream), t.ne[0]);
        out.insert(out.end(), row.begin(), row.end());
      }
    }
  };
  gather(*q_, in.q);
  gather(*k_, in.k);
  gather(*v_, in.v);
  for (Pos h = 0; h < case_.n_heads; ++h) in.kv_head.push_back(static_cast<int>(h * case_.n_kv_heads / case_.n_heads));
  if (case_.sinks) in.sink_scores.assign(sink_scores(), sink_scores() + case_.n_heads);
  for (Pos h = 0; case_.max_bias > 0.0F && h < case_.n_heads; ++h) {
    in.slopes.push_back(slope_of(case_.max_bias, h, case_.n_heads));
  }
  if (mask_ == nullptr) return in;
  for (Pos i = 0; i < case_.q_len; ++i) {
    const std::vector<float> row =
        decode_row(GGML_TYPE_F16, at(*mask_, i, head % mask_->ne[2], stream % mask_->ne[3]), case_.kv_len);
    in.bias.insert(in.bias.end(), row.begin(), row.end());
  }
  return in;
}

ggml_backend_t cpu_backend(int n_threads) {
  static const ggml_backend_t backend = [] {
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == nullptr) ggml_backend_load_all();
    return ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
  }();
  set_n_threads(backend, n_threads);
  return backend;
}

ggml_backend_t our_backend(const std::string& spec, int n_threads, Precision precision) {
  cpu_backend(n_threads);  // ours asks for it
  llama::use_plan(std::make_shared<const Plan>(Plan::from_spec(spec).with_precision(precision)));
  static const ggml_backend_t backend = [] {
    const ggml_backend_t fresh = ggml_backend_init_by_name("Saccade", nullptr);
    AttentionCase wide;
    wide.q_len = 32;
    ggml_backend_supports_op(fresh, AttentionGraph(wide).node());  // what ends the probation of a new context
    return fresh;
  }();
  set_n_threads(backend, n_threads);
  return backend;
}

}  // namespace saccade::testing
