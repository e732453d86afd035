#include "python/src/head_pattern.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <bit>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "python/src/owned.h"
#include "saccade/base/error.h"
#include "saccade/where/parts/clusters.h"
#include "saccade/where/parts/lists.h"
#include "saccade/where/parts/vertical_slash.h"

namespace nb = nanobind;

namespace saccade::python {
namespace {

constexpr Pos kQueries = 64;  ///< asked for their visits together

template <class Use>
void for_each_block(const HeadPattern& head, Pos block, const Use& use) {
  VisitList list;
  for (Pos begin = head.q_positions.begin; begin < head.q_positions.end;) {
    const Pos end = std::min((begin / block + 1) * block, head.q_positions.end);
    head.where->visits({begin, end}, list);
    clip(list, {0, head.kv_len});
    use(Range{begin, end}, list);
    begin = end;
  }
}

/// Words of Where::mask for some keys.
std::vector<std::uint32_t> mask_of(const HeadPattern& head, Pos q_pos, Range keys) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>((keys.size() + 31) / 32));
  head.where->mask(q_pos, keys, words.data());
  return words;
}

nb::object int_list(std::span<const std::int32_t> numbers) {
  return owned_list(std::vector(numbers.begin(), numbers.end()));
}

/// Lists one after the other, and where each begins.
void put(const Lists& lists, const char* name, nb::dict& out) {
  std::vector<Pos> begins{0};
  for (const std::size_t end : lists.ends()) begins.push_back(static_cast<Pos>(end));
  out[name] = int_list(lists.numbers());
  out["begins"] = owned_list(std::move(begins));
}

nb::object columns_of(const VerticalSlash& lists) {
  std::vector<std::int32_t> columns;
  for (const Range& run : lists.columns()) {
    for (Pos key = run.begin; key < run.end; ++key) columns.push_back(static_cast<std::int32_t>(key));
  }
  return int_list(columns);
}

}  // namespace

std::int64_t pairs_of(const HeadPattern& head) {
  std::int64_t total = 0;
  for_each_block(head, kQueries, [&](Range queries, const VisitList& list) {
    for (const Visit& visit : list) {
      if (visit.full) {
        total += queries.size() * visit.keys.size();
        continue;
      }
      for (Pos q_pos = queries.begin; q_pos < queries.end; ++q_pos) {
        for (const std::uint32_t word : mask_of(head, q_pos, visit.keys)) total += std::popcount(word);
      }
    }
  });
  return total;
}

nb::object mask_array_of(const HeadPattern& head) {
  constexpr Pos kMostPairs = Pos{1} << 28;
  const Pos q_len = head.q_positions.size();
  if (q_len * head.kv_len > kMostPairs) {
    fail_user("select/mask: q_len x kv_len must be at most 2^28, got " + std::to_string(q_len) + " x " +
              std::to_string(head.kv_len) + "; visits() has the same in little memory");
  }
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(q_len * head.kv_len));
  for (Pos i = 0; i < q_len; ++i) {
    const auto words = mask_of(head, head.q_positions.begin + i, {0, head.kv_len});
    for (Pos j = 0; j < head.kv_len; ++j) {
      seen[static_cast<std::size_t>(i * head.kv_len + j)] = words[static_cast<std::size_t>(j / 32)] >> (j % 32) & 1U;
    }
  }
  return owned_array<bool>(std::move(seen), {q_len, head.kv_len});
}

nb::dict visits_of(const HeadPattern& head, Pos block) {
  if (block < 1) fail_user("select/visits: block must be >= 1, got " + std::to_string(block));
  std::vector<Pos> q_begins, begins{0}, keys;
  std::vector<std::uint8_t> full;
  for_each_block(head, block, [&](Range queries, const VisitList& list) {
    q_begins.push_back(queries.begin);
    for (const Visit& visit : list) {
      keys.push_back(visit.keys.begin), keys.push_back(visit.keys.end);
      full.push_back(visit.full ? 1 : 0);
    }
    begins.push_back(static_cast<Pos>(full.size()));
  });
  nb::dict out;
  const auto n_visits = static_cast<Pos>(full.size());
  out["q_begins"] = owned_list(std::move(q_begins));
  out["begins"] = owned_list(std::move(begins));
  out["keys"] = owned_array<Pos>(std::move(keys), {n_visits, 2});
  out["full"] = owned_array<bool>(std::move(full), {n_visits});
  return out;
}

nb::dict arrays_of(const HeadPattern& head) {
  nb::dict out;
  if (const auto* blocks = dynamic_cast<const BlockLists*>(head.where.get())) {
    out["kind"] = "blocks";
    put(blocks->lists(), "blocks", out);
    out["block_q"] = blocks->block_q();
    out["block_k"] = blocks->block_k();
    out["first_q_block"] = blocks->first_q_block();
  } else if (const auto* tokens = dynamic_cast<const TokenLists*>(head.where.get())) {
    out["kind"] = "tokens";
    put(tokens->lists(), "tokens", out);
    out["block_q"] = tokens->block_q();
    out["first_q_block"] = tokens->first_q_block();
  } else if (const auto* lines = dynamic_cast<const VerticalSlash*>(head.where.get())) {
    out["kind"] = "vertical_slash";
    out["columns"] = columns_of(*lines);
    out["diagonals"] = int_list(lines->diagonals());
    out["block"] = VerticalSlash::kBlock;
  } else if (const auto* clusters = dynamic_cast<const Clusters*>(head.where.get())) {
    out["kind"] = "clusters";
    out["cluster_of_query"] = int_list(clusters->cluster_of_query());
    out["cluster_of_key"] = int_list(clusters->cluster_of_key());
  } else {
    out["kind"] = "visits";
    out["block_q"] = kQueries;
    out.update(visits_of(head, kQueries));
  }
  return out;
}

}  // namespace saccade::python
