#include "saccade/plan/catalogue.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "python/src/arguments.h"
#include "python/src/bind.h"
#include "saccade/base/error.h"
#include "saccade/plan/catalogue_json.h"
#include "saccade/plan/nearest.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

/// The object that the command line and the C ABI show too.
nb::dict to_dict(const MechanismInfo& info) {
  return nb::cast<nb::dict>(nb::module_::import_("json").attr("loads")(to_json(info).dump()));
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
  m.def("softcap_of", &read_weigh, "weigh"_a, "layer"_a = 0,
        "The soft cap that a `weigh` argument asks for in a layer, 0 for none. Errors: ValueError, one line.",
        nb::sig("def softcap_of(weigh: typing.Any, layer: int = 0) -> float"));
}

}  // namespace saccade::python
