#pragma once

#include "saccade/base/view.h"

namespace saccade::testing {

// The one knob by which tests do less under a sanitizer. That looks for wrong memory, undefined behaviour and races:
// every kind of case still runs through every fast path, but fewer rows are judged by the slow definitions, which a
// build without a sanitizer does for all of them, five times as fast
// (docs/decisions/0014-fewer-judged-under-sanitizers.md).
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr Pos kThinning = 4;
#else
inline constexpr Pos kThinning = 1;
#endif

/// How many of `n` like checks are made: all, or one in kThinning.
constexpr Pos thinned(Pos n) { return (n + kThinning - 1) / kThinning; }

}  // namespace saccade::testing
