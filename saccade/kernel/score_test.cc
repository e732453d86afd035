#include "saccade/kernel/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "saccade/kernel/targets.h"
#include "tests/support/random.h"

namespace saccade::kernel {
namespace {

/// As Google Test compares: equal numbers, or both NaN.
bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

/// Rows go into a tile and come out, each over its sum, on every target: exactly the numbers of plain loops.
TEST(Tiles, RowsGoInAndComeOutOverTheirSums) {
  testing::Random random(11);
  for (const std::string& target : supported_targets()) {
    force_target(target);
    for (const int dim : {8, 32, 64, 72, 576}) {
      for (const int n_rows : {1, 3, 4, 15, 16, 17, 47, 48}) {
        std::vector<float> rows(static_cast<std::size_t>(n_rows * dim));
        for (float& x : rows) x = random.normal();
        alignas(64) float sums[kTileRows];
        for (float& sum : sums) sum = 0.5F + static_cast<float>(random.uniform());
        sums[n_rows / 2] = 0.0F;                                            // nothing seen
        if (n_rows > 4) sums[1] = std::numeric_limits<float>::quiet_NaN();  // a NaN seen

        std::vector<float> memory(static_cast<std::size_t>(dim * kTileRows) + 16, 7.0F);
        void* aligned = memory.data();
        std::size_t room = memory.size() * sizeof(float);
        auto* tile = static_cast<float*>(std::align(64, room - 64, aligned, room));
        pack_tile(rows.data(), n_rows, dim, tile);
        for (int i = 0; i < kTileRows; ++i) {
          for (int c = 0; c < dim; ++c) {
            ASSERT_EQ(tile[c * kTileRows + i], i < n_rows ? rows[static_cast<std::size_t>(i * dim + c)] : 0.0F)
                << target;
          }
        }
        std::vector<float> out(rows.size(), -1.0F);
        unpack_tile(tile, sums, n_rows, dim, out.data());
        for (int i = 0; i < n_rows; ++i) {
          for (int c = 0; c < dim; ++c) {
            const auto at = static_cast<std::size_t>(i * dim + c);
            const float expected = sums[i] == 0.0F ? 0.0F : rows[at] / sums[i];
            ASSERT_TRUE(same(out[at], expected))
                << target << ", row " << i << " of " << n_rows << ", c " << c << " of " << dim;
          }
        }
      }
    }
  }
  force_target("");
}

}  // namespace
}  // namespace saccade::kernel
