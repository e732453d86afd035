#pragma once

#include "saccade/where/visit.h"

namespace saccade::where {

/// No key at all: attention is skipped and its output is zero. Its answers are worthless; it is here to measure the
/// floor, what a prompt costs when attention costs nothing.
/// Source: Saccade.
struct None {
  bool admits(Pos, Pos) const { return false; }
  void visits(Range, VisitList& out) const { out.clear(); }
  void fields(auto&) {}
};

}  // namespace saccade::where
