#pragma once

#include "saccade/attend/attend.h"

namespace saccade::detail {

/// What attend requires of a call. Errors: as attend, one line.
void check(const AttendCall& call);

}  // namespace saccade::detail
