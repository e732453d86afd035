#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "saccade/base/precision.h"
#include "saccade/base/team.h"

namespace saccade::app {

/// The machine's own limits, each as one run of known work on every worker of a team (kernel/peak.h). Each leaves the
/// kernels' CPU target as it needs it.
/// Errors of all: Fault::kMachine when a loop's result shows that it did not do its work.

/// f32 multiply-adds from registers on a CPU target; returns FLOP.
double run_multiply_add(const std::string& target, Team& team);

bool has_multiply_add_i16(const std::string& target);
/// 16-bit integer multiply-adds (AVX-512 VNNI); returns operations, two a multiply-add.
/// Requires has_multiply_add_i16(target).
double run_multiply_add_i16(const std::string& target, Team& team);

/// bf16 tile products on the matrix unit (AMX). What they cost depends on the numbers: zeros are the paper peak, random
/// numbers what a program gets.
class TileProducts {
 public:
  /// On the target: is there a matrix unit, and may we use it?
  static bool exist(const std::string& target);
  /// Requires exist(target).
  TileProducts(std::string target, bool zeros, Team& team);
  /// Returns FLOP.
  double run();
  void check() const;

 private:
  std::string target_;
  Team& team_;
  std::vector<std::uint32_t> left_, right_;
  std::vector<float> sums_;  ///< one part a worker
};

/// Which of these rates binds a precision on a target: "fma_f32", "vnni_i16", "amx_bf16_random". bf16 without a matrix
/// unit is emulated with f32 multiply-adds.
const char* peak_of(Precision precision, const std::string& target);
/// One run at that rate; returns operations, two a multiply-add.
std::function<double()> run_of(const std::string& peak, const std::string& target, Team& team);

/// Additions that wait for one another, on this thread; returns their number, which is that of the cycles.
double run_dependent_adds();

/// The kernels' exponential on a CPU target, from L1 to L1.
class Exponential {
 public:
  Exponential(std::string target, Team& team);
  /// Returns exponentials.
  double run();
  /// Errors also when a result is further from 2^x than exp2-inl.h says.
  void check() const;

 private:
  std::string target_;
  Team& team_;
  std::vector<float> x_;
  std::vector<float> y_;  ///< one part a worker
};

/// Reads pieces of memory in order, `passes` times; each worker its share of each piece. Borrows the pieces.
class Reading {
 public:
  Reading(std::vector<std::span<const std::byte>> pieces, int passes, Team& team);
  /// Returns bytes.
  double run();
  void check() const;

 private:
  std::vector<std::span<const std::byte>> pieces_;
  int passes_;
  Team& team_;
  std::uint64_t sum_ = 0;
};

}  // namespace saccade::app
