#pragma once

#include <vector>

#include "saccade/attend/attend.h"
#include "saccade/base/buffer.h"

namespace saccade {
namespace detail {
using saccade::Buffer;
using saccade::Layout;
}  // namespace detail

struct Workspace::Rooms {
  std::vector<detail::Buffer> workers;  ///< one each
  detail::Buffer partials;              ///< results of splits, before they are merged
  detail::Buffer packed;                ///< keys in fixed point, shared by the items of a call
};

}  // namespace saccade
