// Loads a model as any program does, through the plug-in's devices, reads a prompt and answers; prints where its
// weights lie, what it took and what came out, as one line of JSON. placement_test.py compares sides with it, each in a
// process of its own.
//   placed MODEL stock|placed|ggml N_PROMPT N_ANSWER [LORA]
// stock: weights where ggml puts them; placed: as on a CPU whose AMX code would hide them; ggml: that, but linear
// layers are ggml's.

#include <fmt/format.h>
#include <llama.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/saccade/engine.h"
#include "apps/saccade/model_file.h"
#include "plugins/llama/backend.h"

namespace {

std::string buffers;  // as JSON pairs: megabytes by name

void on_log(ggml_log_level, const char* text, void*) {
  const std::string_view line = text, mark = " model buffer size = ";
  const std::size_t at = line.find(mark);
  if (at == std::string_view::npos) return;
  const std::size_t name = line.rfind(' ', at - 1) + 1;
  buffers += fmt::format("{}\"{}\": {}", buffers.empty() ? "" : ", ", line.substr(name, at - name),
                         std::strtod(text + at + mark.size(), nullptr));
}

template <class Work>
double seconds(Work work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void decode(llama_context* context, std::vector<llama_token> tokens) {
  if (llama_decode(context, llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()))) != 0) std::exit(3);
  llama_synchronize(context);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::string_view side = argv[2];
  const int n_prompt = std::atoi(argv[3]), n_answer = std::atoi(argv[4]);
  llama_log_set(on_log, nullptr);
  llama_backend_init();
  if (side != "stock") saccade::llama::pretend_ggml_hides_weights();
  const auto dense = saccade::app::attention_from_spec("dense"), ggmls = saccade::app::with_linear(dense, "ggml");
  saccade::llama::use_plan(side == "placed" ? dense.plan : ggmls.plan);

  std::unique_ptr<llama_model, void (*)(llama_model*)> loaded(nullptr, llama_model_free);
  std::unique_ptr<saccade::app::Model> app_model;
  if (side == "again") {
    app_model = std::make_unique<saccade::app::Model>(argv[1], saccade::app::read_model_file(argv[1]), false, ggmls);
    llama_log_set(on_log, nullptr);
    if (app_model->under(ggmls) != app_model->get() || !buffers.empty()) return 3;  // it was under that already
    app_model->under(dense);
  } else {
    auto model_params = llama_model_default_params();
    model_params.n_gpu_layers = 0;
    loaded.reset(llama_model_load_from_file(argv[1], model_params));
  }
  saccade::llama::use_plan(side == "ggml" ? ggmls.plan : dense.plan);
  llama_model* model = app_model ? app_model->get() : loaded.get();
  auto params = llama_context_default_params();
  params.n_ctx = static_cast<unsigned>(n_prompt + n_answer + 64);
  params.n_batch = params.n_ubatch = 512;
  params.n_threads = params.n_threads_batch = 2;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  llama_context* context = model == nullptr ? nullptr : llama_init_from_model(model, params);
  if (context == nullptr) return 3;
  if (argc > 5) {
    llama_adapter_lora* lora = llama_adapter_lora_init(model, argv[5]);
    float strength = 1.0F;
    if (lora == nullptr || llama_set_adapters_lora(context, &lora, 1, &strength) != 0) return 3;
  }

  const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::vector<llama_token> prompt;
  for (int i = 0; i < n_prompt; ++i) prompt.push_back((i * 7919 + 13) % std::min(n_vocab, 30000));
  const double prompt_s = seconds([&] {
    for (std::size_t at = 0; at < prompt.size(); at += 512)
      decode(context, {prompt.begin() + static_cast<std::ptrdiff_t>(at),
                       prompt.begin() + static_cast<std::ptrdiff_t>(std::min(prompt.size(), at + 512))});
  });
  const float* logits = llama_get_logits_ith(context, -1);
  std::string first, answer;
  for (int i = 0; i < n_vocab; i += std::max(1, n_vocab / 1000))
    first += fmt::format("{}{}", i == 0 ? "" : ", ", logits[i]);
  double answer_s = 0;
  for (int i = 0; i < n_answer; ++i) {
    const float* row = llama_get_logits_ith(context, -1);
    const auto token = static_cast<llama_token>(std::max_element(row, row + n_vocab) - row);
    answer += fmt::format("{}{}", i == 0 ? "" : ", ", token);
    answer_s += seconds([&] { decode(context, {token}); });
  }
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto record = saccade::llama::record();
  fmt::print(
      "{{\"side\": \"{}\", \"buffers\": {{{}}}, \"linear_calls\": {}, \"linear_ms\": {:.1f}, \"peak_mib\": {}, "
      "\"prompt_tokens_per_s\": "
      "{:.1f}, "
      "\"answer_tokens_per_s\": {:.2f}, \"answer\": [{}], \"logits\": [{}]}}\n",
      side, buffers, record.linear_calls, 1e-6 * static_cast<double>(record.linear_ns), used.ru_maxrss / 1024,
      n_prompt / prompt_s, n_answer / answer_s, answer, first);
  llama_free(context);
}
