#include "capi/guard.h"

#include <algorithm>

namespace saccade::capi {
namespace {

struct Line {
  char text[1001] = {};
};

Line& line() {
  thread_local Line of_this_thread;
  return of_this_thread;
}

}  // namespace

void keep_error(std::string_view text) noexcept {
  char* const end = std::copy_n(text.data(), std::min(text.size(), sizeof(Line::text) - 1), line().text);
  *end = '\0';
}

}  // namespace saccade::capi

const char* saccade_last_error(void) { return saccade::capi::line().text; }
