#include "saccade/where/parts/held.h"

#include <algorithm>

#include "saccade/base/error.h"

namespace saccade {

bool Held::admits(Pos q_pos, Pos k_pos) const { return k_pos > at_ ? k_pos <= q_pos : where_->admits(at_, k_pos); }

void Held::visits(Range q_block, VisitList& out) const {
  SACCADE_ASSERT(q_block.begin > at_, "a choice is held for later queries");
  where_->visits({at_, at_ + 1}, out);
  clip(out, {0, at_ + 1});
  VisitList since;
  visits_of_interval({at_ + 1, q_block.begin + 1}, {at_ + 1, q_block.end}, since);
  out.insert(out.end(), since.begin(), since.end());
}

void Held::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  where_->mask(at_, keys, words);
  for (Pos k_pos = std::max(keys.begin, at_ + 1); k_pos < keys.end; ++k_pos) {
    const Pos j = k_pos - keys.begin;
    const std::uint32_t bit = 1U << (j % 32);
    words[j / 32] = k_pos <= q_pos ? words[j / 32] | bit : words[j / 32] & ~bit;
  }
}

}  // namespace saccade
