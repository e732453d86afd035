#pragma once

#include <atomic>
#include <exception>
#include <type_traits>

#include "saccade/base/team.h"

namespace saccade {

/// parallel_for whose body may throw (a selector allocates lists): calls `body(item, worker)`, or `body(item)`, for
/// each item in [0, n_items), and throws what one of them, or the team before it, threw when all workers are done.
/// Items not begun by then are left.
template <class Body>
void parallel_for_or_throw(Team& team, Pos n_items, Body&& body) {
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  parallel_for(team, n_items, [&](Pos item, int worker) {
    if (failed.load(std::memory_order_relaxed)) return;
    try {
      team.before_item();
      if constexpr (std::is_invocable_v<Body&, Pos, int>) {
        body(item, worker);
      } else {
        body(item);
      }
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();  // read after the team has come together
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace saccade
