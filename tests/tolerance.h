#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>

#include "saccade/oracle/expected.h"

// The one rule by which results are judged stands in oracle/expected.h, where `saccade bench` finds it too; here it
// meets gtest.
namespace saccade::oracle {

/// Judges one row; `lse` null: only o. The failure says where, what, how far, and how to get it again.
inline ::testing::AssertionResult judge(const Expected& row, std::span<const float> o, const float* lse,
                                        std::uint64_t seed) {
  const std::string fault = fault_of(row, o, lse);
  if (fault.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << fault << "; seed " << seed;
}

}  // namespace saccade::oracle

namespace saccade::testing {

using oracle::expect_row;
using oracle::Expected;
using oracle::is_allowed;
using oracle::judge;

}  // namespace saccade::testing
