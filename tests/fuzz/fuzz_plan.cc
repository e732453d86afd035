// Any text as a plan: it is refused in one line, or printed and read again it is the same, and it has a choice for any
// head of any layer.
#include "saccade/plan/plan.h"
#include "tests/fuzz/fuzz.h"

namespace saccade::fuzz {
namespace {

Plan read_again(const Plan& plan) {
  const std::string text = plan.print();
  return text.starts_with('{') ? Plan::from_json(text) : Plan::from_spec(text);
}

void run(std::string_view text) {
  passes([&] {
    const Plan plan = Plan::from_json(text);
    require(read_again(plan) == plan, "read(print(plan)) == plan");
    require(&plan.choice(3, 1) == &plan.choice(3, 1), "a head's choice stays where it is");
    plan.edit(3, 1);
    plan.check(24, 14);
  });
}

}  // namespace
}  // namespace saccade::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  saccade::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all = saccade::fuzz::spec_words();
    for (const char* word :
         {"{", "}", "[", "]", ":", ",", "\"", "\"default\":", "\"rows\":", "\"attn\":", "\"layers\":", "\"heads\":",
          "\"precision\":", "\"linear\":", "\"steer\":", "\"auto\"", "\"bf16\"", "0,3-5", "1000000"})
      all.emplace_back(word);
    return all;
  }();
  return saccade::fuzz::mutate(data, size, max_size, seed, words);
}
