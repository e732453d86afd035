#pragma once

#include <memory>
#include <string>

#include "apps/saccade/model_file.h"
#include "saccade/plan/plan.h"

namespace saccade::app {

/// Which attention a run uses: one of our specs or plans, or llama.cpp's own.
struct Attention {
  std::string typed;                 ///< as the user wrote it
  std::string canonical;             ///< the same for the same attention, however it was written
  std::shared_ptr<const Plan> plan;  ///< null: llama.cpp's own
  bool flash = true;                 ///< llama.cpp's flash attention; always on for ours, which lives behind it

  bool ours() const { return plan != nullptr; }
  bool skips() const { return ours() && plan->skips_attention(); }
};

/// A spec, or the peers `ggml` and `ggml(fa=off)`. Errors: Fault::kUser, one line.
Attention attention_from_spec(const std::string& spec);
/// A plan file. Errors: Fault::kUser, one line that names the file.
Attention attention_from_plan(const std::string& path);

/// The same in the precision that the user asked for; llama.cpp's own attention has its own. Errors: as
/// parse_precision.
Attention in_precision(Attention attention, const std::string& word);
/// The same with the linear layers by whom the user asked for; beside llama.cpp's own attention they are its own.
/// Errors: as parse_linear.
Attention with_linear(Attention attention, const std::string& word);

/// Errors: Fault::kUser when the plan names a layer or head that the model does not have.
void check(const Attention& attention, const ModelFacts& model);

}  // namespace saccade::app
