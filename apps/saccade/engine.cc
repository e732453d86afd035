#include "apps/saccade/engine.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "apps/saccade/interrupt.h"
#include "apps/saccade/progress.h"
#include "plugins/llama/backend.h"
#include "saccade/base/error.h"

namespace saccade::app {
namespace {

/// llama.cpp's log: shown when verbose; its last error is kept, because its calls return only "no".
struct Log {
  bool verbose = false;
  std::string last_error;
};
Log& log() {
  static Log one;
  return one;
}

void on_log(ggml_log_level level, const char* text, void*) {
  if (log().verbose) std::fputs(text, stderr);
  if (level != GGML_LOG_LEVEL_ERROR) return;
  std::string line = text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (!line.empty()) log().last_error = line;
}

std::string why() { return log().last_error.empty() ? "no reason given" : log().last_error; }

[[noreturn]] void on_abort(const char* message) {
  std::fprintf(stderr, "saccade: llama.cpp gave up: %s\n", message);
  std::_Exit(3);
}

void start_llama(bool verbose) {
  log() = {.verbose = verbose, .last_error = ""};
  llama_log_set(on_log, nullptr);
  ggml_set_abort_callback(on_abort);
  llama_backend_init();
  if (ggml_backend_reg_count() == 0) ggml_backend_load_all();
}

/// Requires a buffer function as llama.h has them: fills, or says the size it needs.
template <class Write>
std::string written(Write write) {
  std::string text(64, '\0');
  int n = write(text.data(), static_cast<int>(text.size()));
  if (n < 0) {
    text.resize(static_cast<std::size_t>(-n));
    n = write(text.data(), -n);
  }
  text.resize(static_cast<std::size_t>(std::max(n, 0)));
  return text;
}

}  // namespace

Model::Model(const std::string& path, ModelFacts facts, bool verbose, const Attention& first)
    : path_(path), facts_(std::move(facts)) {
  start_llama(verbose);
  // Before any model is loaded, so that every model and context sees the same devices, whatever its attention.
  llama::use_plan(first.plan);
  load();
}

llama_model* Model::under(const Attention& attention) const {
  llama::use_plan(attention.plan);
  if (llama::places_weights() != placed_) load();
  return model_.get();
}

void Model::load() const {
  model_.reset();  // first, so that there is memory for one
  placed_ = llama::places_weights();
  auto params = llama_model_default_params();
  ggml_backend_dev_t no_devices[] = {nullptr};
  params.devices = no_devices;  // the CPU and what helps it
  params.n_gpu_layers = 0;
  Progress progress("loading the model", 100);
  params.progress_callback = [](float share, void* user) {
    static_cast<Progress*>(user)->at(static_cast<std::int64_t>(100 * share));
    return !interrupted();
  };
  params.progress_callback_user_data = &progress;
  model_.reset(llama_model_load_from_file(path_.c_str(), params));
  stop_if_interrupted();
  if (!model_) fail_user(fmt::format("model {}: llama.cpp refuses it: {}", path_, why()));
  if (!llama_model_has_decoder(model_.get()) || llama_model_has_encoder(model_.get()))
    fail_user(fmt::format("model {}: only decoder models can be run", path_));
  vocab_ = llama_model_get_vocab(model_.get());
  if (n_vocab() <= 0) fail_user(fmt::format("model {}: it has no vocabulary", path_));
}

int Model::n_vocab() const { return llama_vocab_n_tokens(vocab_); }
bool Model::ends(Token token) const { return llama_vocab_is_eog(vocab_, token); }

Tokens Model::tokenize(std::string_view text, bool special) const {
  if (text.empty()) return {};
  const auto size = static_cast<std::int32_t>(text.size());
  Tokens tokens(text.size() / 3 + 16);
  for (;;) {
    const auto n = llama_tokenize(vocab_, text.data(), size, tokens.data(), static_cast<std::int32_t>(tokens.size()),
                                  false, special);
    if (n == INT32_MIN) fail_user("the text is too long to be cut into tokens");
    const bool enough = n >= 0;
    tokens.resize(static_cast<std::size_t>(enough ? n : -n));
    if (enough) return tokens;
  }
}

Tokens Model::begin() const {
  const auto bos = llama_vocab_bos(vocab_);
  return llama_vocab_get_add_bos(vocab_) && bos != LLAMA_TOKEN_NULL ? Tokens{bos} : Tokens{};
}

std::string Model::piece(Token token) const {
  return written([&](char* out, int size) { return llama_token_to_piece(vocab_, token, out, size, 0, false); });
}

std::string Model::name(Token token) const {
  return written([&](char* out, int size) { return llama_token_to_piece(vocab_, token, out, size, 0, true); });
}

ChatFrame Model::chat_frame() const {
  const char* chat_template = llama_model_chat_template(model_.get(), nullptr);
  if (chat_template == nullptr) fail_user("this model has no chat template: use --raw");
  const std::string mark = "SACCADE-PUTS-THE-TEXT-HERE";
  const llama_chat_message message{"user", mark.c_str()};
  std::string framed(4096, '\0');
  int n = 0;
  for (int round = 0; round < 2; ++round) {
    n = llama_chat_apply_template(chat_template, &message, 1, true, framed.data(), static_cast<int>(framed.size()));
    if (n <= static_cast<int>(framed.size())) break;
    framed.resize(static_cast<std::size_t>(n));
  }
  framed.resize(static_cast<std::size_t>(std::max(n, 0)));
  const auto at = framed.find(mark);
  if (n < 0 || at == std::string::npos)
    fail_user("this model's chat template is not one that llama.cpp knows: use --raw");
  return {framed.substr(0, at), framed.substr(at + mark.size())};
}

Context::Context(const Model& model, const Attention& attention, const ContextOptions& options)
    : model_(model), n_ubatch_(std::min(options.n_ubatch, options.n_ctx)), see_hidden_(options.see_hidden) {
  llama_model* loaded = model.under(attention);
  auto params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(options.n_ctx);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(n_ubatch_);
  params.n_threads = params.n_threads_batch = options.n_threads;
  params.flash_attn_type = attention.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.offload_kqv = params.op_offload = false;
  if (options.yarn > 1) {  // YaRN, arXiv:2309.00071, as llama.cpp has it
    params.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_YARN;
    params.rope_freq_scale = static_cast<float>(1 / options.yarn);
    params.yarn_orig_ctx = static_cast<std::uint32_t>(model.facts().n_ctx_train);
  }
  params.swa_full = false;
  params.abort_callback = [](void*) { return interrupted(); };
  if (see_hidden_) params.cb_eval = on_eval, params.cb_eval_user_data = this;
  context_.reset(llama_init_from_model(loaded, params));
  if (!context_) fail_machine(fmt::format("no context of {} tokens: {}", options.n_ctx, why()));
}

bool Context::on_eval(ggml_tensor* tensor, bool ask, void* user) {
  const std::string_view name = tensor->name, mark = "l_out-";  // llama.cpp's name of a layer's output
  if (!name.starts_with(mark) || tensor->type != GGML_TYPE_F32) return !ask;
  if (ask) return true;
  const auto& context = *static_cast<const Context*>(user);
  int layer = -1;
  std::from_chars(name.data() + mark.size(), name.data() + name.size(), layer);
  const auto* rows = static_cast<const float*>(tensor->data);
  const auto size = static_cast<std::size_t>(ggml_nelements(tensor));
  if (layer >= 0 && tensor->ne[1] == context.n_batch_)
    context.see_hidden_(layer, context.n_past_, {rows, size}, tensor->ne[1]);
  return true;
}

int Context::n_ctx() const { return static_cast<int>(llama_n_ctx(context_.get())); }

void Context::decode(std::span<const Token> tokens, const std::vector<bool>& wanted) {
  const auto n = static_cast<std::int32_t>(tokens.size());
  // Filled by hand: llama_batch_init would allocate and free five arrays a token.
  std::vector<Token> copy(tokens.begin(), tokens.end());
  std::vector<llama_pos> positions(tokens.size());
  std::vector<std::int32_t> n_sequences(tokens.size(), 1);
  llama_seq_id sequence = 0;
  std::vector<llama_seq_id*> sequences(tokens.size(), &sequence);
  std::vector<std::int8_t> outputs(tokens.size(), 0);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    positions[i] = n_past_ + static_cast<llama_pos>(i);
    outputs[i] = wanted.empty() ? i + 1 == tokens.size() : wanted[i];
  }
  const llama_batch batch{
      n, copy.data(), nullptr, positions.data(), n_sequences.data(), sequences.data(), outputs.data()};
  n_batch_ = n;
  stop_if_interrupted();
  const int result = llama_decode(context_.get(), batch);
  llama_synchronize(context_.get());
  stop_if_interrupted();
  if (result == 1) fail_machine(fmt::format("no room for {} more tokens after {}", n, n_past_));
  if (result != 0) fail_machine(fmt::format("llama.cpp cannot compute: {} (code {})", why(), result));
  n_past_ += n;
}

std::span<const float> Context::logits(int i) const {
  const float* row = llama_get_logits_ith(context_.get(), i);
  if (row == nullptr) fail_machine(fmt::format("llama.cpp kept no logits: {}", why()));
  return {row, static_cast<std::size_t>(model_.n_vocab())};
}

bool Context::keep(int n_keep) {
  if (n_keep >= n_past_) return true;
  auto* memory = llama_get_memory(context_.get());
  const int window = llama_model_n_swa(model_.get());
  // A sliding-window cache dropped what was outside the window of its last token, which an earlier token would need.
  const bool forgot = window > 0 && llama_memory_seq_pos_min(memory, 0) > std::max(0, n_keep - window);
  if (n_keep <= 0 || forgot || !llama_memory_seq_rm(memory, 0, n_keep, -1)) {
    clear();
    return n_keep <= 0;
  }
  n_past_ = n_keep;
  return true;
}

void Context::clear() {
  llama_memory_clear(llama_get_memory(context_.get()), true);
  n_past_ = 0;
}

void Context::warm_up(std::span<const Token> tokens) {
  decode(tokens.first(std::min<std::size_t>({tokens.size(), 32, static_cast<std::size_t>(n_ubatch_)})));
  if (n_past_ < n_ctx()) decode(tokens.first(1));
  clear();
}

std::size_t Context::kv_bytes() const { return llama_state_seq_get_size(context_.get(), 0); }

std::vector<std::uint8_t> Context::state() const {
  std::vector<std::uint8_t> bytes(kv_bytes());
  const auto n = llama_state_seq_get_data(context_.get(), bytes.data(), bytes.size(), 0);
  if (n == 0) fail_machine(fmt::format("llama.cpp cannot copy its keys and values: {}", why()));
  bytes.resize(n);
  return bytes;
}

bool Context::set_state(std::span<const std::uint8_t> state, int n_tokens) {
  clear();
  if (llama_state_seq_set_data(context_.get(), state.data(), state.size(), 0) == 0 ||
      llama_memory_seq_pos_max(llama_get_memory(context_.get()), 0) + 1 != n_tokens) {
    clear();
    return false;
  }
  n_past_ = n_tokens;
  return true;
}

int default_threads() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::clamp(CPU_COUNT(&cores), 1, 512);
}

std::int64_t round_ctx(std::int64_t n_tokens) { return (n_tokens + 255) / 256 * 256; }

}  // namespace saccade::app
