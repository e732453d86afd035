#include "saccade/where/parts/last_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "saccade/base/error.h"
#include "saccade/kernel/fixed.h"
#include "saccade/kernel/score.h"
#include "saccade/where/parts/scores.h"

namespace saccade {
namespace {

constexpr Pos kTile = kernel::kTileRows;
/// Keys at a time: with 128 rows and their margins 650 KB of scores, a third of an L2.
constexpr Pos kChunk = 21 * kTile;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

/// The last rows of one head, walked twice over all keys, a chunk at a time: first q.k, and weights relative to the
/// chunk's largest, kept in f16; then, when the sums of all rows are known, the weights as they are. (Kept in f32 the
/// memory costs as much as the products; not kept at all, the products come twice.)
class LastRowsOfHead {
 public:
  LastRowsOfHead(const SelectCall& call, int head, Pos n_rows, Buffer& room)
      : call_(call),
        kv_head_(call.kv_head[static_cast<std::size_t>(head)]),
        q_(load(call.q, head, {call.q.len - n_rows, call.q.len})),
        first_pos_(call.q_end() - n_rows),
        margin_((n_rows + 15) / 16 * 16),
        stride_(kChunk + 2 * margin_),
        n_chunks_((call.q_end() + kChunk - 1) / kChunk),
        fixed_(kernel::has_fixed() && q_.dim <= kernel::kMaxHeadDim) {
    room.reserve(lay(nullptr));
    lay(room.data());
    std::fill_n(scores_, q_.n * stride_, 0.0F);
    std::fill_n(row_max_, q_.n, kNothing);
    std::fill_n(row_sum_, q_.n, 0.0F);
    for (Pos i = 0; fixed_ && i < q_.n; ++i) {
      q_scale_[i] = kernel::fix_row(q_.row(i), static_cast<int>(q_.dim), q_fixed_ + i * q_.dim);
    }
  }

  void look(LastRows& out) {
    for (Pos chunk = 0; chunk < n_chunks_; ++chunk) score(chunk), keep(chunk);
    for (Pos chunk = 0; chunk < n_chunks_; ++chunk) add(chunk, out);
  }

 private:
  std::size_t lay(std::byte* base) {
    Layout layout(base);
    keys_ = layout.take<float>(kTile * q_.dim);
    tile_ = layout.take<float>(kTile * q_.dim);
    k_scale_ = layout.take<float>(kTile);
    k_fixed_ = layout.take<std::int16_t>(kTile * q_.dim);
    q_scale_ = layout.take<float>(q_.n);
    q_fixed_ = layout.take<std::int16_t>(q_.n * q_.dim);
    sums_ = layout.take<float>(stride_);
    scores_ = layout.take<float>(q_.n * stride_);
    row_max_ = layout.take<float>(q_.n);
    row_sum_ = layout.take<float>(q_.n);
    chunk_max_ = layout.take<float>(n_chunks_ * q_.n);
    kept_ = layout.take<std::uint16_t>(n_chunks_ * q_.n * kChunk);
    return layout.used();
  }

  int dim() const { return static_cast<int>(q_.dim); }
  int n_rows() const { return static_cast<int>(q_.n); }
  kernel::ScoreRule rule() const { return {call_.scale, call_.softcap}; }
  float* row(Pos i) { return scores_ + i * stride_ + margin_; }
  Range keys_of(Pos chunk) const { return {chunk * kChunk, std::min((chunk + 1) * kChunk, call_.q_end())}; }
  /// How many keys of a chunk the row sees.
  int n_seen(Pos i, Pos chunk) const {
    return static_cast<int>(std::clamp<Pos>(first_pos_ + i + 1 - chunk * kChunk, 0, keys_of(chunk).size()));
  }

  void score(Pos chunk) {
    const Range keys = keys_of(chunk);
    for (Pos at = keys.begin; at < keys.end; at += kTile) {
      const int n = static_cast<int>(std::min(kTile, keys.end - at));
      kernel::load_rows(call_.k.dtype, call_.k.row(at, kv_head_), call_.k.len_stride, n, dim(), keys_);
      float* out = row(0) + (at - keys.begin);
      if (fixed_) {
        score_fixed(n, out);
      } else {
        kernel::pack_tile(keys_, n, dim(), tile_);
        kernel::dot_tile(q_.values.data(), n_rows(), tile_, dim(), out, stride_);
      }
    }
  }

  void score_fixed(int n, float* out) {
    for (int j = 0; j < n; ++j) k_scale_[j] = kernel::fix_row(keys_ + j * dim(), dim(), k_fixed_ + j * dim());
    for (int j = n; j < kTile; ++j) k_scale_[j] = 0.0F;
    kernel::pack_tile(reinterpret_cast<const float*>(k_fixed_), n, dim() / 2, tile_);  // moves bits
    kernel::dot_tile_fixed(q_fixed_, q_scale_, n_rows(), reinterpret_cast<const std::int32_t*>(tile_), k_scale_, dim(),
                           out, stride_);
  }

  void keep(Pos chunk) {
    for (Pos i = 0; i < q_.n; ++i) {
      const int n = n_seen(i, chunk);
      const float most = kernel::shape_row(row(i), n, rule());
      const float base = most == kNothing ? 0.0F : most;
      const float sum = kernel::keep_row(row(i), n, rule(), base, kept(i, chunk));
      const float before = row_max_[i], now = std::max(before, most);
      if (now != kNothing) row_sum_[i] = row_sum_[i] * std::exp2(before - now) + sum * std::exp2(most - now);
      row_max_[i] = now;
      chunk_max_[chunk * q_.n + i] = most;
    }
  }

  void add(Pos chunk, LastRows& out) {
    const Range keys = keys_of(chunk);
    for (Pos i = 0; i < q_.n; ++i) {
      const int n = n_seen(i, chunk);
      const float gain = std::exp2(chunk_max_[chunk * q_.n + i] - row_max_[i]) / row_sum_[i];
      kernel::restore_row(kept(i, chunk), n, gain, row(i));
      std::fill(row(i) + n, row(i) + kChunk, 0.0F);
    }
    const int n = static_cast<int>(keys.size());
    kernel::add_columns(row(0), n_rows(), stride_, n, out.column.data() + keys.begin);
    // One step to the right from row to row: sums_[x] is of key keys.begin + x - (n_rows - 1) + i in row i.
    const int n_sums = n + n_rows() - 1;
    std::fill_n(sums_, n_sums, 0.0F);
    kernel::add_columns(row(0) - (n_rows() - 1), n_rows(), stride_ + 1, n_sums, sums_);
    const Pos farthest = first_pos_ - keys.begin + n_rows() - 1;
    for (Pos x = 0; x < n_sums && x <= farthest; ++x) out.diagonal[static_cast<std::size_t>(farthest - x)] += sums_[x];
  }

  std::uint16_t* kept(Pos i, Pos chunk) { return kept_ + (chunk * q_.n + i) * kChunk; }

  const SelectCall& call_;
  Pos kv_head_;
  Rows q_;
  Pos first_pos_, margin_, stride_, n_chunks_;
  bool fixed_;
  float *keys_, *tile_, *k_scale_, *q_scale_, *sums_, *scores_, *row_max_, *row_sum_, *chunk_max_;
  std::int16_t *k_fixed_, *q_fixed_;
  std::uint16_t* kept_;
};

}  // namespace

LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows, Buffer& room) {
  SACCADE_ASSERT(call.q_end() <= call.k.len && call.q.len >= 1 && n_rows >= 1, "queries whose keys are there");
  LastRows out{std::min(n_rows, call.q.len), {}, {}};
  out.column.assign(static_cast<std::size_t>(call.k.len), 0.0F);
  out.diagonal.assign(static_cast<std::size_t>(call.k.len), 0.0F);
  LastRowsOfHead(call, head, out.n_rows, room).look(out);
  return out;
}

LastRows look_at_last_rows(const SelectCall& call, int head, Pos n_rows) {
  Buffer room;
  return look_at_last_rows(call, head, n_rows, room);
}

}  // namespace saccade
