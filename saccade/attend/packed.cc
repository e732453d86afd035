#include "saccade/attend/packed.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace saccade::detail {

Precision runs_in(const AttendCall& call) {
  const bool fixed_can = kernel::has_fixed() && call.softcap == 0 && !call.bias.data && call.scale != 0;
  switch (call.precision) {
    case Precision::kF32:
      return Precision::kF32;
    case Precision::kI16:
      return fixed_can ? Precision::kI16 : Precision::kF32;
    case Precision::kBf16:
      return Precision::kBf16;
    case Precision::kAuto:
      if (call.k.dtype == DType::f32 || call.v.dtype == DType::f32) return Precision::kF32;
      if (kernel::has_bf16_tiles()) return Precision::kBf16;
      return fixed_can ? Precision::kI16 : Precision::kF32;
  }
  return Precision::kF32;
}

PackedRoom::PackedRoom(Layout& layout, Precision precision, Pos head_dim, Pos v_dim, Pos most_keys, Pos n_blocks)
    : precision_(precision),
      head_dim_(static_cast<int>(head_dim)),
      v_dim_(static_cast<int>(v_dim)),
      most_keys_(most_keys) {
  const bool bf16 = precision == Precision::kBf16;
  const int keys = static_cast<int>(most_keys);
  k_words_ = bf16 ? kernel::bf16_k_words(head_dim_, keys) : most_keys * head_dim / 2;
  v_words_ = bf16 ? kernel::bf16_v_words(v_dim_, keys) : most_keys * v_dim / 2;
  k_ = layout.take<std::uint32_t>(n_blocks * k_words_);
  v_ = layout.take<std::uint32_t>(n_blocks * v_words_);
  if (bf16) return;
  k_scale_ = layout.take<float>(n_blocks * most_keys);
  v_scale_ = layout.take<float>(n_blocks * std::max(v_dim, most_keys));
  v_runs_ = layout.take<std::int32_t>(n_blocks * run_words());
}

PackedRoom PackedRoom::at(Pos block) const {
  PackedRoom room = *this;
  room.k_ += block * k_words_;
  room.v_ += block * v_words_;
  if (precision_ == Precision::kBf16) return room;
  room.k_scale_ += block * most_keys_;
  room.v_scale_ += block * std::max<Pos>(v_dim_, most_keys_);
  room.v_runs_ += block * run_words();
  return room;
}

bool PackedRoom::fill(const kernel::KeyBlock& block) const {
  if (!block.v_finite) return false;
  auto* k = reinterpret_cast<std::int16_t*>(k_);
  for (int key = 0; key < block.n_keys; ++key) {
    k_scale_[key] = kernel::fix_row(block.k + key * head_dim_, head_dim_, k + key * head_dim_);
    if (std::isnan(k_scale_[key])) return false;
  }
  kernel::fix_panels(block.v, block.n_keys, v_dim_, reinterpret_cast<std::int32_t*>(v_), v_scale_);
  kernel::add_runs(reinterpret_cast<std::int32_t*>(v_), block.n_keys, v_dim_, v_runs_);
  return true;
}

bool PackedRoom::fill_keys(DType dtype, Rows k, Pos n_keys, const float* centre) const {
  return kernel::round_keys(dtype, k.at, k.stride, static_cast<int>(n_keys), head_dim_, centre, k_);
}

bool PackedRoom::fill_values(DType dtype, Rows v, Pos n_keys) const {
  return kernel::round_values(dtype, v.at, v.stride, static_cast<int>(n_keys), v_dim_, v_);
}

WildKeys PackedRoom::fill_apart(const kernel::KeyBlock& block) const {
  auto* k = reinterpret_cast<std::int16_t*>(k_);
  kernel::fix_keys_apart(block.v, block.n_keys, v_dim_, reinterpret_cast<std::int32_t*>(v_), v_scale_);
  WildKeys wild{};
  for (int key = 0; key < block.n_keys; ++key) {
    k_scale_[key] = kernel::fix_row(block.k + key * head_dim_, head_dim_, k + key * head_dim_);
    if (!std::isnan(k_scale_[key]) && !std::isnan(v_scale_[key])) continue;
    wild[static_cast<std::size_t>(key / 32)] |= 1U << (key % 32);
    std::fill_n(k + key * head_dim_, head_dim_, std::int16_t{0});
    k_scale_[key] = v_scale_[key] = 0.0F;
  }
  return wild;
}

kernel::FixedBlock PackedRoom::fixed_block(Pos n_keys) const {
  return {.k = reinterpret_cast<const std::int16_t*>(k_),
          .k_scale = k_scale_,
          .v = reinterpret_cast<const std::int32_t*>(v_),
          .v_scale = v_scale_,
          .v_runs = v_runs_,
          .n_keys = static_cast<int>(n_keys),
          .v_keys = static_cast<int>(n_keys),
          .head_dim = head_dim_,
          .v_dim = v_dim_};
}

kernel::FixedBlock PackedRoom::apart_block(Pos n_keys) const {
  kernel::FixedBlock block = fixed_block(n_keys);
  block.v_scale = nullptr;
  block.v_runs = nullptr;
  block.v_key_scale = v_scale_;
  return block;
}

kernel::Bf16Block PackedRoom::bf16_block(Pos n_keys) const {
  return {.k = k_, .v = v_, .n_keys = static_cast<int>(n_keys), .head_dim = head_dim_, .v_dim = v_dim_};
}

bool Packed::worth_it(const AttendCall& call, Pos n_blocks_of_queries) {
  return n_blocks_of_queries > call.k.n_heads && runs_in(call) != Precision::kF32;
}

Packed::Packed(Layout& layout, const AttendCall& call, Pos unit, Pos most_bytes)
    : unit_(unit),
      n_units_(call.k.len / unit),
      n_kept_(std::min(call.k.n_heads * n_units_, most_bytes / (unit * (call.k.dim + call.v.dim) * 2))),
      states_(layout.take<std::atomic<std::uint8_t>>(n_kept_)),
      rooms_(layout, runs_in(call), call.k.dim, call.v.dim, unit, n_kept_) {}

void Packed::clear() {
  for (Pos i = 0; i < n_kept_; ++i) new (states_ + i) std::atomic<std::uint8_t>(kEmpty);
}

}  // namespace saccade::detail
