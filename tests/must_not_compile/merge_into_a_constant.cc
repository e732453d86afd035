// must fail with: drops 'const' qualifier
// What is merged into is written: a constant partial, or one made on the spot, is no place for a result.
#include "saccade/combine/partial.h"

void join(saccade::Partial& into, const saccade::Partial& other) {
  saccade::merge(into, other);
#ifdef WRONG
  saccade::merge(other, into);
#endif
}
