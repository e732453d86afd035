#include "saccade/where/quest.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/kernel/bounds.h"
#include "saccade/where/parts/dense_by_rule.h"
#include "saccade/where/parts/groups.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/memory.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"
#include "saccade/where/parts/top.h"

namespace saccade::where {
namespace {

constexpr Pos kLanes = kernel::kBoundLanes;
constexpr Pos kPanels = 32;  ///< scored at a time: 512 pages, 64 KiB of bounds at head_dim 64

/// The query heads that read one KV head, and the largest score that a key of each page could have with each of them.
struct Group {
  int kv_head = 0;
  std::vector<std::size_t> places;         ///< in call.heads
  std::vector<std::vector<float>> packed;  ///< their queries, at most kBoundQueries together
  std::vector<int> n_packed;
  std::vector<float> scores;  ///< [places, panels x kLanes]
};

std::vector<Group> groups_of(const SelectCall& call, Pos n_panels) {
  std::vector<Group> groups;
  for (const auto& [kv_head, places] : places_by_kv_head(call)) {
    Group& group = groups.emplace_back();
    group.kv_head = kv_head, group.places = places;
    const auto dim = static_cast<std::size_t>(call.q.dim);
    for (std::size_t first = 0; first < group.places.size(); first += kernel::kBoundQueries) {
      const std::size_t n = std::min<std::size_t>(kernel::kBoundQueries, group.places.size() - first);
      std::vector<float> queries;
      for (std::size_t i = first; i < first + n; ++i) {
        const Rows row = load(call.q, call.heads[group.places[i]], {0, 1});
        queries.insert(queries.end(), row.values.begin(), row.values.end());
      }
      auto& packed = group.packed.emplace_back(2 * n * dim);
      kernel::pack_bound_queries(queries.data(), static_cast<int>(n), static_cast<int>(dim), packed.data());
      group.n_packed.push_back(static_cast<int>(n));
    }
    group.scores.resize(group.places.size() * static_cast<std::size_t>(n_panels * kLanes));
  }
  return groups;
}

/// Scores a few panels of pages for all queries of a group.
void score(const KeyBounds& bounds, Range panels, Pos row_size, Group& group) {
  const std::uint16_t* at =
      bounds.of_head[static_cast<std::size_t>(group.kv_head)].data() + panels.begin * 2 * bounds.dim * kLanes;
  float* out = group.scores.data() + panels.begin * kLanes;
  for (std::size_t pack = 0; pack < group.packed.size(); ++pack) {
    kernel::score_bounds(at, static_cast<int>(panels.size()), group.packed[pack].data(), group.n_packed[pack],
                         static_cast<int>(bounds.dim), out, row_size);
    out += group.n_packed[pack] * row_size;
  }
}

/// What the heads of a group would give each page, if its bound were its score: the sum of their softmaxes. A page that
/// might hold anything (its bound is inf) gets all of a head.
std::vector<float> shares_of(Group& group, Pos n_pages, Pos row_size, float scale) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> shares(static_cast<std::size_t>(n_pages), 0.0F);
  for (std::size_t i = 0; i < group.places.size(); ++i) {
    const std::span row(group.scores.data() + static_cast<Pos>(i) * row_size, shares.size());
    if (std::ranges::find(row, kInfinity) != row.end()) {
      for (float& score : row) score = score == kInfinity ? 1.0F : 0.0F;
    } else {
      for (float& score : row) score *= scale;
      softmax(row);
    }
    for (std::size_t t = 0; t < shares.size(); ++t) shares[t] += row[t];
  }
  return shares;
}

}  // namespace

void Quest::choose(const SelectCall& call, Selection& out) const {
  KeyMemory forgetful;
  KeyMemory& memory = call.memory != nullptr ? *call.memory : forgetful;
  if (!call.decodes() || call.layer < dense_layers) {
    // The prompt's keys are pooled while they are at hand, and the first step need not look at all of them.
    if (call.memory != nullptr && call.layer >= dense_layers) memory.bounds(call, page);
    return run_dense_by_rule(call, out);
  }
  const KeyBounds& bounds = memory.bounds(call, page);
  const Pos n_pages = bounds.n_blocks, n_panels = (n_pages + kLanes - 1) / kLanes;
  const double tokens = static_cast<double>(budget) + share * static_cast<double>(call.q_end());
  const Pos wanted = tokens >= static_cast<double>(call.q_end())
                         ? n_pages
                         : std::max<Pos>(3, static_cast<Pos>(tokens / static_cast<double>(page)));

  std::vector<Group> groups = groups_of(call, n_panels);
  const auto n_groups = static_cast<Pos>(groups.size()), n_parts = (n_panels + kPanels - 1) / kPanels;
  parallel_for(*call.team, wanted < n_pages ? n_groups * n_parts : 0, [&](Pos item, int) {
    const Pos begin = item % n_parts * kPanels;
    score(bounds, {begin, std::min(n_panels, begin + kPanels)}, n_panels * kLanes,
          groups[static_cast<std::size_t>(item / n_parts)]);
  });
  out.of_head.resize(call.heads.size());
  out.scope = Scope::kKvHead;
  const std::int32_t newest[] = {static_cast<std::int32_t>(n_pages - 1)};
  parallel_for_or_throw(*call.team, n_groups, [&](Pos item) {
    Group& group = groups[static_cast<std::size_t>(item)];
    Lists lists;
    lists.add(top_k(shares_of(group, n_pages, n_panels * kLanes, call.scale), wanted, newest));
    const auto where = std::make_shared<BlockLists>(1, page, call.q_begin, std::move(lists));
    for (const std::size_t place : group.places) out.of_head[place] = where;
  });
  const Pos n_heads = static_cast<Pos>(call.heads.size());
  out.cost = {4 * call.k.dim * n_pages * n_heads, 4 * call.k.dim * n_pages * n_groups};
}

void Quest::check() const {
  if (page < 1) fail_user("where/quest: page must be >= 1, got " + std::to_string(page));
  if (budget < 0) fail_user("where/quest: budget must be >= 0, got " + std::to_string(budget));
  if (!(share >= 0 && share <= 1)) fail_user("where/quest: share must be >= 0 and <= 1, got " + std::to_string(share));
  if (dense_layers < 0) fail_user("where/quest: dense_layers must be >= 0, got " + std::to_string(dense_layers));
}

}  // namespace saccade::where
