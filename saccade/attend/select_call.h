#pragma once

#include <span>

#include "saccade/attend/attend.h"
#include "saccade/where/parts/selection.h"

namespace saccade {

/// What a selector is shown of a call of attention; it borrows what the call borrows.
///
/// Requires  call.kv_head complete, and read until the selector has answered
/// Errors    none; fallbacks are on and nothing is remembered unless the caller says so in what is returned
inline SelectCall select_call_of(const AttendCall& call, std::span<const int> heads, int layer, Team& team) {
  return {.q = call.q,
          .k = call.k,
          .v = call.v,
          .kv_head = call.kv_head,
          .heads = heads,
          .q_begin = call.q_begin,
          .scale = call.scale,
          .softcap = call.softcap,
          .layer = layer,
          .team = &team};
}

}  // namespace saccade
