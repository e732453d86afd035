#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "saccade/where/where.h"

namespace saccade {

/// Which of q_len queries sees which of kv_len keys, whatever the rule: square blocks that are absent, full, or
/// partial, and only a partial block keeps a bit for each pair. Made row of blocks by row of blocks, so that nobody
/// ever holds all pairs.
///
/// Cost      8 bytes a block that is not absent, block^2 / 8 bytes more for a partial one
/// Source    FlexAttention's block mask, arXiv:2412.05496
class PairBlocks {
 public:
  struct Block {
    std::int32_t number;        ///< keys [number block, (number + 1) block)
    std::int32_t bits = kFull;  ///< which of the partial blocks it is
    bool full() const { return bits == kFull; }
    static constexpr std::int32_t kFull = -1;
  };

  /// Nobody sees anything yet. Errors: Fault::kUser unless block is a multiple of 32, lengths >= 0, blocks countable.
  PairBlocks(Pos q_len, Pos kv_len, Pos block);

  /// Queries `rows` see the keys for which seen[(row - rows.begin) row_stride + key - keys.begin] is not 0.
  ///
  /// Requires  whole blocks, cut only by q_len and kv_len: one row of blocks, any number of columns; row by row, from
  ///           left to right, each pair at most once
  /// Cost      one look at each pair
  void add(Range rows, Range keys, const std::uint8_t* seen, std::ptrdiff_t row_stride);

  Pos q_len() const { return q_len_; }
  Pos kv_len() const { return kv_len_; }
  Pos block() const { return block_; }
  /// Pairs that are seen, and what is kept of them.
  std::int64_t pairs() const { return pairs_; }
  std::size_t n_full() const { return blocks_.size() - n_partial_; }
  std::size_t n_partial() const { return n_partial_; }

  /// The blocks of keys that some query of a row of blocks sees, ascending. Row r: queries [r block, (r + 1) block).
  std::span<const Block> row(Pos r) const;
  /// [block / 32] words of one query of a partial block: bit j % 32 of word j / 32 is its key j.
  const std::uint32_t* bits(Block partial, Pos query) const {
    return bits_.data() + static_cast<std::size_t>((partial.bits * block_ + query % block_) * block_ / 32);
  }

 private:
  void add_block(Range rows, Range keys, const std::uint8_t* seen, std::ptrdiff_t row_stride);
  void add_partial(Range rows, Range keys, const std::uint8_t* seen, std::ptrdiff_t row_stride);

  Pos q_len_, kv_len_, block_;
  std::int64_t pairs_ = 0;
  std::vector<Block> blocks_;            // row by row
  std::vector<std::size_t> row_begins_;  // of the rows that have begun, in blocks_
  std::vector<std::uint32_t> bits_;      // [partial blocks, block, block / 32]
  std::size_t n_partial_ = 0;
};

/// The pattern of PairBlocks whose first query has position q_begin; the key in slot j has position j. Not causal
/// unless the blocks are: see intersect().
///
/// Cost      visits: O(blocks of the rows asked for), sorted where they are several
class BlockMask final : public Where {
 public:
  explicit BlockMask(std::shared_ptr<const PairBlocks> blocks, Pos q_begin = 0);

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;
  Pos q_step() const override { return q_begin_ % blocks_->block() == 0 ? blocks_->block() : 1; }

 private:
  std::shared_ptr<const PairBlocks> blocks_;
  Pos q_begin_;
};

}  // namespace saccade
