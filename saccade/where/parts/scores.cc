#include "saccade/where/parts/scores.h"

#include <algorithm>
#include <limits>

#include "saccade/base/buffer.h"
#include "saccade/base/error.h"
#include "saccade/kernel/score.h"

namespace saccade {

Rows load(const View& view, Pos head, Range rows) {
  SACCADE_ASSERT(rows.begin >= 0 && rows.end <= view.len, "rows of the view");
  Rows out{rows.size(), view.dim, std::vector<float>(static_cast<std::size_t>(rows.size() * view.dim))};
  if (out.n > 0) {
    kernel::load_rows(view.dtype, view.row(rows.begin, head), view.len_stride, static_cast<int>(out.n),
                      static_cast<int>(view.dim), out.values.data());
  }
  return out;
}

void multiply(const Rows& a, const Rows& b, float scale, float* out) {
  SACCADE_ASSERT(a.dim == b.dim, "rows of one width");
  constexpr Pos kSide = kernel::kTileRows, kHigh = 64;
  const int dim = static_cast<int>(a.dim);
  Buffer room;
  const auto lay = [&](std::byte* base, float*& tile, float*& products) {
    Layout layout(base);
    tile = layout.take<float>(kSide * a.dim);
    products = layout.take<float>(kSide * kHigh);
    return layout.used();
  };
  float *tile = nullptr, *products = nullptr;
  room.reserve(lay(nullptr, tile, products));
  lay(room.data(), tile, products);
  for (Pos j = 0; j < b.n; j += kSide) {
    const Pos n_b = std::min(kSide, b.n - j);
    kernel::pack_tile(b.row(j), static_cast<int>(n_b), dim, tile);
    for (Pos i = 0; i < a.n; i += kHigh) {
      const Pos n_a = std::min(kHigh, a.n - i);
      kernel::dot_tile(a.row(i), static_cast<int>(n_a), tile, dim, products, kSide);
      for (Pos r = 0; r < n_a; ++r) {
        for (Pos c = 0; c < n_b; ++c) out[(i + r) * b.n + j + c] = scale * products[r * kSide + c];
      }
    }
  }
}

void softmax(std::span<float> row) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  constexpr kernel::ScoreRule kAsTheyAre{};
  const int n = static_cast<int>(row.size());
  const float most = kernel::shape_row(row.data(), n, kAsTheyAre);
  const float sum = kernel::sum_row(row.data(), n, kAsTheyAre, most == kNothing ? 0.0F : most);
  if (sum == 0.0F) {
    std::ranges::fill(row, 0.0F);
    return;
  }
  kernel::weigh_row(row.data(), n, kAsTheyAre, most, 1.0F / sum);
}

}  // namespace saccade
