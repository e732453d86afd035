#include "saccade/judge/sample.h"

#include <algorithm>

namespace saccade::judge {

std::vector<Pos> sample_positions(Pos n_prompt, Pos n_samples) {
  const Pos n = std::max<Pos>(0, n_prompt - 1), half = n / 2;
  n_samples = std::min(n, n_samples);
  const Pos late = std::min(n - half, n_samples - n_samples / 4), early = std::min(half, n_samples - late);
  std::vector<Pos> positions;
  positions.reserve(static_cast<std::size_t>(n_samples));
  // The middle of each of `count` equal parts of [begin, end): distinct, because a part is at least one position long.
  const auto spread = [&](Pos begin, Pos end, Pos count) {
    for (Pos i = 0; i < count; ++i) positions.push_back(begin + (2 * i + 1) * (end - begin) / (2 * count));
  };
  spread(0, half, early);
  spread(half, n, n_samples - early);
  return positions;
}

}  // namespace saccade::judge
