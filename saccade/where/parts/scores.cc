#include "saccade/where/parts/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "saccade/base/error.h"
#include "saccade/kernel/visit.h"

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
  for (Pos i = 0; i < a.n; ++i) {
    for (Pos j = 0; j < b.n; ++j) {
      float sum = 0.0F;
      for (Pos c = 0; c < a.dim; ++c) sum += a.row(i)[c] * b.row(j)[c];
      out[i * b.n + j] = scale * sum;
    }
  }
}

void softmax(std::span<float> row) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  float most = kNothing;
  for (const float score : row) most = std::max(most, score);
  if (most == kNothing) {
    for (float& score : row) score = score == kNothing ? 0.0F : score;  // NaN stays
    return;
  }
  float sum = 0.0F;
  for (float& score : row) sum += score = std::exp(score - most);
  for (float& weight : row) weight /= sum;
}

}  // namespace saccade
