#include "saccade/plan/plan.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "python/src/arguments.h"
#include "python/src/bind.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace saccade::python {
namespace {

constexpr const char* kPlanDoc =
    R"doc(Which layer and head uses which mechanism: plain data. Later rows win over earlier ones.

  Plan("window(1024)+sink(4)")       one spec for everything
  Plan({"default": {"attn": "dense"}, "rows": [{"layers": "2-23", "heads": "0,3-5", "attn": "window(1024)"}]})
  Plan.load("plan.json")             a plan file; what is no file is a spec

Errors    ValueError, one line; an unknown key, mechanism or parameter names its nearest neighbour)doc";

}  // namespace

void bind_plan(nb::module_& m) {
  const nb::class_<Patterns> patterns(m, "Patterns",
                                      "Who sees whom, already decided: what select() and mask_mod() return.");
  nb::class_<Plan> plan(m, "Plan", kPlanDoc);
  plan.def(
      "__init__", [](Plan* self, nb::handle attn) { new (self) Plan(*read_attn(attn).plan); }, "attn"_a,
      nb::sig("def __init__(self, attn: str | dict | Plan) -> None"));
  plan.def_static("load", &Plan::load, "file_or_spec"_a,
                  "A file that exists is read as JSON, anything else is a spec.");
  plan.def_static(
      "from_json", [](const std::string& json) { return Plan::from_json(json); }, "json"_a,
      "Reads the text of a plan file.");
  plan.def("check", &Plan::check, "n_layers"_a, "n_heads"_a,
           "Raises ValueError when a row names a layer or head that a model of this size does not have.");
  plan.def_prop_ro(
      "precision", [](const Plan& self) { return std::string(name_of(self.precision())); },
      "\"auto\", \"f32\", \"i16\" or \"bf16\".");
  plan.def(
      "with_precision",
      [](const Plan& self, const std::string& word) { return self.with_precision(parse_precision(word)); },
      "precision"_a, "The same plan in other numbers.");
  plan.def_prop_ro("depends_on_batch", &Plan::depends_on_batch,
                   "A choice somewhere depends on how a prompt is cut into calls.");
  plan.def("__str__", &Plan::print);
  plan.def("__repr__", [](const Plan& self) {
    return "saccade.Plan(" + std::string(nb::repr(nb::cast(self.print())).c_str()) + ")";
  });
  plan.def(
      "__eq__", [](const Plan& self, const Plan& other) { return self == other; }, nb::is_operator(),
      nb::sig("def __eq__(self, arg: object, /) -> bool"));
}

}  // namespace saccade::python
