#pragma once

#include <functional>

#include "saccade/attend/attend.h"
#include "saccade/base/team.h"

namespace saccade::llama {

/// What sees attention calls while a model runs: each that ran as one causal run, or as a sliding window whose
/// positions are known (JudgedCall), right after it ran, with its lse [q_len, n_heads]. The place for saccade::look and
/// its probes.
using Watcher = std::function<void(int layer, const AttendCall& call, const float* lse, Team& team)>;

/// From now on this watcher sees them, in the place of a judge (judge.h), whose rules hold: the record's judged_ns
/// tells its time, attention_ns leaves it out, and what it throws ends the batch. Empty: nobody. Not while a model
/// runs.
void set_watcher(Watcher watcher);

}  // namespace saccade::llama
