#include "saccade/plan/catalogue.h"
#include "tests/fuzz/fuzz.h"

namespace saccade::fuzz {

std::vector<std::string> spec_words() {
  std::vector<std::string> words{"+", "&", "(", ")", ",", "=", "0", "1", "-1", "0.5", "9223372036854775807", "on"};
  for (const auto& mechanisms : {choices(), edits(), weighers()}) {
    for (const MechanismInfo* info : mechanisms) {
      words.emplace_back(info->name);
      for (const ParamInfo& param : info->params) {
        words.push_back(param.name + "=");
        words.push_back(param.default_value);
      }
    }
  }
  return words;
}

}  // namespace saccade::fuzz
