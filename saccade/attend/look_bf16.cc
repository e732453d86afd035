#include "saccade/attend/look_bf16.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <new>

#include "saccade/kernel/few.h"
#include "saccade/kernel/tally.h"
#include "saccade/kernel/weights_bf16.h"

namespace saccade::detail {
namespace {

constexpr Pos kQueries = WeightTile::kMostQueries;
constexpr Pos kKeys = kernel::kBlockKeys;
constexpr double kLog2e = 1.4426950408889634;

constexpr Pos words_of(Pos n_rows, Pos head_dim) {
  return kernel::bf16_k_words(static_cast<int>(head_dim), static_cast<int>(n_rows));
}

/// Rounds rows of f32, those of queries or keys. False where one is NaN, inf, or so large that it becomes that.
bool round_rows(const float* rows, Pos n, Pos head_dim, std::uint32_t* out) {
  return kernel::round_keys(DType::f32, reinterpret_cast<const std::byte*>(rows),
                            static_cast<std::ptrdiff_t>(head_dim) * static_cast<std::ptrdiff_t>(sizeof(float)),
                            static_cast<int>(n), static_cast<int>(head_dim), nullptr, out);
}

/// Puts zeros in the place of keys that do not round to numbers, and names them.
WildKeys clear_wild(Pos n_keys, Pos head_dim, float* rows) {
  constexpr float kRoundsToInfinity = 0x1.FFp127F;
  WildKeys wild{};
  for (Pos key = 0; key < n_keys; ++key) {
    float* row = rows + key * head_dim;
    if (std::all_of(row, row + head_dim, [](float x) { return std::fabs(x) < kRoundsToInfinity; })) continue;
    wild[static_cast<std::size_t>(key / 32)] |= 1U << static_cast<unsigned>(key % 32);
    std::fill_n(row, head_dim, 0.0F);
  }
  return wild;
}

}  // namespace

bool looks_in_bf16(const AttendCall& call, const Schedule& schedule) {
  return schedule.most_rows > kernel::kFewRows && runs_in(call) == Precision::kBf16;
}

void read_queries(const AttendCall& call, int head, Range q_rows, float* out) {
  const Pos size = q_rows.size() * call.q.dim;
  if (is_uniform(call, head)) {
    std::fill_n(out, size, 0.0F);
    return;
  }
  kernel::load_rows(call.q.dtype, call.q.row(q_rows.begin, head), call.q.len_stride, static_cast<int>(q_rows.size()),
                    static_cast<int>(call.q.dim), out);
  if (call.scale < 0) std::transform(out, out + size, out, std::negate<>());
}

double log2_of(float lse) {
  // A row that saw nothing: all its weights are zero.
  if (std::isinf(lse) && lse < 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(lse) * kLog2e;
}

void read_keys(const AttendCall& call, int kv_head, Range keys, const float* centre, float* out) {
  const Pos dim = call.k.dim;
  kernel::load_rows(call.k.dtype, call.k.row(keys.begin, kv_head), call.k.len_stride, static_cast<int>(keys.size()),
                    static_cast<int>(dim), out);
  for (Pos key = 0; centre && key < keys.size(); ++key) {
    for (Pos i = 0; i < dim; ++i) out[key * dim + i] -= centre[i];
  }
}

RoundedQueries::RoundedQueries(Layout& layout, const AttendCall& call, const Centres* centres, Pos n_blocks)
    : centres_(centres),
      n_blocks_(n_blocks),
      words_(words_of(kQueries, call.q.dim)),
      tiles_(layout.take<std::uint32_t>(call.q.n_heads * n_blocks * words_)),
      lse_(layout.take<double>(call.q.n_heads * n_blocks * kQueries)),
      finite_(layout.take<std::uint8_t>(call.q.n_heads * n_blocks)) {}

void RoundedQueries::read(const AttendCall& call, const float* lse, int head, int kv_head, Pos block, Range q_rows,
                          float* room) {
  const Pos n = q_rows.size(), dim = call.q.dim, at = place(head, block);
  read_queries(call, head, q_rows, room);
  finite_[at] = round_rows(room, n, dim, tiles_ + at * words_) ? 1 : 0;
  float dots[kQueries] = {};
  if (const float* of_keys = centre(kv_head)) {
    kernel::dot_rows({room, dim, static_cast<int>(n), static_cast<int>(dim)}, of_keys, 0, dots);
  }
  for (Pos i = 0; i < n; ++i) {
    const double shift = static_cast<double>(std::abs(call.scale) * dots[i]) * kLog2e;
    lse_[at * kQueries + i] = log2_of(lse[(q_rows.begin + i) * call.q.n_heads + head]) - shift;
  }
}

const std::uint32_t* RoundedQueries::tiles(int head, Pos block) const {
  const Pos at = place(head, block);
  return finite_[at] == 0 ? nullptr : tiles_ + at * words_;
}

RoundedKeys::RoundedKeys(Layout& layout, const AttendCall& call)
    : tiles_(layout.take<std::uint32_t>(words_of(kKeys, call.k.dim))) {}

void RoundedKeys::read(const AttendCall& call, int kv_head, Range keys, const float* centre, float* room) {
  const Pos n = keys.size(), dim = call.k.dim;
  const bool rounded = kernel::can_round(call.k.dtype) &&
                       kernel::round_keys(call.k.dtype, call.k.row(keys.begin, kv_head), call.k.len_stride,
                                          static_cast<int>(n), static_cast<int>(dim), centre, tiles_);
  has_wild_ = false;
  if (!rounded) {
    read_keys(call, kv_head, keys, centre, room);
    has_wild_ = !round_rows(room, n, dim, tiles_);
    if (has_wild_) {
      wild_ = clear_wild(n, dim, room);
      round_rows(room, n, dim, tiles_);
    }
  }
  const Pos n_words = words_of(kKeys, dim), n_written = words_of(kernel::round_up(static_cast<int>(n), 32), dim);
  std::fill(tiles_ + n_written, tiles_ + n_words, 0U);
  kernel::turn_tiles(tiles_, static_cast<int>(n_words / kernel::kTileWords));
}

bool RoundedKeys::any_wild(const std::uint32_t* visible, Pos n_queries) const {
  if (!has_wild_ || !visible) return has_wild_;
  std::uint32_t any = 0;
  for (Pos i = 0; i < n_queries; ++i) {
    for (Pos w = 0; w < Edge::kWords; ++w) any |= visible[i * Edge::kWords + w] & wild_[static_cast<std::size_t>(w)];
  }
  return any != 0;
}

SharedKeys::SharedKeys(Layout& layout, const AttendCall& call) {
  const Pos n = std::min(call.k.n_heads * ((call.k.len + kKeys - 1) / kKeys),
                         kMostBytes / (words_of(kKeys, call.k.dim) * static_cast<Pos>(sizeof(std::uint32_t))));
  for (Pos i = 0; i < n; ++i) kept_.emplace_back(layout, call);
  states_ = layout.take<std::atomic<std::uint8_t>>(n);
}

void SharedKeys::clear(Pos n_blocks) {
  n_blocks_ = n_blocks;
  for (std::size_t i = 0; i < kept_.size(); ++i) new (states_ + i) std::atomic<std::uint8_t>(kEmpty);
}

}  // namespace saccade::detail
