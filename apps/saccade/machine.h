#pragma once

#include <string>

namespace saccade::app {

/// What the system calls its CPU; "unknown" where it does not say.
std::string cpu_name();

/// The commit that this program was built from, with a + when the tree differed from it; "unknown" outside a
/// repository.
std::string built_from();

}  // namespace saccade::app
