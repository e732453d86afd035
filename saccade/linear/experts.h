#pragma once

#include <cstddef>
#include <cstdint>

#include "saccade/base/team.h"
#include "saccade/base/view.h"
#include "saccade/linear/linear.h"

namespace saccade {

/// The matrices of a mixture of experts, one behind the other, and which of them each token is sent to.
struct ExpertsCall {
  const float* x = nullptr;          ///< [n_tokens, n_slots, dim]
  std::ptrdiff_t x_stride = 0;       ///< floats from one token to the next
  std::ptrdiff_t x_slot_stride = 0;  ///< floats from one slot to the next; 0: the slots of a token read the same

  const std::int32_t* experts = nullptr;  ///< [n_tokens, n_slots]: the expert of each slot, in [0, n_experts)
  std::ptrdiff_t experts_stride = 0;      ///< from one token to the next

  ParamView params;                  ///< of the first expert, [n_rows, dim]
  std::ptrdiff_t expert_stride = 0;  ///< bytes to the next expert's
  Pos n_experts = 0;

  float* y = nullptr;                ///< [n_tokens, n_slots, params.n_rows]
  std::ptrdiff_t y_stride = 0;       ///< floats from one token to the next
  std::ptrdiff_t y_slot_stride = 0;  ///< and from one slot to the next

  Pos n_tokens = 0, n_slots = 0;
  Precision precision = Precision::kAuto;  ///< as in LinearCall
};

/// linear() for a mixture of experts: each token times the matrices it is sent to. Tokens are sorted by expert, and an
/// expert's parameters are decoded once for all of its tokens (for every 1,024 of them); experts without tokens are not
/// read.
///   y[t][s][r] = sum over d of params[experts[t][s]][r][d] x[t][s][d]
///
/// Shapes    as in ExpertsCall; no tokens, slots or rows: nothing is written
/// Requires  as linear()
/// Errors    as linear(); Fault::kUser for an expert that there is not
/// Accuracy  the bits of linear() with the expert's matrix
/// Cost      2 n_tokens n_slots dim n_rows FLOP, and the decoding of the experts in use; scratch 2 dim bytes for each
///           of at most 1,024 pairs of a token and a slot (in bf16 terms as in linear(), and up to 15 more for each
///           expert), 12 bytes for all others, and 300 KiB a worker, in bf16 776 KiB. The bits of y do not depend on
///           the team's size
void linear_experts(const ExpertsCall& call, Team& team, LinearWorkspace& workspace);

}  // namespace saccade
