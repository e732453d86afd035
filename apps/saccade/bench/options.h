#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace saccade::app {

/// What `saccade bench` takes, as typed; numbers are wide, so that "too large" is a rule and not a wrap. Lists hold one
/// entry per value; empty means the command's own default.
struct BenchOptions {
  std::vector<std::int64_t> head_dims, kv_lens, threads, tokens;
  std::vector<std::string> types, precisions, targets, matrices;
  std::vector<double> densities;
  std::int64_t q_len = 512, n_heads = 8, n_kv_heads = 2;
  std::int64_t repetitions = 0;  ///< 0: the command's own default
  std::int64_t footprint_mib =
      512;  ///< decode: keys and values of all layers together, at least; machine: the largest read
  bool given_repetitions = false, json = false;
};

template <class T>
std::vector<T> or_else(const std::vector<T>& given, const std::vector<T>& other) {
  return given.empty() ? other : given;
}

/// Errors: Fault::kUser, one line that names the flag, its rule and its value.
void check(const BenchOptions& options);

/// Each prints its table or its JSON object, and throws `Error` (or `Interrupted`) instead of printing a problem.
/// Errors: Fault::kMachine when a result breaks its law: then nothing is reported.
void bench_attend(const BenchOptions& options);
void bench_decode(const BenchOptions& options);
void bench_linear(const BenchOptions& options);
void bench_machine(const BenchOptions& options);
void bench_see(const BenchOptions& options);

}  // namespace saccade::app
