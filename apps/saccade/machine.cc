#include "apps/saccade/machine.h"

#include <fstream>

#include "saccade/commit.h"

namespace saccade::app {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string built_from() {
  const std::string commit = kCommit;
  return commit.empty() ? "unknown" : commit;
}

}  // namespace saccade::app
