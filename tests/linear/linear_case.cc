#include "tests/linear/linear_case.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "saccade/kernel/linear_bf16.h"
#include "saccade/kernel/linear_few.h"
#include "saccade/linear/few.h"
#include "tests/support/attend_case.h"
#include "tests/support/random.h"

namespace saccade::testing {

ggml_type ggml_type_of(ParamFormat type) {
  switch (type) {
    case ParamFormat::q4_0:
    case ParamFormat::q4_0x8:
      return GGML_TYPE_Q4_0;
    case ParamFormat::q4_1:
      return GGML_TYPE_Q4_1;
    case ParamFormat::q5_0:
      return GGML_TYPE_Q5_0;
    case ParamFormat::q5_1:
      return GGML_TYPE_Q5_1;
    case ParamFormat::q8_0:
      return GGML_TYPE_Q8_0;
    case ParamFormat::q4_k:
    case ParamFormat::q4_kx8:
      return GGML_TYPE_Q4_K;
    case ParamFormat::q5_k:
      return GGML_TYPE_Q5_K;
    case ParamFormat::q6_k:
      return GGML_TYPE_Q6_K;
    case ParamFormat::f16:
      return GGML_TYPE_F16;
    case ParamFormat::bf16:
      return GGML_TYPE_BF16;
  }
  return GGML_TYPE_COUNT;
}

namespace {

ggml_backend_t cpu() {
  static const ggml_backend_t backend = [] {
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == nullptr) ggml_backend_load_all();
    ggml_backend_t made = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
    ggml_backend_cpu_set_n_threads(made, 2);
    return made;
  }();
  return backend;
}

}  // namespace

ggml_backend_buffer_type_t repack_buffer_type() {
  ggml_backend_dev_t device = ggml_backend_get_device(cpu());
  const auto extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  for (ggml_backend_buffer_type_t* type = extra == nullptr ? nullptr : extra(device); type != nullptr && *type;
       ++type) {
    if (std::string(ggml_backend_buft_name(*type)) == "CPU_REPACK") return *type;
  }
  return nullptr;
}

std::vector<std::byte> stored_params(ggml_type type, const std::vector<std::byte>& quantised, Pos n_rows, Pos dim,
                                     ggml_backend_buffer_type_t buffer_type) {
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 2, nullptr, true});
  ggml_tensor* params = ggml_new_tensor_2d(context, type, dim, n_rows);
  ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, buffer_type);
  std::vector<std::byte> stored;
  if (params->extra != nullptr) {
    ggml_backend_tensor_set(params, quantised.data(), 0, quantised.size());
    const auto* data = static_cast<const std::byte*>(params->data);
    stored.assign(data, data + quantised.size());
  }
  ggml_backend_buffer_free(buffer);
  ggml_free(context);
  return stored;
}

std::ostream& operator<<(std::ostream& out, const LinearCase& c) {
  return out << "seed " << c.seed << ": " << block_of(c.type).name << ", " << c.n_tokens << " tokens, " << c.n_rows
             << " rows, dim " << c.dim << ", gaps " << c.x_gap << " and " << c.y_gap << ", gain " << c.gain
             << (c.spikes ? ", spikes" : "") << ", team " << c.team << ", " << (c.few ? "few" : name_of(c.precision));
}

LinearCase draw_linear_case(std::uint64_t seed, Precision precision) {
  Random random(seed);
  LinearCase c{.seed = seed, .precision = precision};
  c.type = static_cast<ParamFormat>(seed % kParamFormats);
  const int block = block_of(c.type).n_params;
  c.dim =
      block == 256 ? 256 * random.between(1, 5) : block * random.pick<Pos>({1, 2, 3, 7, 8, 9, 15, 16, 17, 28, 31, 33});
  if (block == 1) c.dim = random.one_in(2) ? random.between(1, 64) : random.between(65, 900);
  c.n_tokens = random.pick<Pos>({1, 2, 3, 5, 6, 7, 12, 31, 32, 33, 64, 97, 200});
  c.n_rows = random.pick<Pos>({1, 2, 15, 16, 17, 48, 63, 64, 65, 100, 128, 129, 200});
  const int together = block_of(c.type).n_rows;
  c.n_rows = (c.n_rows + together - 1) / together * together;
  if (random.one_in(2)) c.x_gap = random.between(1, 40);
  if (random.one_in(2)) c.y_gap = random.between(1, 40);
  c.gain = random.pick({0.01F, 1.0F, 1.0F, 100.0F});
  c.spikes = random.one_in(4);
  c.team = static_cast<int>(random.between(1, 3));
  return c;
}

LinearCase draw_few_case(std::uint64_t seed) {
  std::uint64_t drawn = seed;
  while (!kernel::is_few(static_cast<ParamFormat>(drawn % kParamFormats))) ++drawn;
  LinearCase c = draw_linear_case(drawn, Precision::kAuto);
  c.few = true;
  c.n_tokens = Random(seed).between(1, 40);
  return c;
}

LinearProblem::LinearProblem(const LinearCase& c) : case_(c) {
  Random random(c.seed + 1);
  const auto draw = [&](float gain) { return random.normal() * gain * (c.spikes && random.one_in(40) ? 30.0F : 1.0F); };
  in_.n_tokens = c.n_tokens, in_.n_rows = c.n_rows, in_.dim = c.dim;
  for (Pos i = 0; i < c.n_tokens * c.dim; ++i) in_.x.push_back(draw(c.gain));
  std::vector<float> params;
  for (Pos i = 0; i < c.n_rows * c.dim; ++i) params.push_back(draw(0.02F));
  const ggml_type type = ggml_type_of(c.type);
  params_.resize(static_cast<std::size_t>(c.n_rows) * ggml_row_size(type, c.dim));
  ggml_quantize_chunk(type, params.data(), params_.data(), 0, c.n_rows, c.dim, nullptr);
  in_.params.resize(params.size());
  ggml_get_type_traits(type)->to_float(params_.data(), in_.params.data(), c.n_rows * c.dim);
  stored_ =
      block_of(c.type).n_rows == 1 ? params_ : stored_params(type, params_, c.n_rows, c.dim, repack_buffer_type());
  if (stored_.empty()) throw std::runtime_error("ggml repacks no such weights");
}

ParamView LinearProblem::params() const {
  return {stored_.data(), case_.type, case_.n_rows, case_.dim, param_bytes(case_.type, case_.dim)};
}

void LinearProblem::set_token(Pos t, const std::vector<float>& values) {
  std::copy(values.begin(), values.end(), in_.x.begin() + t * case_.dim);
}

std::vector<float> LinearProblem::run(int team) const {
  static LinearWorkspace used;  // full of the last call's leftovers
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Pos x_stride = case_.dim + case_.x_gap, y_stride = case_.n_rows + case_.y_gap;
  std::vector<float> x(static_cast<std::size_t>(case_.n_tokens * x_stride), nan);
  std::vector<float> y(static_cast<std::size_t>(case_.n_tokens * y_stride), nan);
  for (Pos t = 0; t < case_.n_tokens; ++t) std::copy_n(in_.token(t), case_.dim, x.begin() + t * x_stride);
  const LinearProduct product{params(), y.data(), y_stride};
  const LinearCall call{x.data(), x_stride, case_.n_tokens, case_.dim, {&product, 1}, case_.precision};
  case_.few ? linear_few(call, team_of(team), used) : linear(call, team_of(team), used);
  std::vector<float> out;
  for (Pos t = 0; t < case_.n_tokens; ++t) {
    out.insert(out.end(), y.begin() + t * y_stride, y.begin() + t * y_stride + case_.n_rows);
    for (Pos gap = case_.n_rows; gap < y_stride; ++gap) {
      EXPECT_TRUE(std::isnan(y[static_cast<std::size_t>(t * y_stride + gap)])) << "written behind row " << t;
    }
  }
  return out;
}

std::vector<float> LinearProblem::run_ggml() const {
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true});
  ggml_tensor* w = ggml_new_tensor_2d(context, ggml_type_of(case_.type), case_.dim, case_.n_rows);
  ggml_tensor* x = ggml_new_tensor_2d(context, GGML_TYPE_F32, case_.dim, case_.n_tokens);
  ggml_tensor* y = ggml_mul_mat(context, w, x);
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, y);
  ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(context, ggml_backend_cpu_buffer_type());
  std::memcpy(w->data, params_.data(), params_.size());
  std::memcpy(x->data, in_.x.data(), in_.x.size() * sizeof(float));
  const ggml_status status = ggml_backend_graph_compute(cpu(), graph);
  std::vector<float> out(static_cast<std::size_t>(ggml_nelements(y)));
  std::memcpy(out.data(), y->data, ggml_nbytes(y));
  ggml_backend_buffer_free(buffer);
  ggml_free(context);
  if (status != GGML_STATUS_SUCCESS) throw std::runtime_error("ggml failed");
  return out;
}

Expected LinearProblem::expect(Pos t) const {
  const auto row_of = [](const auto& values) {
    oracle::Row<double> row;
    row.o.assign(values.begin(), values.end());
    return row;
  };
  Expected expected{t, 0, row_of(oracle::linear_token(in_, t))};
  double token = 0;
  for (Pos d = 0; d < case_.dim; ++d) token += double{in_.token(t)[d]} * double{in_.token(t)[d]};
  for (Pos r = 0; r < case_.n_rows; ++r) {  // of what is added up: |x| |params|
    double row = 0;
    for (Pos d = 0; d < case_.dim; ++d) row += double{in_.row(r)[d]} * double{in_.row(r)[d]};
    expected.size = std::max(expected.size, std::sqrt(row * token));
  }
  const auto rounded = [this, t](Pos order) {
    if (case_.few) return oracle::linear_token_few(in_, t, order);
    return linear_precision(case_.precision) == Precision::kBf16
               ? oracle::linear_token_bf16(in_, t, kernel::terms_of(case_.type), order)
               : oracle::linear_token_fixed(in_, t, order);
  };
  expected.plain = [rounded](Pos order) {
    const std::vector<double> plain = rounded(order);
    oracle::Row<float> row;
    row.o.assign(plain.begin(), plain.end());
    return row;
  };
  expected.compare_with(row_of(rounded(0)));
  return expected;
}

}  // namespace saccade::testing
