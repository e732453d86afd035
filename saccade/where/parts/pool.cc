#include "saccade/where/parts/pool.h"

#include <algorithm>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/kernel/visit.h"

namespace saccade {

Rows mean_of_blocks(const View& view, Pos head, Pos block, Range rows, Pos view_begin) {
  SACCADE_ASSERT(block > 0 && rows.begin >= view_begin && rows.end <= view_begin + view.len, "rows of the view");
  if (rows.empty()) return {0, view.dim, {}};
  const Pos first = rows.begin / block, end = (rows.end + block - 1) / block;
  Rows out{end - first, view.dim, std::vector<float>(static_cast<std::size_t>((end - first) * view.dim))};
  for (Pos u = first; u < end; ++u) {
    const Range range{std::max(rows.begin, u * block), std::min(rows.end, (u + 1) * block)};
    const Rows some = load(view, head, {range.begin - view_begin, range.end - view_begin});
    float* mean = out.row(u - first);
    for (Pos i = 0; i < some.n; ++i) {
      for (Pos c = 0; c < some.dim; ++c) mean[c] += some.row(i)[c];
    }
    for (Pos c = 0; c < some.dim; ++c) mean[c] /= static_cast<float>(some.n);
  }
  return out;
}

Rows strided(const View& view, Pos head, Pos stride, Range rows, bool reversed, Pos view_begin) {
  SACCADE_ASSERT(stride > 0, "a stride of at least one row");
  const Pos n = (rows.size() + stride - 1) / stride, dim = view.dim;
  Rows out{n, stride * dim, std::vector<float>(static_cast<std::size_t>(n * stride * dim))};
  for (Pos i = 0; i < n; ++i) {
    const Pos first = rows.begin + i * stride;
    const Pos begin = std::max(first, view_begin);
    const Pos end = std::min({first + stride, rows.end, view_begin + view.len});
    if (begin >= end) continue;
    const Pos from = reversed ? end - 1 : begin, place = reversed ? first + stride - end : begin - first;
    kernel::load_rows(view.dtype, view.row(from - view_begin, head), reversed ? -view.len_stride : view.len_stride,
                      static_cast<int>(end - begin), static_cast<int>(dim), out.row(i) + place * dim);
  }
  return out;
}

}  // namespace saccade
