#pragma once

#include <llama.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/saccade/attention.h"
#include "apps/saccade/model_file.h"
#include "saccade/base/view.h"

namespace saccade::app {

using Token = llama_token;
using Tokens = std::vector<Token>;

/// What a chat template writes around the user's message.
struct ChatFrame {
  std::string before, after;
};

/// llama.cpp's model, on the CPU. Its own log is silent unless `verbose`; its abort becomes one line and exit code 3.
///
/// Errors: Fault::kUser when llama.cpp refuses the file; Fault::kMachine when memory runs out.
class Model {
 public:
  /// `first`: the attention that it will run under first.
  Model(const std::string& path, ModelFacts facts, bool verbose, const Attention& first);

  const ModelFacts& facts() const { return facts_; }
  int n_vocab() const;
  bool ends(Token token) const;  ///< a token that ends the answer
  /// `special`: control tokens written in the text are read as such. No token is added.
  Tokens tokenize(std::string_view text, bool special) const;
  Tokens begin() const;                  ///< the beginning-of-text token, where the model wants one
  std::string piece(Token token) const;  ///< its bytes; maybe part of a character; "" of a control token
  std::string name(Token token) const;   ///< the same, but a control token's own name, e.g. "<|im_end|>"
  ChatFrame chat_frame() const;  ///< Errors: Fault::kUser when there is no template, or none that llama.cpp knows
  llama_model* get() const { return model_.get(); }
  /// With its weights where this attention, which is in force from now on, reads them. On a CPU with AMX that may take
  /// loading it once more, for which no Context may live: there ggml's linear layers and ours have their own places.
  llama_model* under(const Attention& attention) const;

 private:
  struct Free {
    void operator()(llama_model* model) const { llama_model_free(model); }
  };
  void load() const;

  std::string path_;
  ModelFacts facts_;
  mutable std::unique_ptr<llama_model, Free> model_;
  mutable const llama_vocab* vocab_ = nullptr;
  mutable bool placed_ = false;  ///< its weights: llama::places_weights()
};

/// Called with what each layer made of each token of a batch, as it is computed: rows [n_tokens, n_embd] of the tokens
/// from position `first` on. The last layer, of which only the wanted tokens are computed, is seen when those are all.
using SeeHidden = std::function<void(int layer, Pos first, std::span<const float> rows, Pos n_tokens)>;

struct ContextOptions {
  int n_ctx = 0, n_threads = 1, n_ubatch = 1024;
  double yarn = 1;       ///< the context is stretched by this factor
  SeeHidden see_hidden;  ///< empty: nobody looks
};

/// One sequence of tokens with its keys and values, under one attention.
/// Only one Context lives at a time, because ggml's registry, where our attention sits, is global.
///
/// Errors of every call: Fault::kMachine; `Interrupted` after Ctrl-C.
class Context {
 public:
  Context(const Model& model, const Attention& attention, const ContextOptions& options);
  Context(const Context&) = delete;  // llama.cpp knows where it lies
  Context& operator=(const Context&) = delete;

  int n_ctx() const;
  int n_ubatch() const { return n_ubatch_; }
  /// Appends tokens, at most n_ubatch, and computes logits where `wanted` is true (empty: at the last one only).
  void decode(std::span<const Token> tokens, const std::vector<bool>& wanted = {});
  /// Of the i-th token of the last decode, which must have been wanted.
  std::span<const float> logits(int i) const;

  int n_past() const { return n_past_; }
  /// Forgets everything from position `n_keep` on. False: this memory cannot (it forgot what comes before), and is
  /// empty.
  bool keep(int n_keep);
  void clear();
  /// A small prompt and a single token, then forgotten: the first call pays for threads and pages.
  void warm_up(std::span<const Token> tokens);

  std::size_t kv_bytes() const;
  std::vector<std::uint8_t> state() const;
  /// False, and empty, when the state does not fit.
  bool set_state(std::span<const std::uint8_t> state, int n_tokens);

 private:
  struct Free {
    void operator()(llama_context* context) const { llama_free(context); }
  };
  const Model& model_;
  std::unique_ptr<llama_context, Free> context_;
  static bool on_eval(ggml_tensor* tensor, bool ask, void* user);

  int n_past_ = 0, n_ubatch_ = 0;
  std::int64_t n_batch_ = 0;  ///< tokens of the batch at hand
  SeeHidden see_hidden_;
};

/// Cores this process may use.
int default_threads();

/// Up to a whole number of 256, the size in which llama.cpp hands out its context.
std::int64_t round_ctx(std::int64_t n_tokens);

}  // namespace saccade::app
