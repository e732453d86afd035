#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace saccade::oracle {

/// The rows of a tile through softmax attention in which faint keys go by runs of 8 (where/skip_softmax.h), in fp64.
struct SkippedRows {
  std::vector<std::vector<double>> o;  ///< [rows][v_dim]
  std::vector<double> lse;             ///< natural
  std::int64_t n_skipped = 0;          ///< pairs
  double gap =
      std::numeric_limits<double>::infinity();  ///< of the closest decision, in log2: below it rounding decides
};

/// Shapes    scores [rows][n_keys], natural; values [n_keys][v_dim]; n_keys a multiple of 128
/// Requires  0 < share <= 1; at most 48 rows, each 16 of which decide together which runs are faint, and all of them
///           whether that is worth it
inline SkippedRows skip_softmax(const std::vector<std::vector<double>>& scores,
                                const std::vector<std::vector<double>>& values, double share) {
  constexpr std::size_t kBlock = 128, kRun = 8, kRuns = kBlock / kRun, kTogether = 16;
  const std::size_t n_rows = scores.size(), v_dim = values[0].size();
  SkippedRows out{.o = std::vector(n_rows, std::vector<double>(v_dim, 0.0))};
  std::vector<double> most(n_rows, -std::numeric_limits<double>::infinity()), sum(n_rows, 0.0);
  const double log2e = std::log2(std::exp(1.0));
  for (std::size_t block = 0; block < values.size(); block += kBlock) {
    bool keeps_of[3 * kRuns] = {};
    std::vector<double> before(n_rows);  // what the sums so far are still worth
    for (std::size_t r = 0; r < n_rows; ++r) {
      bool* const keeps = keeps_of + r / kTogether * kRuns;
      const double* s = scores[r].data() + block;
      const double now = std::max(most[r], log2e * *std::max_element(s, s + kBlock));
      before[r] = std::exp2(most[r] - now);
      most[r] = now;
      const double so_far = std::log2(std::max(1.0, before[r] * sum[r]));
      if (so_far > 0) out.gap = std::min(out.gap, std::fabs(so_far - std::nearbyint(so_far)));
      const double limit = now + std::floor(so_far) + std::log2(share);
      for (std::size_t run = 0; run < kRuns; ++run) {
        const double top = log2e * *std::max_element(s + run * kRun, s + (run + 1) * kRun);
        out.gap = std::min(out.gap, std::fabs(top - limit));
        keeps[run] = keeps[run] || top >= limit;
      }
    }
    const std::size_t n_groups = (n_rows + kTogether - 1) / kTogether;
    const auto n_kept = static_cast<std::size_t>(std::count(keeps_of, keeps_of + n_groups * kRuns, true));
    const bool all = n_kept * 4 > n_groups * kRuns * 3;  // too few to be worth it
    for (std::size_t r = 0; r < n_rows; ++r) {
      const bool* const keeps = keeps_of + r / kTogether * kRuns;
      if (!all) out.n_skipped += static_cast<std::int64_t>(kRun) * std::count(keeps, keeps + kRuns, false);
      const auto weight = [&](std::size_t key) { return std::exp2(log2e * scores[r][block + key] - most[r]); };
      const auto largest = [&](std::size_t run) {
        double top = 0;
        for (std::size_t key = run * kRun; key < (run + 1) * kRun; ++key) top = std::max(top, weight(key));
        return top;
      };
      double kept = 0, strong = 0;
      for (std::size_t key = 0; key < kBlock; ++key) kept += all || keeps[key / kRun] ? weight(key) : 0;
      for (std::size_t run = 0; run < kRuns; ++run) strong += keeps[run] ? largest(run) : 0;
      const double each = std::min(1.0, (strong > 0 ? kept / strong : 2.0) / kRun);
      sum[r] *= before[r];
      for (double& o : out.o[r]) o *= before[r];
      for (std::size_t key = 0; key < kBlock; ++key) {
        const double w = all || keeps[key / kRun] ? weight(key) : each * largest(key / kRun);
        sum[r] += w;
        for (std::size_t c = 0; c < v_dim; ++c) out.o[r][c] += w * values[block + key][c];
      }
    }
  }
  for (std::size_t r = 0; r < n_rows; ++r) {
    for (double& o : out.o[r]) o /= sum[r];
    out.lse.push_back((most[r] + std::log2(sum[r])) / log2e);
  }
  return out;
}

}  // namespace saccade::oracle
