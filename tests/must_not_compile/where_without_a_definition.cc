// must fail with: does not satisfy 'WhereMechanism'
// A mechanism that answers fast but does not say what it means cannot be judged, so it cannot be built.
#include "saccade/where/dense.h"
#include "saccade/where/where.h"

struct OnlyFast {
  void visits(saccade::Range, saccade::VisitList&) const {}
};

saccade::WherePtr build() {
#ifdef WRONG
  return saccade::make_where(OnlyFast{});
#else
  return saccade::make_where(saccade::where::Dense{});
#endif
}
