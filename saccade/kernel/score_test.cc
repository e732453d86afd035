#include "saccade/kernel/score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "saccade/base/half.h"
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

/// The numbers that plain loops give, on every target.
TEST(KeptRows, AddUpByColumnAndAlongDiagonals) {
  testing::Random random(12);
  for (const std::string& target : supported_targets()) {
    force_target(target);
    for (const int n_rows : {1, 7, 8, 9, 21}) {
      for (const int n : {1, 15, 16, 40, 1008}) {
        const int stride = n + kKeptMargin, n_diagonals = n + n_rows - 1;
        std::vector<std::uint16_t> memory(static_cast<std::size_t>(kKeptMargin + n_rows * stride), 0);
        std::uint16_t* const kept = memory.data() + kKeptMargin;
        std::vector<float> gain, weights(static_cast<std::size_t>(n));
        std::vector<float> columns(static_cast<std::size_t>(n + kKeptMargin), 2.0F), plain_columns = columns;
        std::vector<float> diagonals(static_cast<std::size_t>(n_diagonals + kKeptMargin), 3.0F), plain = diagonals;
        for (int r = 0; r < n_rows; ++r) {
          gain.push_back(random.normal());
          for (float& weight : weights) weight = -static_cast<float>(random.between(0, 20));
          keep_row(weights.data(), n, {}, 0.0F, kept + r * stride);
          for (int j = 0; j < n; ++j) {
            const float weight = f32_from_f16(kept[r * stride + j]) * gain.back();
            plain_columns[static_cast<std::size_t>(j)] += weight;
            plain[static_cast<std::size_t>(n_rows - 1 - r + j)] += weight;
          }
        }
        add_kept(kept, stride, n_rows, n, gain.data(), columns.data(), diagonals.data());
        for (int j = 0; j < n; ++j) {
          ASSERT_EQ(columns[static_cast<std::size_t>(j)], plain_columns[static_cast<std::size_t>(j)]) << target;
        }
        for (int x = 0; x < n_diagonals; ++x) {
          ASSERT_EQ(diagonals[static_cast<std::size_t>(x)], plain[static_cast<std::size_t>(x)])
              << target << ", " << n_rows << " x " << n << ", " << x;
        }
      }
    }
  }
  force_target("");
}

/// Each row to the sum of its level, on every target; what stands in rows of none, NaN too, is not looked at.
TEST(Tiles, WhatRowsSawIsAddedByLevel) {
  constexpr int kDim = 24, kLevels = 5, kSums = kLevels * (1 + kDim) * kTileRows;
  testing::Random random(13);
  alignas(64) static float o[kDim * kTileRows];
  alignas(64) static float sums[kSums];
  alignas(64) float row_sum[kTileRows], factor[kTileRows];
  alignas(64) std::int32_t level[kTileRows];
  for (const std::string& target : supported_targets()) {
    force_target(target);
    for (float& x : o) x = random.normal();
    for (float& x : sums) x = random.normal();
    std::vector<float> plain(sums, sums + kSums);
    for (int i = 0; i < kTileRows; ++i) {
      row_sum[i] = random.normal(), factor[i] = random.normal();
      level[i] = static_cast<std::int32_t>(random.between(-1, kLevels - 1));
      if (level[i] < 0) o[5 * kTileRows + i] = row_sum[i] = std::numeric_limits<float>::quiet_NaN();
      for (int c = 0; c <= kDim && level[i] >= 0; ++c) {
        const float product = factor[i] * (c == 0 ? row_sum[i] : o[(c - 1) * kTileRows + i]);
        plain[static_cast<std::size_t>((level[i] * (1 + kDim) + c) * kTileRows + i)] += product;
      }
    }
    add_by_level(o, row_sum, factor, level, kDim, sums);
    for (int i = 0; i < kSums; ++i) ASSERT_EQ(sums[i], plain[static_cast<std::size_t>(i)]) << target << ", " << i;
  }
  force_target("");
}

}  // namespace
}  // namespace saccade::kernel
