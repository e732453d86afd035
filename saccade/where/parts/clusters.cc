#include "saccade/where/parts/clusters.h"

#include <algorithm>
#include <utility>

#include "saccade/base/error.h"

namespace saccade {
namespace {

/// Labels from 0 on; negative ones become the one after the largest.
Grouped group_keys(std::span<const std::int32_t> cluster_of) {
  const std::int32_t most = cluster_of.empty() ? -1 : std::max(-1, *std::ranges::max_element(cluster_of));
  std::vector<std::int32_t> labels(cluster_of.begin(), cluster_of.end());
  for (std::int32_t& label : labels) label = label < 0 ? most + 1 : label;
  return group(labels, most + 2);
}

}  // namespace

Grouped group(std::span<const std::int32_t> cluster_of, std::int32_t n_clusters) {
  Grouped out;
  out.order.resize(cluster_of.size());
  out.begin.assign(static_cast<std::size_t>(n_clusters) + 1, 0);
  for (const std::int32_t cluster : cluster_of) {
    SACCADE_ASSERT(cluster >= 0 && cluster < n_clusters, "a cluster there is");
    ++out.begin[static_cast<std::size_t>(cluster) + 1];
  }
  for (std::size_t c = 1; c < out.begin.size(); ++c) out.begin[c] += out.begin[c - 1];
  std::vector<std::int32_t> next(out.begin);
  for (std::size_t i = 0; i < cluster_of.size(); ++i) {
    out.order[static_cast<std::size_t>(next[static_cast<std::size_t>(cluster_of[i])]++)] = static_cast<std::int32_t>(i);
  }
  return out;
}

Clusters::Clusters(Pos q_begin, std::vector<std::int32_t> cluster_of_query, std::vector<std::int32_t> cluster_of_key)
    : q_begin_(q_begin),
      of_query_(std::move(cluster_of_query)),
      of_key_(std::move(cluster_of_key)),
      keys_(group_keys(of_key_)) {}

std::int32_t Clusters::of_query(Pos q_pos) const {
  const Pos i = q_pos - q_begin_;
  if (i < 0 || i >= static_cast<Pos>(of_query_.size())) return kNobodys;
  return std::max(kNobodys, of_query_[static_cast<std::size_t>(i)]);
}

std::int32_t Clusters::of_key(Pos k_pos) const {
  if (k_pos < 0 || k_pos >= static_cast<Pos>(of_key_.size())) return kNobodys;
  return std::max(kNobodys, of_key_[static_cast<std::size_t>(k_pos)]);
}

bool Clusters::admits(Pos q_pos, Pos k_pos) const {
  const std::int32_t cluster = of_query(q_pos);
  return k_pos <= q_pos && cluster != kNobodys && of_key(k_pos) == cluster;
}

void Clusters::visits(Range q_block, VisitList& out) const {
  out.clear();
  const auto n_clusters = static_cast<std::int32_t>(keys_.begin.size()) - 2;  // without nobody's
  const Range there{std::max(q_block.begin, q_begin_),
                    std::min(q_block.end, q_begin_ + static_cast<Pos>(of_query_.size()))};
  std::vector<std::int32_t> clusters;
  for (Pos q_pos = there.begin; q_pos < there.end; ++q_pos) clusters.push_back(of_query(q_pos));
  std::ranges::sort(clusters);
  clusters.erase(std::unique(clusters.begin(), clusters.end()), clusters.end());
  const bool all_alike = clusters.size() == 1 && there == q_block;

  std::vector<std::int32_t> seen;
  for (const std::int32_t cluster : clusters) {
    if (cluster == kNobodys || cluster >= n_clusters) continue;
    const auto keys = keys_.of(cluster);
    seen.insert(seen.end(), keys.begin(), std::ranges::lower_bound(keys, static_cast<std::int64_t>(there.end)));
  }
  std::ranges::sort(seen);
  for (const Pos key : seen) {
    const bool full = all_alike && key <= q_block.begin;
    if (!out.empty() && out.back().keys.end == key && out.back().full == full) {
      ++out.back().keys.end;
    } else {
      out.push_back({{key, key + 1}, full});
    }
  }
}

void Clusters::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  std::fill_n(words, (keys.size() + 31) / 32, 0U);
  const std::int32_t cluster = of_query(q_pos);
  if (cluster == kNobodys) return;
  for (Pos j = 0; j < std::min(keys.size(), q_pos + 1 - keys.begin); ++j) {
    if (of_key(keys.begin + j) == cluster) words[j / 32] |= 1U << (j % 32);
  }
}

}  // namespace saccade
