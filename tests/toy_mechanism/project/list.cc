// list         every mechanism with its parameters, defaults, sentence and source
// list SPEC    which keys the query at position 9 sees

#include <fmt/format.h>

#include "saccade/base/error.h"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/plan.h"

int main(int argc, char** argv) {
  try {
    if (argc > 1) {
      const saccade::Plan plan = saccade::Plan::from_spec(argv[1]);
      fmt::print("{}: query 9 sees", plan.print());
      for (saccade::Pos k_pos = 0; k_pos < 16; ++k_pos) {
        if (plan.choice(0, 0).pattern()->admits(9, k_pos)) fmt::print(" {}", k_pos);
      }
      fmt::print("\n");
      return 0;
    }
    for (const saccade::MechanismInfo& info : saccade::catalogue()) {
      fmt::print("{} {}(", info.word, info.name);
      for (const saccade::ParamInfo& param : info.params) fmt::print("{}={}", param.name, param.default_value);
      fmt::print("): {} Source: {}\n", info.sentence, info.source);
    }
    return 0;
  } catch (const saccade::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return error.exit_code();
  }
}
