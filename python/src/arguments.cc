#include "python/src/arguments.h"

#include <nanobind/stl/string.h>

#include <cmath>
#include <map>

#include "python/src/arrays.h"
#include "saccade/base/error.h"
#include "saccade/plan/fields.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/spec.h"
#include "saccade/weigh/softcap.h"

namespace nb = nanobind;

namespace saccade::python {
namespace {

/// Specs are read once: reading one takes as long as a small call. Guarded by the GIL.
std::shared_ptr<const Plan> plan_of_spec(const std::string& spec) {
  constexpr std::size_t kMost = 256;
  static auto* const known = new std::map<std::string, std::shared_ptr<const Plan>>;
  const auto found = known->find(spec);
  if (found != known->end()) return found->second;
  auto plan = std::make_shared<const Plan>(Plan::from_spec(spec));
  if (known->size() == kMost) known->clear();
  return known->emplace(spec, std::move(plan)).first->second;
}

/// A whole plan, or one row of it.
std::shared_ptr<const Plan> plan_of_dict(nb::handle dict) {
  const auto has = [&](const char* key) { return nb::cast<nb::dict>(dict).contains(key); };
  nb::object plan = nb::borrow(dict);
  if (!has("default") && !has("rows")) {
    nb::dict whole;
    if (has("layers") || has("heads")) {
      nb::list rows;
      rows.append(dict);
      whole["rows"] = rows;
    } else {
      whole["default"] = dict;
    }
    plan = whole;
  }
  return std::make_shared<const Plan>(
      Plan::from_json(nb::cast<std::string>(nb::module_::import_("json").attr("dumps")(plan))));
}

}  // namespace

Attn read_attn(nb::handle attn) {
  if (nb::isinstance<nb::str>(attn)) return {plan_of_spec(nb::cast<std::string>(attn))};
  if (nb::isinstance<Plan>(attn)) return {std::make_shared<const Plan>(nb::cast<const Plan&>(attn))};
  if (nb::isinstance<Patterns>(attn)) return {plan_of_spec("dense"), &nb::cast<const Patterns&>(attn)};
  if (nb::isinstance<nb::dict>(attn)) return {plan_of_dict(attn)};
  if (nb::hasattr(attn, "name")) {
    return {plan_of_spec(nb::cast<std::string>(nb::module_::import_("saccade.where").attr("spec_of")(attn)))};
  }
  type_error("attn must be a spec, a Plan, a dict, a Selection or an object with a name, got " +
             nb::cast<std::string>(nb::str(attn.type().attr("__name__"))));
}

float read_weigh(const std::string& weigh) {
  if (weigh == "softmax") return 0.0F;
  const Spec spec = parse_spec(weigh);
  const auto fail = [&](const std::string& rule) { fail_user("weigh: " + rule + ", got " + weigh); };
  if (spec.kind != Spec::Kind::kMechanism) fail("one way to weigh");
  if (spec.name == "softmax") fail("softmax has no parameters");
  constexpr std::string_view kKnown[] = {"softmax", "softcap"};
  if (spec.name != "softcap") fail_user("weigh: there is no '" + spec.name + "'; " + suggest(spec.name, kKnown));
  double c = weigh::Softcap{}.c;
  const std::vector<ParamInfo> params{{"c", "number", "50", ""}};
  if (const std::string* typed = match_args("weigh/softcap", params, spec.args)[0]) {
    read_value("weigh/softcap", "c", *typed, c);
  }
  const weigh::Softcap softcap{static_cast<float>(c)};
  softcap.check();
  return softcap.c;
}

float scale_or_default(std::optional<double> scale, Pos head_dim) {
  return scale ? static_cast<float>(*scale) : 1.0F / std::sqrt(static_cast<float>(head_dim));
}

}  // namespace saccade::python
