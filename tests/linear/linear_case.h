#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "saccade/linear/linear.h"
#include "saccade/oracle/linear.h"
#include "tests/tolerance.h"

namespace saccade::testing {

/// Of a repacked format: what it is repacked from.
ggml_type ggml_type_of(ParamFormat type);

/// The buffer type in which ggml's CPU backend keeps repacked weights; null when it has none.
ggml_backend_buffer_type_t repack_buffer_type();

/// Weights as ggml lays them out on a buffer of this type; empty when it does not take them there.
std::vector<std::byte> stored_params(ggml_type type, const std::vector<std::byte>& quantised, Pos n_rows, Pos dim,
                                     ggml_backend_buffer_type_t buffer_type);

/// One matrix product; everything follows from the seed.
struct LinearCase {
  std::uint64_t seed = 0;
  ParamFormat type = ParamFormat::q8_0;
  Pos n_tokens = 1, n_rows = 1, dim = 256;
  Pos x_gap = 0, y_gap = 0;  ///< floats between one row and the next
  float gain = 1.0F;
  bool spikes = false;  ///< one in 40 elements is 30 times as large
  int team = 1;
  Precision precision = Precision::kAuto;
  bool few = false;  ///< linear_few, which knows no precision
};

std::ostream& operator<<(std::ostream& out, const LinearCase& c);

/// `seed` runs through all types; the rest but the precision is drawn.
LinearCase draw_linear_case(std::uint64_t seed, Precision precision);

/// The same for linear_few: its types, and tokens in numbers that it is for.
LinearCase draw_few_case(std::uint64_t seed);

/// A case with its inputs filled in.
class LinearProblem {
 public:
  explicit LinearProblem(const LinearCase& c);

  const LinearCase& shape() const { return case_; }
  const oracle::LinearInputs& inputs() const { return in_; }
  ParamView params() const;
  /// Changes one token; the oracle sees it too.
  void set_token(Pos t, const std::vector<float>& values);

  /// y [n_tokens, n_rows] of ours. Expects that nothing between its rows is written.
  std::vector<float> run() const { return run(case_.team); }
  std::vector<float> run(int team) const;
  /// The same of ggml's CPU backend, on 2 threads.
  std::vector<float> run_ggml() const;

  /// How far the results of a token may be off: twice the error of plain loops that round where ours rounds.
  Expected expect(Pos t) const;

 private:
  LinearCase case_;
  oracle::LinearInputs in_;
  std::vector<std::byte> params_;  ///< as ggml quantises them
  std::vector<std::byte> stored_;  ///< as ours reads them
};

}  // namespace saccade::testing
