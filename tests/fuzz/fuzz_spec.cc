// Any text as a spec: it is refused in one line, or printed and read again it is the same, and a pattern that comes of
// it keeps the laws of Where.
#include <algorithm>

#include "saccade/plan/spec.h"
#include "tests/fuzz/fuzz.h"

namespace saccade::fuzz {
namespace {

/// Visits are sorted, disjoint and not empty; every admitted key is visited; `full` does not lie.
void check_visits(const Where& where, Range q_block) {
  VisitList visits;
  where.visits(q_block, visits);
  Pos at = 0;
  for (const Visit& visit : visits) {
    require(visit.keys.begin >= at && !visit.keys.empty(), "visits are sorted, disjoint and not empty");
    at = visit.keys.end;
  }
  for (Pos q_pos = q_block.begin; q_pos < q_block.end; ++q_pos) {
    for (Pos key = std::max<Pos>(0, q_pos - 40); key <= q_pos; ++key) {
      const auto visit = std::ranges::find_if(visits, [&](const Visit& v) { return key < v.keys.end; });
      const bool visited = visit != visits.end() && visit->keys.begin <= key;
      const bool admitted = where.admits(q_pos, key);
      require(visited || !admitted, "every admitted key is visited");
      require(admitted || !visited || !visit->full, "a full visit does not lie");
    }
  }
}

void run(std::string_view text) {
  Spec spec;
  if (!passes([&] { spec = parse_spec(text); })) return;
  require(parse_spec(print_spec(spec)) == spec, "parse(print(spec)) == spec");
  passes([&] { build_edit(spec); });
  passes([&] { build_softcap(spec); });
  ChoicePtr choice;
  if (!passes([&] { choice = build_choice(spec); })) return;
  if (const WherePtr pattern = choice->pattern()) {
    check_visits(*pattern, {0, 20});
    check_visits(*pattern, {65'521, 65'530});
  }
}

}  // namespace
}  // namespace saccade::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  saccade::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  static const std::vector<std::string> words = saccade::fuzz::spec_words();
  return saccade::fuzz::mutate(data, size, max_size, seed, words);
}
