#pragma once

#include <span>
#include <string>
#include <vector>

#include "apps/saccade/bench/layers.h"
#include "saccade/base/precision.h"
#include "saccade/base/team.h"
#include "saccade/oracle/expected.h"
#include "saccade/where/where.h"

namespace saccade::app {

/// One row of a problem: one query, one head, and the keys and values it may see, decoded.
struct SampleRow {
  Pos i = 0, head = 0;
  oracle::Inputs in;
};
/// The first query, one in the middle, and the last one twice, in different heads.
std::vector<SampleRow> sample_rows(const Layers& data);

/// Some rows of a problem with their fp64 results: what a result is held against before it is reported, by the rule of
/// oracle/expected.h. Cost: a few seconds for rows of 128k keys.
class Law {
 public:
  /// `where`: one for all heads, or one a head. All are borrowed.
  Law(const Layers& data, const std::vector<SampleRow>& rows, std::span<const Where* const> where, Team& team);

  /// Ours, in a named precision. `o`: [q_len, n_heads, head_dim].
  /// Errors: Fault::kMachine, one line, when a sampled row breaks the rule or any number is not finite.
  void check(std::span<const float> o, Precision precision, const std::string& who) const;
  /// ggml's, which rounds queries, weights and sums to about the type of the keys: its eps is that type's, or f16's.
  void check_peer(std::span<const float> o, const std::string& who) const;

 private:
  struct Sample {
    Pos i = 0, head = 0;
    oracle::Expected plain = {};                ///< f32
    oracle::Row<double> fixed = {}, bf16 = {};  ///< plain loops in those precisions
  };
  using PlainRow = oracle::Row<double> Sample::*;
  /// `also`: the plain loop, beside f32's, that the error is measured with; may be null.
  void check_rows(std::span<const float> o, const std::string& who, double eps, PlainRow also) const;

  const Layers& data_;
  std::vector<Sample> samples_;
};

}  // namespace saccade::app
