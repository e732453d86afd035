#include "saccade/where/parts/lists.h"

#include <algorithm>
#include <utility>

#include "saccade/base/error.h"

namespace saccade {
namespace {

std::span<const std::int32_t> list_of(const Lists& lists, Pos first, Pos q_block) {
  const Pos i = q_block - first;
  if (i < 0 || i >= static_cast<Pos>(lists.size())) return {};
  return lists[static_cast<std::size_t>(i)];
}

bool holds(std::span<const std::int32_t> list, Pos number) {
  return std::binary_search(list.begin(), list.end(), number);
}

/// One query block's part of the visits: each number stands for `width` keys. `q` is what is asked of the block.
void visits_of(std::span<const std::int32_t> list, Pos width, Range q, VisitList& out) {
  out.clear();
  const auto append = [&](Range keys, bool full) {
    if (keys.empty()) return;
    if (!out.empty() && out.back().keys.end == keys.begin && out.back().full == full) {
      out.back().keys.end = keys.end;
    } else {
      out.push_back({keys, full});
    }
  };
  for (const Pos number : list) {
    const Range keys{number * width, (number + 1) * width};
    const Pos full_end = std::min(keys.end, q.begin + 1);  // the first query sees as far as itself
    append({keys.begin, full_end}, true);
    append({std::max(keys.begin, full_end), std::min(keys.end, q.end)}, false);
  }
}

/// The union over the query blocks that are asked for; sharp where that is one.
void visits_of(const Lists& lists, Pos first, Pos block_q, Pos width, Range q_block, VisitList& out) {
  out.clear();
  VisitList some;
  for (Pos begin = q_block.begin; begin < q_block.end;) {
    const Pos u = begin / block_q;
    const Pos end = std::min((u + 1) * block_q, q_block.end);
    visits_of(list_of(lists, first, u), width, {begin, end}, some);
    if (begin == q_block.begin) {
      out = some;
    } else {  // what only some of the queries are known to see is full for none
      const VisitList both = intersect(out, some);
      out = unite(out, some);
      for (Visit& visit : out) visit.full = false;
      VisitList full;
      for (const Visit& visit : both) {
        if (visit.full) full.push_back(visit);
      }
      out = unite(out, full);
    }
    begin = end;
  }
}

void set_bits(Range bits, std::uint32_t* words) {
  for (Pos begin = bits.begin; begin < bits.end;) {
    const Pos word = begin / 32, end = std::min((word + 1) * 32, bits.end);
    words[word] |= (~0U >> (32 - (end - begin))) << (begin % 32);
    begin = end;
  }
}

void mask_of(std::span<const std::int32_t> list, Pos width, Pos q_pos, Range keys, std::uint32_t* words) {
  std::fill_n(words, (keys.size() + 31) / 32, 0U);
  const auto begin = std::lower_bound(list.begin(), list.end(), keys.begin / width);
  const Pos end = std::min(keys.end, q_pos + 1);
  for (auto number = begin; number != list.end() && *number * width < end; ++number) {
    const Pos from = std::max(*number * width, keys.begin), to = std::min((*number + 1) * width, end);
    set_bits({from - keys.begin, to - keys.begin}, words);
  }
}

}  // namespace

BlockLists::BlockLists(Pos block_q, Pos block_k, Pos first_q_block, Lists lists)
    : block_q_(block_q), block_k_(block_k), first_(first_q_block), lists_(std::move(lists)) {
  SACCADE_ASSERT(block_q > 0 && block_k > 0 && first_q_block >= 0, "blocks have a size and a place");
}

std::span<const std::int32_t> BlockLists::list(Pos q_block) const { return list_of(lists_, first_, q_block); }

bool BlockLists::admits(Pos q_pos, Pos k_pos) const {
  return k_pos <= q_pos && holds(list(q_pos / block_q_), k_pos / block_k_);
}

void BlockLists::visits(Range q_block, VisitList& out) const {
  visits_of(lists_, first_, block_q_, block_k_, q_block, out);
}

void BlockLists::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  mask_of(list(q_pos / block_q_), block_k_, q_pos, keys, words);
}

TokenLists::TokenLists(Pos block_q, Pos first_q_block, Lists lists)
    : block_q_(block_q), first_(first_q_block), lists_(std::move(lists)) {
  SACCADE_ASSERT(block_q > 0 && first_q_block >= 0, "blocks have a size and a place");
}

bool TokenLists::admits(Pos q_pos, Pos k_pos) const {
  return k_pos <= q_pos && holds(list_of(lists_, first_, q_pos / block_q_), k_pos);
}

void TokenLists::visits(Range q_block, VisitList& out) const { visits_of(lists_, first_, block_q_, 1, q_block, out); }

void TokenLists::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  mask_of(list_of(lists_, first_, q_pos / block_q_), 1, q_pos, keys, words);
}

}  // namespace saccade
