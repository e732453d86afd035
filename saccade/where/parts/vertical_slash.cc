#include "saccade/where/parts/vertical_slash.h"

#include <algorithm>

#include "saccade/base/error.h"

namespace saccade {
namespace {

/// Joins the range to the last one if they touch. Requires an ascending order of beginnings.
void append(Range keys, std::vector<Range>& out) {
  if (!out.empty() && keys.begin <= out.back().end) {
    out.back().end = std::max(out.back().end, keys.end);
  } else {
    out.push_back(keys);
  }
}

bool holds(const std::vector<Range>& ranges, Pos at) {
  const auto after = std::ranges::upper_bound(ranges, at, {}, &Range::begin);
  return after != ranges.begin() && at < std::prev(after)->end;
}

void append(Range keys, bool full, VisitList& out) {
  if (keys.empty()) return;
  if (!out.empty() && out.back().keys.end == keys.begin && out.back().full == full) {
    out.back().keys.end = keys.end;
  } else {
    out.push_back({keys, full});
  }
}

}  // namespace

VerticalSlash::VerticalSlash(std::span<const std::int32_t> columns, std::span<const std::int32_t> diagonals)
    : diagonals_(diagonals.begin(), diagonals.end()) {
  SACCADE_ASSERT(std::ranges::is_sorted(columns) && std::ranges::is_sorted(diagonals), "ascending columns, distances");
  for (const Pos column : columns) append({column, column + 1}, columns_);
  for (auto s = diagonals.rbegin(); s != diagonals.rend(); ++s) append({-*s, kBlock - *s}, runs_);
}

template <class Use>
void VerticalSlash::for_each_range(Pos u, const Use& use) const {
  const Pos first = u * kBlock;
  auto column = columns_.begin();
  const auto columns_until = [&](Pos end, Pos& from) {  // what lies in [from, end)
    for (; column != columns_.end() && column->begin < end; ++column) {
      const Range part{std::max(column->begin, from), std::min(column->end, end)};
      if (!part.empty()) use(part);
      if (column->end > end) break;
    }
    from = end;
  };
  Pos from = 0;
  const auto first_run = std::ranges::upper_bound(runs_, -first, {}, &Range::end);  // the others end before key 0
  for (auto run = first_run; run != runs_.end(); ++run) {
    const Range keys{std::max<Pos>(0, run->begin + first), run->end + first};
    columns_until(keys.begin, from);
    use(keys);
    from = keys.end;
  }
  if (!columns_.empty()) columns_until(std::max(from, columns_.back().end), from);
}

bool VerticalSlash::admits(Pos q_pos, Pos k_pos) const {
  if (k_pos > q_pos) return false;
  return holds(columns_, k_pos) || holds(runs_, k_pos - q_pos / kBlock * kBlock);
}

void VerticalSlash::visits(Range q_block, VisitList& out) const {
  out.clear();
  VisitList some, shown;  // of one block; what every block so far shows in full
  for (Pos begin = q_block.begin; begin < q_block.end;) {
    const Pos end = std::min((begin / kBlock + 1) * kBlock, q_block.end);
    some.clear();
    for_each_range(begin / kBlock, [&](Range keys) {
      const Pos full_end = std::clamp(begin + 1, keys.begin, keys.end);  // the first query sees as far as itself
      append({keys.begin, full_end}, true, some);
      append({full_end, std::min(keys.end, end)}, false, some);
    });
    if (begin == q_block.begin) {
      out = some;
    } else {
      const VisitList both = intersect(out, some);
      out = unite(out, some);
      for (Visit& visit : out) visit.full = false;
      shown.clear();
      for (const Visit& visit : both) {
        if (visit.full) shown.push_back(visit);
      }
      out = unite(out, shown);
    }
    begin = end;
  }
}

void VerticalSlash::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  std::fill_n(words, (keys.size() + 31) / 32, 0U);
  const Range seen{keys.begin, std::min(keys.end, q_pos + 1)};
  const auto set = [&](const std::vector<Range>& ranges, Pos shift) {
    const auto first = std::ranges::upper_bound(ranges, seen.begin - shift, {}, &Range::end);
    for (auto range = first; range != ranges.end() && range->begin + shift < seen.end; ++range) {
      const Pos from = std::max(range->begin + shift, seen.begin), to = std::min(range->end + shift, seen.end);
      for (Pos j = from - keys.begin; j < to - keys.begin; ++j) words[j / 32] |= 1U << (j % 32);
    }
  };
  if (seen.empty()) return;
  set(columns_, 0);
  set(runs_, q_pos / kBlock * kBlock);
}

}  // namespace saccade
