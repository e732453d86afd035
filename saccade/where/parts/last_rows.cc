#include "saccade/where/parts/last_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "saccade/base/error.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/score.h"
#include "saccade/where/parts/parallel.h"
#include "saccade/where/parts/scores.h"

namespace saccade {
namespace {

constexpr Pos kTile = kernel::kTileRows;
/// Keys at a time: with 128 rows 516 KB of scores, which a cache holds until they are weights.
constexpr Pos kChunk = 21 * kTile;
constexpr Pos kMargin = kernel::kKeptMargin;
constexpr Pos kKeptStride = kChunk + kMargin;  ///< what is behind a row is before the next
constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// The last rows of one head, walked twice over all keys, a chunk at a time: first q.k, and weights relative to the
/// chunk's largest, kept in f16; then, when the sums of all rows are known, the weights as they are. (Kept in f32 the
/// memory costs as much as the products; not kept at all, the products come twice.)
class LastRowsOfHead {
 public:
  LastRowsOfHead(const SelectCall& call, const LastRowsKeys& keys, int head, Pos n_rows, Buffer& room)
      : call_(call),
        keys_(keys),
        kv_head_(call.kv_head[static_cast<std::size_t>(head)]),
        q_(load(call.q, head, {call.q.len - n_rows, call.q.len})),
        first_pos_(call.q_end() - n_rows),
        n_chunks_((call.q_end() + kChunk - 1) / kChunk) {
    room.reserve(lay(nullptr));
    lay(room.data());
    std::fill_n(row_max_, q_.n, kNothing);
    std::fill_n(row_sum_, q_.n, 0.0F);
    std::fill_n(kept_, kMargin, std::uint16_t{0});
    for (Pos i = 0; keys.fixed() && i < q_.n; ++i) {
      q_scale_[i] = kernel::fix_row(q_.row(i), dim(), q_fixed_ + i * q_.dim);
    }
  }

  void look(LastRows& out) {
    for (Pos chunk = 0; chunk < n_chunks_; ++chunk) score(chunk), keep(chunk);
    for (Pos chunk = 0; chunk < n_chunks_; ++chunk) add(chunk, out);
  }

 private:
  std::size_t lay(std::byte* base) {
    Layout layout(base);
    q_scale_ = layout.take<float>(q_.n);
    q_fixed_ = layout.take<std::int16_t>(q_.n * q_.dim);
    columns_ = layout.take<float>(kChunk + kMargin);
    diagonals_ = layout.take<float>(kChunk + q_.n + kMargin);
    scores_ = layout.take<float>(q_.n * kChunk);
    row_max_ = layout.take<float>(q_.n);
    row_sum_ = layout.take<float>(q_.n);
    gain_ = layout.take<float>(q_.n);
    chunk_max_ = layout.take<float>(n_chunks_ * q_.n);
    kept_ = layout.take<std::uint16_t>(kMargin + n_chunks_ * q_.n * kKeptStride);
    return layout.used();
  }

  int dim() const { return static_cast<int>(q_.dim); }
  int n_rows() const { return static_cast<int>(q_.n); }
  kernel::ScoreRule rule() const { return {call_.scale, call_.softcap}; }
  float* row(Pos i) { return scores_ + i * kChunk; }
  Range keys_of(Pos chunk) const { return {chunk * kChunk, std::min((chunk + 1) * kChunk, call_.q_end())}; }
  /// How many keys of a chunk the row sees.
  int n_seen(Pos i, Pos chunk) const {
    return static_cast<int>(std::clamp<Pos>(first_pos_ + i + 1 - chunk * kChunk, 0, keys_of(chunk).size()));
  }

  void score(Pos chunk) {
    const Range keys = keys_of(chunk);
    for (Pos at = keys.begin; at < keys.end; at += kTile) {
      const float* const tile = keys_.tile(kv_head_, at / kTile);
      float* const out = row(0) + (at - keys.begin);
      if (keys_.fixed()) {
        kernel::dot_tile_fixed(q_fixed_, q_scale_, n_rows(), reinterpret_cast<const std::int32_t*>(tile),
                               keys_.scales(kv_head_, at / kTile), dim(), out, kChunk);
      } else {
        kernel::dot_tile(q_.values.data(), n_rows(), tile, dim(), out, kChunk);
      }
    }
  }

  void keep(Pos chunk) {
    for (Pos i = 0; i < q_.n; ++i) {
      const int n = n_seen(i, chunk);
      const float most = kernel::shape_row(row(i), n, rule());
      const float base = most == kNothing ? 0.0F : most;
      const float sum = kernel::keep_row(row(i), n, rule(), base, kept(i, chunk));
      std::fill(kept(i, chunk) + n, kept(i, chunk) + kKeptStride, std::uint16_t{0});
      const float before = row_max_[i], now = std::max(before, most);
      if (now != kNothing) row_sum_[i] = row_sum_[i] * std::exp2(before - now) + sum * std::exp2(most - now);
      row_max_[i] = now;
      chunk_max_[chunk * q_.n + i] = most;
    }
  }

  void add(Pos chunk, LastRows& out) {
    const Range keys = keys_of(chunk);
    const Pos n = keys.size(), n_diagonals = n + q_.n - 1;
    std::fill_n(columns_, n, 0.0F);
    std::fill_n(diagonals_, n_diagonals, 0.0F);
    for (Pos i = 0; i < q_.n; ++i) {
      gain_[i] = std::exp2(chunk_max_[chunk * q_.n + i] - row_max_[i]) / row_sum_[i];
      if (!std::isnan(gain_[i])) continue;
      std::fill_n(columns_, n_seen(i, chunk), gain_[i]);
      std::fill_n(diagonals_ + q_.n - 1 - i, n_seen(i, chunk), gain_[i]);
      gain_[i] = 0.0F;
    }
    kernel::add_kept(kept(0, chunk), kKeptStride, n_rows(), static_cast<int>(n), gain_, columns_, diagonals_);
    std::copy_n(columns_, n, out.column.data() + keys.begin);
    // diagonals_[x] is of key keys.begin + x - (n_rows - 1) + i in row i.
    const Pos farthest = call_.q_end() - 1 - keys.begin;
    for (Pos x = 0; x < std::min(n_diagonals, farthest + 1); ++x) {
      out.diagonal[static_cast<std::size_t>(farthest - x)] += diagonals_[x];
    }
  }

  std::uint16_t* kept(Pos i, Pos chunk) { return kept_ + kMargin + (chunk * q_.n + i) * kKeptStride; }

  const SelectCall& call_;
  const LastRowsKeys& keys_;
  int kv_head_;
  Rows q_;
  Pos first_pos_, n_chunks_;
  float *q_scale_, *columns_, *diagonals_, *scores_, *row_max_, *row_sum_, *gain_, *chunk_max_;
  std::int16_t* q_fixed_;
  std::uint16_t* kept_;
};

}  // namespace

LastRowsKeys::LastRowsKeys(const SelectCall& call)
    : fixed_(kernel::has_fixed() && call.k.dim <= kernel::kMaxHeadDim),
      n_tiles_((call.q_end() + kTile - 1) / kTile),
      tile_size_(kTile * call.k.dim / (fixed_ ? 2 : 1)) {
  SACCADE_ASSERT(call.q_end() <= call.k.len, "queries whose keys are there");
  for (const int head : call.heads) kv_heads_.push_back(call.kv_head[static_cast<std::size_t>(head)]);
  std::ranges::sort(kv_heads_);
  kv_heads_.erase(std::unique(kv_heads_.begin(), kv_heads_.end()), kv_heads_.end());
  const Pos n = static_cast<Pos>(kv_heads_.size()) * n_tiles_;
  tiles_.reserve(static_cast<std::size_t>(n * tile_size_) * sizeof(float));
  if (fixed_) scales_.reserve(static_cast<std::size_t>(n * kTile) * sizeof(float));
  parallel_for_or_throw(*call.team, n, [&](Pos item) {
    lay(call, kv_heads_[static_cast<std::size_t>(item / n_tiles_)], item % n_tiles_);
  });
}

float* LastRowsKeys::of_tile(const Buffer& buffer, Pos size, int kv_head, Pos i) const {
  const Pos place = std::ranges::lower_bound(kv_heads_, kv_head) - kv_heads_.begin();
  return reinterpret_cast<float*>(buffer.data()) + (place * n_tiles_ + i) * size;
}

void LastRowsKeys::lay(const SelectCall& call, int kv_head, Pos i) {
  const Rows keys = load(call.k, kv_head, {i * kTile, std::min((i + 1) * kTile, call.q_end())});
  const auto n = static_cast<int>(keys.n), dim = static_cast<int>(keys.dim);
  float* const tile = of_tile(tiles_, tile_size_, kv_head, i);
  if (!fixed_) return kernel::pack_tile(keys.values.data(), n, dim, tile);
  std::vector<std::int16_t> words(keys.values.size());
  float* const scales = of_tile(scales_, kTile, kv_head, i);
  for (Pos j = 0; j < n; ++j) scales[j] = kernel::fix_row(keys.row(j), dim, words.data() + j * dim);
  std::fill(scales + n, scales + kTile, 0.0F);
  kernel::pack_tile(reinterpret_cast<const float*>(words.data()), n, dim / 2, tile);  // moves bits
}

LastRows look_at_last_rows(const SelectCall& call, const LastRowsKeys& keys, int head, Pos n_rows, Buffer& room) {
  SACCADE_ASSERT(call.q.len >= 1 && n_rows >= 1, "rows to look at");
  LastRows out{std::min(n_rows, call.q.len), {}, {}};
  out.column.assign(static_cast<std::size_t>(call.k.len), 0.0F);
  out.diagonal.assign(static_cast<std::size_t>(call.k.len), 0.0F);
  LastRowsOfHead(call, keys, head, out.n_rows, room).look(out);
  return out;
}

LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows) {
  Buffer room;
  return look_at_last_rows(call, LastRowsKeys(call), head, n_rows, room);
}

}  // namespace saccade
