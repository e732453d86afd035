#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "saccade/where/where.h"

namespace saccade {

/// Items side by side with those of their own cluster: a permutation and where each cluster begins in it.
struct Grouped {
  std::vector<std::int32_t> order;  ///< [n_items]: items by cluster, ascending within one
  std::vector<std::int32_t> begin;  ///< [n_clusters + 1]: cluster c is order[begin[c]] up to order[begin[c + 1]]

  std::span<const std::int32_t> of(std::int32_t cluster) const {
    const auto c = static_cast<std::size_t>(cluster);
    return std::span(order).subspan(static_cast<std::size_t>(begin[c]),
                                    static_cast<std::size_t>(begin[c + 1] - begin[c]));
  }
};

/// Sorts items by cluster, stably. Requires 0 <= cluster < n_clusters. Cost O(items + clusters).
Grouped group(std::span<const std::int32_t> cluster_of, std::int32_t n_clusters);

/// Queries and keys in clusters, causal: a query sees the keys of its own cluster up to its own position.
///
/// Shapes    cluster_of_query [q_len]: of positions q_begin on; cluster_of_key [kv_len]: of positions 0 on. Other
///           queries see nothing, other keys are not seen. A negative cluster is nobody's.
/// Cost      visits: O(n log n) for the n keys in the clusters of a block's queries. Attention then costs more than
///           those pairs: queries keep their places, so a block of queries visits the union of its clusters under
///           masks, and keys of a cluster are seldom neighbours. It pays where clusters of queries are long runs of
///           positions
/// Source    Routing Transformer, arXiv:2003.05997; HyperAttention, arXiv:2310.05869 (which move queries together; here
///           only lists of keys are)
class Clusters final : public Where {
 public:
  Clusters(Pos q_begin, std::vector<std::int32_t> cluster_of_query, std::vector<std::int32_t> cluster_of_key);

  bool admits(Pos q_pos, Pos k_pos) const override;
  void visits(Range q_block, VisitList& out) const override;
  void mask(Pos q_pos, Range keys, std::uint32_t* words) const override;

  Pos q_begin() const { return q_begin_; }
  std::span<const std::int32_t> cluster_of_query() const { return of_query_; }
  std::span<const std::int32_t> cluster_of_key() const { return of_key_; }

 private:
  static constexpr std::int32_t kNobodys = -1;
  std::int32_t of_query(Pos q_pos) const;
  std::int32_t of_key(Pos k_pos) const;

  Pos q_begin_;
  std::vector<std::int32_t> of_query_, of_key_;
  Grouped keys_;  ///< those in the last cluster are nobody's
};

}  // namespace saccade
