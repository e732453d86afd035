#include "saccade/where/parts/memory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "saccade/base/error.h"
#include "saccade/base/half.h"
#include "saccade/kernel/bounds.h"
#include "saccade/kernel/visit.h"

namespace saccade {
namespace {

constexpr Pos kRows = 32;  ///< converted at a time: 8 KiB of f32 at head_dim 64

/// The bytes of position i in all heads (FNV-1a, eight bytes at a time; rows are whole multiples of two bytes).
std::uint64_t hash_of(const View& k, Pos i) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  const std::size_t n_bytes = row_bytes(k.dtype, k.dim);
  for (Pos head = 0; head < k.n_heads; ++head) {
    const std::byte* row = k.row(i, head);
    for (std::size_t at = 0; at < n_bytes; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, row + at, std::min<std::size_t>(8, n_bytes - at));
      hash = (hash ^ word) * 0x100000001B3U;
      hash ^= hash >> 29U;
    }
  }
  return hash;
}

/// Positions that stay looked at as the text grows: one in each doubling, and one in each 4,096.
bool is_kept(Pos i) { return std::has_single_bit(static_cast<std::uint64_t>(i + 1)) || i % 4096 == 4095; }

/// Calls body(rows, n) for the rows of a head as f32, a few at a time.
template <class Body>
void for_rows(const View& k, Pos head, Range rows, float* room, Body&& body) {
  for (Pos begin = rows.begin; begin < rows.end; begin += kRows) {
    const Pos n = std::min(kRows, rows.end - begin);
    kernel::load_rows(k.dtype, k.row(begin, head), k.len_stride, static_cast<int>(n), static_cast<int>(k.dim), room);
    body(room, n);
  }
}

/// Pools one block of keys of one head. `room`: kRows x dim floats, then 3 dim for sums.
void pool_block(const View& k, Pos head, Pos t, Range keys, float* room, KeyMeans& out) {
  float* mean = out.of_head[static_cast<std::size_t>(head)].data() + t * k.dim;
  std::fill_n(mean, k.dim, 0.0F);
  for_rows(k, head, keys, room, [&](const float* row, Pos n) {
    for (Pos i = 0; i < n; ++i, row += k.dim) {
      for (Pos c = 0; c < k.dim; ++c) mean[c] += row[c];
    }
  });
  for (Pos c = 0; c < k.dim; ++c) mean[c] /= static_cast<float>(keys.size());
}

void pool_block(const View& k, Pos head, Pos t, Range keys, float* room, KeyBounds& out) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float* least = room + kRows * k.dim;
  float* most = least + k.dim;
  float* stain = most + k.dim;  // 0 x value stays 0 unless a value is NaN or infinite
  std::fill_n(least, k.dim, kInfinity);
  std::fill_n(most, k.dim, -kInfinity);
  std::fill_n(stain, k.dim, 0.0F);
  for_rows(k, head, keys, room, [&](const float* row, Pos n) {
    for (Pos i = 0; i < n; ++i, row += k.dim) {
      for (Pos c = 0; c < k.dim; ++c) {
        least[c] = row[c] < least[c] ? row[c] : least[c];
        most[c] = row[c] > most[c] ? row[c] : most[c];
        stain[c] += 0.0F * row[c];
      }
    }
  });
  constexpr Pos kLanes = kernel::kBoundLanes;
  std::uint16_t* minima =
      out.of_head[static_cast<std::size_t>(head)].data() + t / kLanes * 2 * k.dim * kLanes + t % kLanes;
  std::uint16_t* maxima = minima + k.dim * kLanes;
  for (Pos c = 0; c < k.dim; ++c) {
    minima[c * kLanes] = f16_at_most(least[c] + stain[c]);
    maxima[c * kLanes] = f16_at_least(most[c] + stain[c]);
  }
}

std::size_t size_of(const KeyMeans& pool, Pos n_blocks) { return static_cast<std::size_t>(n_blocks * pool.dim); }

std::size_t size_of(const KeyBounds& pool, Pos n_blocks) {
  constexpr Pos kLanes = kernel::kBoundLanes;
  return static_cast<std::size_t>((n_blocks + kLanes - 1) / kLanes * kLanes * 2 * pool.dim);
}

/// Pools the new keys, and with them the block they continue.
template <class Pool>
void grow(const SelectCall& call, Range keys, Pool& pool) {
  const Pos block = pool.block, first = keys.begin / block, end = (keys.end + block - 1) / block;
  pool.n_blocks = end;
  for (auto& head : pool.of_head) head.resize(size_of(pool, end));
  const Pos room = (kRows + 3) * call.k.dim;
  std::vector<float> rooms(static_cast<std::size_t>(call.team->size() * room));
  // Blocks that share a panel stay with one worker, so that none writes into another's cache lines.
  constexpr Pos kTogether = kernel::kBoundLanes;
  const Pos first_panel = first / kTogether, n_panels = (end + kTogether - 1) / kTogether - first_panel;
  const auto pool_panel = [&](Pos item, int worker) {
    const Pos head = item / n_panels, panel = first_panel + item % n_panels;
    for (Pos t = std::max(first, panel * kTogether); t < std::min(end, (panel + 1) * kTogether); ++t) {
      pool_block(call.k, head, t, {t * block, std::min(keys.end, (t + 1) * block)}, rooms.data() + worker * room, pool);
    }
  };
  if (n_panels <= 1) {  // a decode step: too little to wake anybody for
    for (Pos item = 0; item < n_panels * call.k.n_heads; ++item) pool_panel(item, 0);
  } else {
    parallel_for(*call.team, n_panels * call.k.n_heads, pool_panel);
  }
}

}  // namespace

void KeyMemory::Progress::begin_call(const SelectCall& call) {
  len = std::min({len, call.q_begin, call.k.len});
  while (!sightings.empty() && sightings.back().first >= len) sightings.pop_back();
  const auto differs = [&](const auto& seen) { return hash_of(call.k, seen.first) != seen.second; };
  if (std::ranges::any_of(sightings, differs)) sightings.clear(), len = 0;
}

void KeyMemory::Progress::see(const View& k, Range keys) {
  while (!sightings.empty() && !is_kept(sightings.back().first)) sightings.pop_back();
  for (Pos i = keys.begin; i < keys.end; ++i) {
    if (is_kept(i) || i == keys.end - 1) sightings.emplace_back(i, hash_of(k, i));
  }
  len = keys.end;
}

void KeyMemory::begin_call(const SelectCall& call) {
  const View& k = call.k;
  if (k.dtype != dtype_ || k.n_heads != n_heads_ || k.dim != dim_) {
    forget();
    dtype_ = k.dtype, n_heads_ = k.n_heads, dim_ = k.dim;
  }
  for (const auto& some : means_) some->progress.begin_call(call);
  for (const auto& some : bounds_) some->progress.begin_call(call);
}

template <class Pool>
Pool& KeyMemory::grown(std::vector<std::unique_ptr<Growing<Pool>>>& pools, const SelectCall& call, Pos block) {
  SACCADE_ASSERT(block > 0, "a block has a size");
  begin_call(call);
  auto found = std::ranges::find_if(pools, [&](const auto& some) { return some->pool.block == block; });
  if (found == pools.end()) {
    auto some = std::make_unique<Growing<Pool>>();
    some->pool.block = block, some->pool.dim = dim_;
    some->pool.of_head.resize(static_cast<std::size_t>(n_heads_));
    pools.push_back(std::move(some));
    found = pools.end() - 1;
  }
  Pool& pool = (*found)->pool;
  Progress& progress = (*found)->progress;
  const Range keys{progress.len, std::min(call.k.len, call.q_end())};
  grow(call, keys, pool);
  progress.see(call.k, keys);
  return pool;
}

const KeyMeans& KeyMemory::means(const SelectCall& call, Pos block) {
  try {
    return grown(means_, call, block);
  } catch (...) {
    forget();
    throw;
  }
}

const KeyBounds& KeyMemory::bounds(const SelectCall& call, Pos block) {
  try {
    return grown(bounds_, call, block);
  } catch (...) {
    forget();
    throw;
  }
}

void KeyMemory::forget() {
  trials_.clear();
  means_.clear();
  bounds_.clear();
}

std::size_t KeyMemory::bytes() const {
  std::size_t sum = 0;
  const auto add = [&](const auto& pools) {
    for (const auto& some : pools) {
      sum += some->progress.sightings.capacity() * sizeof(some->progress.sightings[0]);
      for (const auto& head : some->pool.of_head) sum += head.capacity() * sizeof(head[0]);
    }
  };
  add(means_), add(bounds_);
  return sum;
}

}  // namespace saccade
