#include "saccade/where/parts/block_mask.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "saccade/base/error.h"

namespace saccade {
namespace {

/// n <= 32 of the bits, from bit `at` on.
std::uint32_t bits_at(const std::uint32_t* words, Pos at, Pos n) {
  const Pos word = at / 32, shift = at % 32;
  std::uint64_t both = words[word];
  if (shift + n > 32) both |= static_cast<std::uint64_t>(words[word + 1]) << 32U;
  return static_cast<std::uint32_t>(both >> shift) & (~0U >> (32 - n));
}

/// Sets the bits [to.begin, to.end) of `words`, all zero before, to those of `from` from bit `at` on; null: to ones.
void put_bits(Range to, const std::uint32_t* from, Pos at, std::uint32_t* words) {
  while (to.begin < to.end) {
    const Pos word = to.begin / 32, n = std::min((word + 1) * 32, to.end) - to.begin;
    const std::uint32_t bits = from == nullptr ? ~0U >> (32 - n) : bits_at(from, at, n);
    words[word] |= bits << (to.begin % 32);
    to.begin += n, at += n;
  }
}

void append(Visit visit, VisitList& out) {
  if (visit.keys.empty()) return;
  if (!out.empty() && out.back().keys.end == visit.keys.begin && out.back().full == visit.full) {
    out.back().keys.end = visit.keys.end;
  } else {
    out.push_back(visit);
  }
}

}  // namespace

PairBlocks::PairBlocks(Pos q_len, Pos kv_len, Pos block) : q_len_(q_len), kv_len_(kv_len), block_(block) {
  if (block < 32 || block % 32 != 0 || block > 4096) {
    fail_user("where/block_mask: block must be a multiple of 32, 32 to 4096, got " + std::to_string(block));
  }
  if (q_len < 0 || kv_len < 0 || kv_len / block > std::numeric_limits<std::int32_t>::max()) {
    fail_user("where/block_mask: lengths must be >= 0 and countable, got " + std::to_string(q_len) + " and " +
              std::to_string(kv_len));
  }
}

void PairBlocks::add(Range rows, Range keys, const std::uint8_t* seen, std::ptrdiff_t row_stride) {
  SACCADE_ASSERT(rows.begin % block_ == 0 && keys.begin % block_ == 0, "blocks begin where blocks begin");
  SACCADE_ASSERT(rows.end == std::min(rows.begin + block_, q_len_), "one row of blocks");
  row_begins_.resize(std::max(row_begins_.size(), static_cast<std::size_t>(rows.begin / block_) + 1), blocks_.size());
  for (Pos key = keys.begin; key < keys.end; key += block_) {
    add_block(rows, {key, std::min(key + block_, keys.end)}, seen + (key - keys.begin), row_stride);
  }
}

void PairBlocks::add_block(Range rows, Range keys, const std::uint8_t* seen, std::ptrdiff_t row_stride) {
  Pos visible = 0;
  for (Pos i = 0; i < rows.size(); ++i) {
    visible += keys.size() - std::count(seen + i * row_stride, seen + i * row_stride + keys.size(), std::uint8_t{0});
  }
  if (visible == 0) return;
  pairs_ += visible;
  if (visible < rows.size() * keys.size()) return add_partial(rows, keys, seen, row_stride);
  blocks_.push_back({.number = static_cast<std::int32_t>(keys.begin / block_)});
}

void PairBlocks::add_partial(Range rows, Range keys, const std::uint8_t* seen, std::ptrdiff_t row_stride) {
  blocks_.push_back({static_cast<std::int32_t>(keys.begin / block_), static_cast<std::int32_t>(n_partial_++)});
  bits_.resize(bits_.size() + static_cast<std::size_t>(block_ * block_ / 32), 0U);
  std::uint32_t* words = bits_.data() + bits_.size() - static_cast<std::size_t>(block_ * block_ / 32);
  for (Pos i = 0; i < rows.size(); ++i, words += block_ / 32) {
    const std::uint8_t* row = seen + i * row_stride;
    for (Pos j = 0; j < keys.size(); ++j) words[j / 32] |= static_cast<std::uint32_t>(row[j] != 0) << (j % 32);
  }
}

std::span<const PairBlocks::Block> PairBlocks::row(Pos r) const {
  if (r < 0 || r >= static_cast<Pos>(row_begins_.size())) return {};
  const auto at = static_cast<std::size_t>(r);
  const std::size_t end = at + 1 < row_begins_.size() ? row_begins_[at + 1] : blocks_.size();
  return std::span(blocks_).subspan(row_begins_[at], end - row_begins_[at]);
}

BlockMask::BlockMask(std::shared_ptr<const PairBlocks> blocks, Pos q_begin)
    : blocks_(std::move(blocks)), q_begin_(q_begin) {}

bool BlockMask::admits(Pos q_pos, Pos k_pos) const {
  const Pos query = q_pos - q_begin_;
  if (query < 0 || query >= blocks_->q_len() || k_pos < 0 || k_pos >= blocks_->kv_len()) return false;
  std::uint32_t word = 0;
  mask(q_pos, {k_pos, k_pos + 1}, &word);
  return word != 0;
}

void BlockMask::visits(Range q_block, VisitList& out) const {
  out.clear();
  const Pos block = blocks_->block();
  const Range there{std::max<Pos>(q_block.begin - q_begin_, 0), std::min(q_block.end - q_begin_, blocks_->q_len())};
  if (there.empty()) return;
  const Pos first = there.begin / block, last = (there.end - 1) / block;
  std::vector<PairBlocks::Block> all;
  for (Pos r = first; r <= last; ++r) {
    const auto row = blocks_->row(r);
    all.insert(all.end(), row.begin(), row.end());
  }
  if (first != last) std::ranges::sort(all, {}, &PairBlocks::Block::number);
  const bool all_there = there.size() == q_block.size();
  for (auto same = all.begin(); same != all.end();) {
    const auto next = std::find_if(same, all.end(), [&](const auto& other) { return other.number != same->number; });
    const bool full = all_there && next - same == last - first + 1 &&
                      std::all_of(same, next, [](const auto& other) { return other.full(); });
    const Pos begin = same->number * block;
    append({{begin, std::min(begin + block, blocks_->kv_len())}, full}, out);
    same = next;
  }
}

void BlockMask::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  std::fill_n(words, (keys.size() + 31) / 32, 0U);
  const Pos query = q_pos - q_begin_, block = blocks_->block(), end = std::min(keys.end, blocks_->kv_len());
  if (query < 0 || query >= blocks_->q_len() || keys.begin >= end) return;
  const auto row = blocks_->row(query / block);
  const Pos first = keys.begin / block;
  for (auto at = std::ranges::lower_bound(row, first, {}, &PairBlocks::Block::number);
       at != row.end() && at->number * block < end; ++at) {
    const Pos begin = at->number * block;
    const Range seen{std::max(keys.begin, begin), std::min(end, begin + block)};
    put_bits({seen.begin - keys.begin, seen.end - keys.begin}, at->full() ? nullptr : blocks_->bits(*at, query),
             seen.begin - begin, words);
  }
}

}  // namespace saccade
