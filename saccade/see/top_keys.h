#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/see/probe.h"
#include "saccade/see/row_probe.h"

namespace saccade::see {

/// The k keys that a query looks at most: by the sum of their weights over all heads, and on request in each head.
///
/// In the first pass, where no head knows of another, only in each head: `per_head` must be set, and row(q_position)
/// has no keys.
///
/// Sorted by weight, the earlier key first among equals. A place without a key has position -1: the query saw fewer, or
/// the others have no weight.
///
/// Accuracy  in a head, the weights themselves; in the first pass of attention in bf16 as it rounds them, their
///           logarithms to 1/128 of a power of two: keys nearer to each other than that are equals. Summed over heads:
///           each weight is rounded to a multiple of 2^-30 times the number of heads (that rounded up to a power of
///           two), so that the sums are the same for any team
/// Cost      three vector instructions a vector of pairs, and a comparison a pair of the layer; while it looks, 1 MiB a
///           worker. In the first pass four instructions a vector of pairs; in bf16 hardly one, and some 60 for each
///           key that enters a row's list on the way, k (1 + ln(keys / k)) where they come at random. 8 k bytes a query
///           (and head)
/// Source    steer-and-see, PR5; retrieval heads read k = 1, arXiv:2404.15574
class TopKeys final : public Probe, public RowProbe {
 public:
  using Key = WeightedKey;
  Pos k = 8;
  bool per_head = false;

  void fields(auto& f) {
    f("k", k, "keys kept of each query");
    f("per_head", per_head, "in each head, too");
  }
  void check() const {
    if (k < 1) fail_user("see/top_keys: k must be >= 1, got " + std::to_string(k));
  }
  void begin(const LookShape& shape) override;
  void start(const LookPatch& patch) override;
  void observe(const WeightTile& tile) override;
  void finish(const LookPatch& patch, Team& team) override;
  void want(RowWants& wants) override;
  void take(const RowSeen& row) override;

  Range q_positions() const { return q_positions_; }
  /// [k], weights summed over all heads.
  std::span<const Key> row(Pos q_position) const { return list(all_, q_position); }
  /// [k], of one head; requires per_head.
  std::span<const Key> row(int head, Pos q_position) const {
    return list(by_head_[static_cast<std::size_t>(head)], q_position);
  }

 private:
  using Lists = std::vector<Key>;  // [queries, k]
  std::span<const Key> list(const Lists& lists, Pos q) const {
    return std::span(lists).subspan(static_cast<std::size_t>((q - q_positions_.begin) * k),
                                    static_cast<std::size_t>(k));
  }
  void observe_head(const WeightTile& tile);
  void scan(const LookPatch& patch, Pos row);
  /// Which of the patch's tiles this is, and those that queries from `q` and keys from `key` on lie in; absolute.
  std::size_t tile_at(Pos q, Pos key) const;

  Range q_positions_;
  Lists all_;
  std::vector<Lists> by_head_;

  LookPatch patch_;
  float scale_ = 1.0F;  // of whole numbers to weights
  Pos tile_rows_ = 0;   // of the patch's tiles, at most
  /// Of the patch, one a worker. Sums of tiles that it has not written to are of another patch: nobody puts zeros
  /// there, since what one worker writes to another's memory costs both of them.
  struct Sums {
    std::vector<std::int32_t> pairs;    // [tiles, tile_rows_, kMostKeys]
    std::vector<std::uint8_t> written;  // [tiles]
  };
  std::int32_t* sums_of(Sums& sums, std::size_t tile, Pos q) const;
  std::vector<Sums> sums_;
};

}  // namespace saccade::see
