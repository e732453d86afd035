#pragma once

#include "saccade/base/random.h"

namespace saccade::testing {

using saccade::Random;

}  // namespace saccade::testing
