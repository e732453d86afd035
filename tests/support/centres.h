#pragma once

#include <vector>

#include "saccade/attend/centre.h"

namespace saccade::testing {

/// What the engine takes off the keys of this call before it rounds them to bf16 [n_kv_heads, head_dim]; empty:
/// nothing. The definition holds for any centre; that this one is a good one is for centre_test.cc to say.
inline std::vector<float> centres_of(const AttendCall& call, int team_size) {
  namespace engine = saccade::detail;
  const engine::Schedule schedule = engine::make_schedule(call, team_size);
  if (!engine::Centres::wanted(call, schedule)) return {};
  saccade::Layout measure;
  const engine::Centres measured(measure, call);
  saccade::Buffer buffer;
  buffer.reserve(measure.used());
  saccade::Layout layout(buffer.data());
  engine::Centres found(layout, call);
  found.find(call, schedule);
  std::vector<float> all;
  for (int head = 0; head < call.k.n_heads; ++head) {
    all.insert(all.end(), found.of(head), found.of(head) + call.k.dim);
  }
  return all;
}

}  // namespace saccade::testing
