// must fail with: no viable conversion from 'const SumPartial' to 'const Partial'
// A softmax partial joins only with another one: what a rule without a normaliser leaves behind has no lse.
#include "saccade/combine/partial.h"

struct SumPartial {
  std::span<float> o;
};

void join(saccade::Partial& into, const saccade::Partial& other, const SumPartial& sum) {
  saccade::merge(into, other);
#ifdef WRONG
  saccade::merge(into, sum);
#else
  (void)sum;
#endif
}
