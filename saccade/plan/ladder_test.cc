#include "saccade/plan/ladder.h"

#include <gtest/gtest.h>

#include <set>

#include "saccade/plan/plan.h"

namespace saccade {
namespace {

TEST(Ladder, BareNamesStandForManySpecsThatCanAllBeBuilt) {
  for (const char* name : {"streaming", "xattention", "sparge", "flexprefill", "minference"}) {
    std::set<std::string> canonical;
    const auto ladder = ladder_of(name);
    for (const auto& spec : ladder) canonical.insert(Plan::from_spec(spec).print());
    EXPECT_GE(ladder.size(), 4U) << name;
    EXPECT_EQ(canonical.size(), ladder.size()) << name << ": each once";
  }
}

TEST(Ladder, EverythingElseStandsForItself) {
  for (const char* spec : {"xattention(tau=0.9)", "sparge+window(256)", "dense", "no such thing"})
    EXPECT_EQ(ladder_of(spec), std::vector<std::string>{spec});
}

}  // namespace
}  // namespace saccade
