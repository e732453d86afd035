#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/saccade/options.h"

namespace saccade::app {

/// What `saccade bench select` takes.
struct SelectOptions : RowOptions {
  std::string along = "dense";               ///< what the prompt is read with
  std::vector<std::int64_t> layers;          ///< empty: six, evenly spaced
  std::vector<std::int64_t> at = {50, 100};  ///< percent of the prompt: the batches that end there
  std::int64_t n_rows = 32, n_decoded = 4, repetitions = 3;
  bool fallbacks = false;
};

/// Errors: Fault::kUser, one line that names the flag, its rule and its value.
void check(const SelectOptions& options);

/// How much selectors recover and save on the queries and keys of a real prompt. Prints its table or its JSON object.
/// Errors: as bench_attend
void bench_select(const SelectOptions& options);

}  // namespace saccade::app
