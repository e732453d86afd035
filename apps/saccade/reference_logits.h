#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "apps/saccade/resume_file.h"

namespace saccade::app {

/// The reference's logits at the sampled positions; 4 n_positions n_vocab bytes. They are kept beside the rows of
/// --resume, in PATH.reference.
struct ReferenceLogits {
  std::size_t n_positions = 0, n_vocab = 0;
  std::vector<float> values;
  std::span<const float> row(std::size_t i) const { return std::span(values).subspan(i * n_vocab, n_vocab); }

  /// False when there are none for this comparison, or they are damaged.
  bool load(const ResumeFile& resume);
  /// Errors: Fault::kMachine when they cannot be written.
  void save(const ResumeFile& resume) const;
};

}  // namespace saccade::app
