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
  std::vector<VisitList> visits;        ///< of blocks of queries whose keys several items share out
  detail::Buffer partials;              ///< results of splits, before they are merged
  detail::Buffer packed;                ///< rounded keys and values, shared by the items of a call
  detail::Buffer centres;               ///< what is taken off keys before they are rounded to bf16
};

}  // namespace saccade
