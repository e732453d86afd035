#include "saccade/attend/few.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace saccade::detail {
namespace {

constexpr Pos kFew = kernel::kFewRows;

/// Memory to ask for while one KV head's block of keys is at work: what follows the block. Where the heads of a cache
/// lie side by side and are walked in step, each asks for its part of all heads' next block, since CPUs fetch best what
/// is asked for in the order it lies.
kernel::RawRows ahead_of(const View& view, Pos begin, Pos head) {
  const Pos next = begin + kernel::kBlockKeys;
  const auto bytes = static_cast<std::ptrdiff_t>(row_bytes(view.dtype, view.dim));
  const bool side_by_side = view.head_stride == bytes && view.len_stride == view.n_heads * bytes;
  if (!side_by_side) return {view.row(next, head), view.len_stride};
  return {view.row(next, 0) + head * kernel::kBlockKeys * bytes, bytes};
}

}  // namespace

float* Few::take_scratch(Layout& layout) { return layout.take<float>(kFew * kernel::kBlockKeys); }

Few::Few(Layout& layout, const AttendCall& call, float* scratch, const RowWants* wants)
    : head_dim_(call.q.dim),
      v_dim_(call.v.dim),
      q_(layout.take<float>(kernel::packed_few(static_cast<int>(head_dim_)))),
      o_(layout.take<float>(kFew * v_dim_)),
      row_max_(layout.take<float>(kFew)),
      row_sum_(layout.take<float>(kFew)),
      scratch_(scratch),
      k_places_(layout.take<Places>(1)),
      v_places_(layout.take<Places>(1)),
      visible_(layout.take<std::uint32_t>(kFew * Edge::kWords)),
      bias_(call.bias.data ? layout.take<float>(kFew * kernel::kBlockKeys) : nullptr) {
  if (wants) notes_.emplace(layout, *wants, kFew, Precision::kF32);
}

void Few::start(const AttendCall& call, const RowMap& rows) {
  rows_ = rows;
  float loaded[kFew * kernel::kMaxHeadDim];
  for (Pos r = 0; r < rows.size(); ++r) {
    float* q = loaded + r * head_dim_;
    kernel::load_rows(call.q.dtype, call.q.row(rows.query(r), rows.head(r)), 0, 1, static_cast<int>(head_dim_), q);
    if (call.scale < 0) std::transform(q, q + head_dim_, q, [](float value) { return -value; });
    if (is_uniform(call, rows.head(r))) std::fill_n(q, head_dim_, 0.0F);
  }
  kernel::pack_few(loaded, static_cast<int>(rows.size()), static_cast<int>(head_dim_), q_);
  std::fill_n(o_, kFew * v_dim_, 0.0F);
  std::fill_n(row_max_, kFew, -std::numeric_limits<float>::infinity());
  std::fill_n(row_sum_, kFew, 0.0F);
  if (notes_) notes_->start(call, rows);
}

void Few::place(const View& view, const Gathered& keys, const Gathered* next, int head, Places& out) {
  const auto list = [&](const Gathered& some, const std::byte** places) {
    some.for_each([&](Range range, Pos n) {
      for (Pos key = range.begin; key < range.end; ++key) places[n++] = view.row(key, head);
    });
  };
  list(keys, out.here);
  Pos n_ahead = 0;
  if (next) list(*next, out.ahead), n_ahead = next->size();
  if (n_ahead < keys.size()) std::copy(out.here + n_ahead, out.here + keys.size(), out.ahead + n_ahead);
}

void Few::see(const AttendCall& call, const Gathered& keys, const Gathered* next, const kernel::FewMask& mask) {
  const kernel::FewRows rows{
      .q = q_, .o = o_, .row_max = row_max_, .row_sum = row_sum_, .n_rows = static_cast<int>(rows_.size())};
  const int head = rows_.set->kv_head;
  kernel::RawBlock block{.k_dtype = call.k.dtype,
                         .v_dtype = call.v.dtype,
                         .k = {call.k.row(keys.first(), head), call.k.len_stride},
                         .v = {call.v.row(keys.first(), head), call.v.len_stride},
                         .k_ahead = ahead_of(call.k, keys.first(), head),
                         .v_ahead = ahead_of(call.v, keys.first(), head),
                         .n_keys = static_cast<int>(keys.size()),
                         .head_dim = static_cast<int>(head_dim_),
                         .v_dim = static_cast<int>(v_dim_)};
  if (!keys.one_range()) {
    place(call.k, keys, next, head, *k_places_);
    place(call.v, keys, next, head, *v_places_);
    block.k.list = k_places_->here, block.k_ahead.list = k_places_->ahead;
    block.v.list = v_places_->here, block.v_ahead.list = v_places_->ahead;
  }
  visit(rows, block, mask, {.scale = std::abs(call.scale), .softcap = call.softcap}, keys);
}

void Few::visit(const kernel::FewRows& rows, const kernel::RawBlock& block, const kernel::FewMask& mask,
                kernel::ScoreRule rule, const Gathered& keys) {
  if (!notes_ || notes_->idle()) return kernel::visit_few(rows, block, mask, rule, scratch_);
  notes_->take_block(keys);
  alignas(64) float old_max[2 * kFew] = {}, old_sum[2 * kFew] = {};  // read in whole vectors
  std::copy_n(row_max_, kFew, old_max);
  std::copy_n(row_sum_, kFew, old_sum);
  kernel::FewRows noted = rows;
  noted.scores = notes_->room_for_scores();
  kernel::visit_few(noted, block, mask, rule, scratch_);
  notes_->after_few(row_max_, old_max, old_sum);
}

Precision Few::see_edge(const AttendCall& call, const Edge& edge) {
  for (Pos r = 0; r < rows_.size(); ++r) {
    const Pos query = rows_.query(r);
    std::copy_n(edge.words(query), Edge::kWords, visible_ + r * Edge::kWords);
    if (!bias_) continue;
    const float* bias = edge.bias(query);
    const float slope = slope_of(call, rows_.head(r));
    std::transform(bias, bias + edge.keys().size(), bias_ + r * kernel::kBlockKeys,
                   [slope](float value) { return slope * value; });
  }
  see(call, edge.keys(), nullptr, {.visible = visible_, .bias = bias_});
  return Precision::kF32;
}

float Few::finish(Pos row, float* o) const {
  const float sum = row_sum_[row];
  for (Pos i = 0; i < v_dim_; ++i) o[i] = sum == 0 ? 0.0F : o_[row * v_dim_ + i] / sum;
  return lse_of(row_max_[row], sum);
}

}  // namespace saccade::detail
