#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "saccade/attend/attend.h"
#include "saccade/plan/plan.h"
#include "saccade/saccade.h"

/// Behind the opaque handles.
struct saccade_engine {
  std::unique_ptr<saccade::Team> team;
  saccade::Workspace workspace;
  std::mutex turn;  ///< held by the call that runs
};

struct saccade_plan {
  saccade::Plan plan;
  std::string text;  ///< plan.print(), for saccade_plan_text
};
