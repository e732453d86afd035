#include "saccade/plan/catalogue.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "python/src/bind.h"
#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

const char* goes_by(MechanismKind kind) {
  switch (kind) {
    case MechanismKind::kPattern:
      return "positions";
    case MechanismKind::kSelector:
      return "data";
    case MechanismKind::kReviewer:
      return "choices";
    case MechanismKind::kProbe:
      return "weights";
  }
  return "?";
}

nb::str text(std::string_view view) { return nb::str(view.data(), view.size()); }

nb::dict to_dict(const MechanismInfo& info) {
  nb::list params;
  for (const ParamInfo& param : info.params) {
    nb::dict one;
    one["name"] = param.name;
    one["type"] = param.type;
    one["default"] = param.default_value;
    one["help"] = param.help;
    params.append(one);
  }
  nb::dict dict;
  dict["word"] = text(info.word);
  dict["name"] = text(info.name);
  dict["params"] = params;
  dict["sentence"] = text(info.sentence);
  dict["source"] = text(info.source);
  dict["goes_by"] = goes_by(info.kind);
  if (info.kind != MechanismKind::kSelector) return dict;
  dict["prefill"] = info.traits.prefill;
  dict["decode"] = info.traits.decode;
  dict["exact_on_selection"] = info.traits.exact_on_selection;
  dict["needle"] = info.traits.needle;
  dict["depends_on_batch"] = info.traits.depends_on_batch;
  return dict;
}

nb::list list_mechanisms(const std::optional<std::string>& word) {
  nb::list all;
  std::vector<std::string_view> words;
  for (const MechanismInfo& info : catalogue()) {
    words.push_back(info.word);
    if (!word || info.word == *word) all.append(to_dict(info));
  }
  if (nb::len(all) == 0) fail_user("there is no mechanism of the word '" + *word + "'; " + suggest(*word, words));
  return all;
}

nb::dict show(const std::string& name) {
  if (const MechanismInfo* info = find(name)) return to_dict(*info);
  std::vector<std::string_view> names;
  for (const MechanismInfo& info : catalogue()) names.push_back(info.name);
  fail_user("there is no mechanism '" + name + "'; " + suggest(name, names));
}

}  // namespace

void bind_catalogue(nb::module_& m) {
  m.def("list", &list_mechanisms, "word"_a = nb::none(),
        "Every mechanism, or those of one word: dicts of word, name, params, sentence, source and what it goes by; of\n"
        "selectors also what they promise. As `saccade list --json`.",
        nb::sig("def list(word: str | None = None) -> collections.abc.Sequence[dict[str, typing.Any]]"));
  m.def("show", &show, "name"_a,
        "One mechanism in full, as a dict. Errors: ValueError for an unknown name, with its nearest neighbour.",
        nb::sig("def show(name: str) -> dict[str, typing.Any]"));
}

}  // namespace saccade::python
