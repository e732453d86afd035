#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/where/where.h"

namespace saccade {

/// Lists of numbers, one list after the other (CSR).
class Lists {
 public:
  /// Appends a list. Requires ascending numbers, each once.
  void add(std::span<const std::int32_t> list) {
    numbers_.insert(numbers_.end(), list.begin(), list.end());
    ends_.push_back(numbers_.size());
  }
  std::size_t size() const { return ends_.size(); }
  std::size_t n_numbers() const { return numbers_.size(); }
  std::span<const std::int32_t> operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return {numbers_.data() + begin, ends_[i] - begin};
  }
  /// All lists, one after the other, and where each ends.
  std::span<const std::int32_t> numbers() const { return numbers_; }
  std::span<const std::size_t> ends() const { return ends_; }

 private:
  std::vector<std::int32_t> numbers_;
  std::vector<std::size_t> ends_;
};

/// Blocks of keys for each block of queries, causal inside: query block u holds the positions [u block_q, (u + 1)
/// block_q), key block t likewise, and a query sees the keys of its block's list up to its own position.
///
/// Shapes    lists[i] belongs to query block first_q_block + i; queries outside see nothing
/// Requires  ascending block numbers, each once
/// Cost      visits: O(blocks listed)
class BlockLists final : public Where {
 public:
  BlockLists(Pos block_q, Pos block_k, Pos first_q_block, Lists lists);

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;
  Pos q_step() const override { return block_q_; }

  Pos block_q() const { return block_q_; }
  Pos block_k() const { return block_k_; }
  Pos first_q_block() const { return first_; }
  const Lists& lists() const { return lists_; }
  /// The list of a query block of the call, by its absolute number.
  std::span<const std::int32_t> list(Pos q_block) const;

 private:
  Pos block_q_, block_k_, first_;
  Lists lists_;
};

/// Single keys for each block of queries, causal: a query sees the positions of its block's list up to its own.
///
/// Shapes, requires and cost as BlockLists, with positions for block numbers
class TokenLists final : public Where {
 public:
  TokenLists(Pos block_q, Pos first_q_block, Lists lists);

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;
  Pos q_step() const override { return block_q_; }

  Pos block_q() const { return block_q_; }
  Pos first_q_block() const { return first_; }
  const Lists& lists() const { return lists_; }

 private:
  Pos block_q_, first_;
  Lists lists_;
};

}  // namespace saccade
