#include "saccade/where/visit.h"

#include <algorithm>

namespace saccade {
namespace {

enum class Join { kUnite, kIntersect };

/// Appends, gluing on to the last visit when the two touch and agree.
void append(VisitList& out, Visit visit) {
  if (visit.keys.empty()) return;
  if (!out.empty() && out.back().keys.end == visit.keys.begin && out.back().full == visit.full) {
    out.back().keys.end = visit.keys.end;
  } else {
    out.push_back(visit);
  }
}

/// Sweeps both lists from left to right, one stretch between two boundaries at a time.
VisitList join(const VisitList& a, const VisitList& b, Join how) {
  VisitList out;
  auto left = a.begin();
  auto right = b.begin();
  Pos at = 0;
  while (left != a.end() || right != b.end()) {
    const bool in_left = left != a.end() && left->keys.begin <= at;
    const bool in_right = right != b.end() && right->keys.begin <= at;
    Pos next = INT64_MAX;
    if (left != a.end()) next = std::min(next, in_left ? left->keys.end : left->keys.begin);
    if (right != b.end()) next = std::min(next, in_right ? right->keys.end : right->keys.begin);
    const bool full_left = in_left && left->full;
    const bool full_right = in_right && right->full;
    if (how == Join::kUnite ? in_left || in_right : in_left && in_right) {
      append(out, {{at, next}, how == Join::kUnite ? full_left || full_right : full_left && full_right});
    }
    at = next;
    if (left != a.end() && left->keys.end <= at) ++left;
    if (right != b.end() && right->keys.end <= at) ++right;
  }
  return out;
}

}  // namespace

VisitList unite(const VisitList& a, const VisitList& b) { return join(a, b, Join::kUnite); }

VisitList intersect(const VisitList& a, const VisitList& b) { return join(a, b, Join::kIntersect); }

void clip(VisitList& list, Range keys) {
  auto out = list.begin();
  for (Visit visit : list) {
    visit.keys = {std::max(visit.keys.begin, keys.begin), std::min(visit.keys.end, keys.end)};
    if (!visit.keys.empty()) *out++ = visit;
  }
  list.erase(out, list.end());
}

void visits_of_interval(Range keys_of_first_query, Range keys_of_last_query, VisitList& out) {
  out.clear();
  const Pos begin = keys_of_first_query.begin;
  const Pos end = keys_of_last_query.end;
  const Pos all_begin = keys_of_last_query.begin;
  const Pos all_end = keys_of_first_query.end;
  if (all_begin >= all_end) {  // nothing that all of them see
    append(out, {{begin, end}, false});
    return;
  }
  append(out, {{begin, all_begin}, false});
  append(out, {{all_begin, all_end}, true});
  append(out, {{all_end, end}, false});
}

void mask_of_interval(Range seen, Range keys, std::uint32_t* words) {
  const auto first_bits = [](Pos n) { return n >= 32 ? ~0U : (1U << std::max<Pos>(n, 0)) - 1; };
  for (Pos base = keys.begin; base < keys.end; base += 32) {
    *words++ = first_bits(std::min(seen.end, keys.end) - base) & ~first_bits(seen.begin - base);
  }
}

}  // namespace saccade
