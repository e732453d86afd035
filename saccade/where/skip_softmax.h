#pragma once

#include <string>

#include "saccade/base/error.h"
#include "saccade/where/parts/selection.h"

namespace saccade::where {

/// Joined to others by +: of the keys they show, the faint ones are not weighed one by one. Once scores are known, a
/// run of 8 keys goes as a whole where each of them weighs less than `share` of what each of 16 rows has summed so far:
/// by the mean of its values, and by its largest weight times what runs of the row that were weighed come to, over
/// their largest. So faint keys are found by the scores themselves, where selectors have to guess, and cost half.
///
/// Only i16 does so; other precisions, decode steps and ragged edges weigh every key.
///
/// Accuracy  each key taken so weighs less than `share` of its row; together they err by what their weights and values
///           vary within runs (docs/fidelity.md; oracle/skip_softmax.h is the definition)
/// Cost      scores of all keys shown, 1/8 of the weights and products of the faint ones
/// Source    BLASST, arXiv:2512.12087, and before it stage 2 of SpargeAttn, arXiv:2502.18137, which drop blocks of keys
///           far below the row's largest weight. Deviations: a share of the sum, so that one number does for rows that
///           look at three keys and for rows that look at thousands (longer texts want a smaller one all the same);
///           runs, not blocks; and nothing is dropped, which at an equal share adds a quarter of the KL
struct SkipSoftmax {
  double share = 0.002;

  static constexpr SelectTraits kTraits{
      .prefill = false, .decode = false, .exact_on_selection = false, .needle = false};

  double skips() const { return share; }
  void fields(auto& f) { f("share", share, "of what a row has summed so far, below which keys go by runs of 8"); }
  void check() const {
    if (!(share > 0 && share <= 1))
      fail_user("where/skip_softmax: share must be > 0 and <= 1, got " + std::to_string(share));
  }
};

}  // namespace saccade::where
