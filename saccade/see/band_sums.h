#pragma once

#include <string>

#include "saccade/base/error.h"
#include "saccade/see/parts/per_key.h"
#include "saccade/see/probe.h"

namespace saccade::see {

/// How much each key was looked at from a band of distances: the sum of its weights over the queries that stand
/// `begin` to `end` tokens behind it.
///   sums[key] = sum over queries with begin <= q_pos - k_pos < end of weight
/// Divided by the number of such queries, and averaged over the global heads, it is FAI.
///
/// Accuracy  rows of 64 queries in f32, their sums in f64
/// Cost      an addition a pair of the band; 8 bytes a key and head
/// Source    Li et al. 2025, "Attention Illuminates LLM Reasoning", arXiv:2510.13554
class BandSums final : public Probe {
 public:
  Pos begin_distance = 10, end_distance = 51;

  void fields(auto& f) {
    f("begin_distance", begin_distance, "the nearest distance that counts");
    f("end_distance", end_distance, "the first distance that is too far");
  }
  void check() const {
    if (begin_distance < 0 || end_distance <= begin_distance) {
      fail_user("see/band_sums: distances must be 0 <= begin < end, got " + std::to_string(begin_distance) + " and " +
                std::to_string(end_distance));
    }
  }
  TileWants tile_wants() const override { return {.column_sums = holds_tiles()}; }
  void begin(const LookShape& shape) override { sums_.grow(shape); }
  void observe(const WeightTile& tile) override;

  const PerKey& sums() const { return sums_; }

 private:
  /// Is it wide enough for whole tiles to lie in it?
  bool holds_tiles() const {
    return end_distance - begin_distance >= WeightTile::kMostQueries + WeightTile::kMostKeys - 1;
  }

  PerKey sums_;
};

}  // namespace saccade::see
