#include "saccade/attend/given_mask.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>

namespace saccade {
namespace {

/// The bit patterns that matter, in f16 (uint16_t) and in f32 (uint32_t).
template <class Bits>
constexpr Bits kHidden = sizeof(Bits) == 2 ? Bits{0xfc00U} : static_cast<Bits>(0xff800000U);  // -inf
template <class Bits>
constexpr Bits kMagnitude = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1);  // all but the sign: 0 for +0 and -0

template <class Bits>
const Bits* row_of(const BiasView& mask, Pos i) {
  return reinterpret_cast<const Bits*>(mask.row(i));
}

bool is_half(const BiasView& mask) { return mask.dtype == DType::f16; }

/// Small masks are read faster than a team wakes up.
constexpr Pos kWorthATeam = 1 << 17;

struct Counts {
  Pos visible = 0;
  bool has_bias = false;
};

template <class Bits>
Counts count(const Bits* values, Pos n) {
  std::uint32_t visible = 0;
  Bits magnitude = 0;
  for (Pos j = 0; j < n; ++j) {
    const bool hidden = values[j] == kHidden<Bits>;
    visible += hidden ? 0U : 1U;
    magnitude = static_cast<Bits>(magnitude | (hidden ? Bits{0} : static_cast<Bits>(values[j] & kMagnitude<Bits>)));
  }
  return {static_cast<Pos>(visible), magnitude != 0};
}

/// Bit j is set when key base + j is visible; null shows all.
template <class Bits>
std::uint32_t bits_of(const Bits* values, Range keys, Pos base) {
  std::uint32_t word = 0;
  for (Pos key = keys.begin; key < keys.end; ++key) {
    const bool visible = values == nullptr || values[key] != kHidden<Bits>;
    word |= static_cast<std::uint32_t>(visible) << (key - base);
  }
  return word;
}

template <class Bits>
Pos zeros_in_front(const Bits* values, Pos n) {
  Pos j = 0;
  while (j < n && (values[j] & kMagnitude<Bits>) == 0) ++j;
  return j;
}

/// Does this row show exactly its first `end` keys? Plain loops without an exit, which compilers turn into vectors.
template <class Bits>
bool shows_only(const Bits* values, Pos end, Pos n) {
  Bits differs = 0;
  for (Pos j = 0; j < end; ++j) differs = static_cast<Bits>(differs | (values[j] & kMagnitude<Bits>));
  for (Pos j = end; j < n; ++j) differs = static_cast<Bits>(differs | (values[j] ^ kHidden<Bits>));
  return differs == 0;
}

template <class Bits>
std::optional<Pos> causal_run_of(const BiasView& mask, Pos q_len, Pos kv_len, Team& team, Pos most_visible) {
  const Pos most = std::min(kv_len, most_visible);
  const Pos p0 = zeros_in_front(row_of<Bits>(mask, 0), most) - 1;
  if (p0 < 0 || p0 + q_len > most) return std::nullopt;
  // The last row goes first: most masks of another kind fail there.
  if (!shows_only(row_of<Bits>(mask, q_len - 1), p0 + q_len, kv_len)) return std::nullopt;
  constexpr Pos kRows = 16;
  std::atomic<bool> is_run{true};
  parallel_for(team, (q_len + kRows - 1) / kRows, [&](Pos block, int) {
    if (!is_run.load(std::memory_order_relaxed)) return;
    const Pos end = std::min(q_len, (block + 1) * kRows);
    for (Pos i = block * kRows; i < end; ++i) {
      if (!shows_only(row_of<Bits>(mask, i), p0 + i + 1, kv_len)) is_run.store(false, std::memory_order_relaxed);
    }
  });
  return is_run ? std::optional<Pos>(p0) : std::nullopt;
}

template <class Bits>
bool ends_as_causal_run_of(const BiasView& mask, Pos q_len, Pos kv_len, Pos p0) {
  if (p0 < 0 || p0 + q_len > kv_len) return false;
  for (Pos i = 0; i < q_len; ++i) {
    const Bits* const values = row_of<Bits>(mask, i);
    const Pos last = p0 + i;
    const Pos between = (i + 1) * 7919 % (last + 1);  // a prime, so that rows look at places of their own
    if (((values[0] | values[between] | values[last]) & kMagnitude<Bits>) != 0) return false;
    if (last + 1 < kv_len && values[last + 1] != kHidden<Bits>) return false;
  }
  return true;
}

}  // namespace

/// What a scan of 32 rows found.
struct GivenMask::RowBlock {
  std::int64_t pairs = 0;
  bool has_bias = false;
};

GivenMask::GivenMask(const BiasView& mask, Pos q_len, Pos kv_len, Team& team, Pos most_visible)
    : mask_(mask), q_len_(q_len), kv_len_(kv_len), n_k_blocks_((kv_len + kBlockK - 1) / kBlockK) {
  if (mask.data == nullptr) {
    pairs_ = q_len * kv_len;
    return;
  }
  const Pos n_q_blocks = (q_len + kBlockQ - 1) / kBlockQ;
  kinds_.resize(static_cast<std::size_t>(n_q_blocks * n_k_blocks_));
  std::vector<RowBlock> found(static_cast<std::size_t>(n_q_blocks));
  const auto scan_one = [&](Pos block, int) {
    found[static_cast<std::size_t>(block)] =
        is_half(mask_) ? scan<std::uint16_t>(block, most_visible) : scan<std::uint32_t>(block, most_visible);
  };
  Alone alone;
  parallel_for(q_len * kv_len < kWorthATeam ? alone : team, n_q_blocks, scan_one);
  for (const RowBlock& rows : found) {
    pairs_ += rows.pairs;
    has_bias_ = has_bias_ || rows.has_bias;
  }
}

template <class Bits>
GivenMask::RowBlock GivenMask::scan(Pos row_block, Pos most_visible) {
  RowBlock found;
  const Pos begin = row_block * kBlockQ;
  const Pos end = std::min(q_len_, begin + kBlockQ);
  std::array<Pos, kBlockQ> left;  // how many keys each row may still show
  left.fill(most_visible);
  Pos open = end - begin;
  for (Pos block = 0; block < n_k_blocks_ && open > 0; ++block) {  // kinds_ starts as kSkip
    const Pos key = block * kBlockK;
    const Pos n = std::min(kBlockK, kv_len_ - key);
    Counts sum;
    for (Pos i = begin; i < end; ++i) {
      Pos& may_show = left[static_cast<std::size_t>(i - begin)];
      if (may_show <= 0) continue;
      const Counts row = count(row_of<Bits>(mask_, i) + key, n);
      may_show -= row.visible;
      if (may_show <= 0) --open;
      sum.visible += row.visible;
      sum.has_bias = sum.has_bias || row.has_bias;
    }
    const bool full = sum.visible == n * (end - begin) && !sum.has_bias;
    kinds_[static_cast<std::size_t>(row_block * n_k_blocks_ + block)] = sum.visible == 0 ? Kind::kSkip
                                                                        : full           ? Kind::kFull
                                                                                         : Kind::kMixed;
    found.pairs += sum.visible;
    found.has_bias = found.has_bias || sum.has_bias;
  }
  return found;
}

bool GivenMask::admits(Pos q_pos, Pos k_pos) const {
  if (q_pos < 0 || q_pos >= q_len_ || k_pos < 0 || k_pos >= kv_len_) return false;
  if (mask_.data == nullptr) return true;
  return is_half(mask_) ? row_of<std::uint16_t>(mask_, q_pos)[k_pos] != kHidden<std::uint16_t>
                        : row_of<std::uint32_t>(mask_, q_pos)[k_pos] != kHidden<std::uint32_t>;
}

void GivenMask::visits(Range q_block, VisitList& out) const {
  out.clear();
  q_block.end = std::min(q_block.end, q_len_);
  if (q_block.empty() || kv_len_ == 0) return;
  if (mask_.data == nullptr) {
    out.push_back({{0, kv_len_}, true});
    return;
  }
  const Pos first = q_block.begin / kBlockQ;
  const Pos last = (q_block.end - 1) / kBlockQ;
  for (Pos block = 0; block < n_k_blocks_; ++block) {
    const auto kind_in = [&](Pos row_block) {
      return kinds_[static_cast<std::size_t>(row_block * n_k_blocks_ + block)];
    };
    Kind kind = kind_in(first);
    for (Pos row_block = first + 1; row_block <= last; ++row_block) {
      if (kind_in(row_block) != kind) kind = Kind::kMixed;
    }
    if (kind == Kind::kSkip) continue;
    const Visit visit{{block * kBlockK, std::min(kv_len_, (block + 1) * kBlockK)}, kind == Kind::kFull};
    if (!out.empty() && out.back().keys.end == visit.keys.begin && out.back().full == visit.full) {
      out.back().keys.end = visit.keys.end;
    } else {
      out.push_back(visit);
    }
  }
}

void GivenMask::mask(Pos q_pos, Range keys, std::uint32_t* words) const {
  for (Pos base = keys.begin; base < keys.end; base += 32) {
    const Pos n = std::min<Pos>(32, keys.end - base);
    const Range inside{std::max<Pos>(0, base), std::min(base + n, kv_len_)};
    if (q_pos < 0 || q_pos >= q_len_ || inside.empty()) {
      *words++ = 0;
      continue;
    }
    std::uint32_t word = 0;
    if (mask_.data == nullptr) {
      word = bits_of<std::uint32_t>(nullptr, inside, base);
    } else if (is_half(mask_)) {
      word = bits_of(row_of<std::uint16_t>(mask_, q_pos), inside, base);
    } else {
      word = bits_of(row_of<std::uint32_t>(mask_, q_pos), inside, base);
    }
    *words++ = word;
  }
}

std::optional<Pos> causal_run(const BiasView& mask, Pos q_len, Pos kv_len, Team& team, Pos most_visible) {
  if (mask.data == nullptr || q_len == 0 || kv_len == 0) return std::nullopt;
  Alone alone;
  Team& readers = q_len * kv_len < kWorthATeam ? alone : team;
  return is_half(mask) ? causal_run_of<std::uint16_t>(mask, q_len, kv_len, readers, most_visible)
                       : causal_run_of<std::uint32_t>(mask, q_len, kv_len, readers, most_visible);
}

bool ends_as_causal_run(const BiasView& mask, Pos q_len, Pos kv_len, Pos p0) {
  return is_half(mask) ? ends_as_causal_run_of<std::uint16_t>(mask, q_len, kv_len, p0)
                       : ends_as_causal_run_of<std::uint32_t>(mask, q_len, kv_len, p0);
}

}  // namespace saccade
