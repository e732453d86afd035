#pragma once

#include <string>

#include "saccade/base/error.h"

namespace saccade::testing {

/// The line of the user's error that `body` throws; "no error" when it throws none.
template <class Body>
std::string error_line(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.fault() == Fault::kUser ? error.what() : std::string("the machine's: ") + error.what();
  }
  return "no error";
}

}  // namespace saccade::testing
