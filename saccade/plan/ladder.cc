#include "saccade/plan/ladder.h"

#include <map>

namespace saccade {
namespace {

using Specs = std::vector<std::string>;

/// `head`, each of the numbers, `tail`.
Specs steps(const std::string& head, std::initializer_list<const char*> numbers, const std::string& tail) {
  Specs specs;
  for (const char* number : numbers) specs.push_back(head + number + tail);
  return specs;
}

const std::map<std::string, Specs, std::less<>>& ladders() {
  static const std::map<std::string, Specs, std::less<>> all = {
      {"streaming", steps("streaming(n_sink=64, window=", {"128", "512", "1024", "2048"}, ")")},
      {"xattention", steps("xattention(tau=", {"0.7", "0.8", "0.9", "0.95", "0.97", "0.99"}, ")+window(256)")},
      {"sparge", steps("sparge(tau=", {"0.7", "0.8", "0.9", "0.95", "0.97", "0.99"}, ")+window(256)")},
      {"flexprefill", steps("flexprefill(gamma=", {"0.8", "0.9", "0.95", "0.98", "0.99"}, ")+window(256)")},
      {"minference",
       {"minference(a_shape, n_sink=100, window=800)", "minference(vertical_size=30, slash_size=800)",
        "minference(vertical_size=100, slash_size=800)", "minference(vertical_size=100, slash_size=750)",
        "minference(vertical_size=500, slash_size=700)", "minference(vertical_size=3500, slash_size=100)",
        "minference(vertical_size=1000, slash_size=6096)", "minference(block_sparse, n_blocks=100)"}}};
  return all;
}

}  // namespace

Specs ladder_of(std::string_view spec) {
  const auto ladder = ladders().find(spec);
  return ladder != ladders().end() ? ladder->second : Specs{std::string(spec)};
}

}  // namespace saccade
