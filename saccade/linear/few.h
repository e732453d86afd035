#pragma once

#include "saccade/linear/linear.h"

namespace saccade {

/// Can this CPU, on the target in force, multiply few tokens by parameters of this type? False leaves them to linear(),
/// and halves and what ggml repacked, which others multiply as fast as they are read, to those.
bool can_multiply_few(ParamFormat type, Pos dim) noexcept;

/// linear() for a decode step or a few of them: parameters are multiplied as the whole numbers that they are stored as,
/// and reading them is what takes the time.
///
/// Shapes    as linear(); call.precision has no say
/// Requires  as linear()
/// Errors    Fault::kUser: sizes that do not fit together, a product that can_multiply_few declines; std::bad_alloc,
///           before anything is written
/// Accuracy  each 4 elements of a token are rounded to 8 bits with a scale of their own: off by about 2.6e-3 /
///           sqrt(dim) of |params[r]| |x[t]| on normal data, half of what ggml's rounding costs. NaN or inf in a token,
///           or in a row of parameters, makes what it gives not finite and touches nothing else
/// Cost      reads the parameters once, up to 16 tokens or so in the time that takes; scratch 3 n_tokens dim bytes.
///           The bits of y depend neither on the team's size nor on the other tokens
/// Source    docs/decisions/0021
void linear_few(const LinearCall& call, Team& team, LinearWorkspace& workspace);

}  // namespace saccade
