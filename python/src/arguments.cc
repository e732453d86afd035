#include "python/src/arguments.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <string_view>

#include "python/src/arrays.h"
#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/reader.h"
#include "saccade/plan/spec.h"

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

std::string spec_of(nb::handle object) {
  return nb::cast<std::string>(nb::module_::import_("saccade._objects").attr("spec_of")(object));
}

/// Does a row for these layers, a number or "2-23", speak of this one?
bool names_layer(nb::handle layers, int layer) {
  if (!nb::isinstance<nb::str>(layers) && !nb::isinstance<nb::int_>(layers)) {
    fail_user("weigh: layers must be numbers and ranges such as \"0,3-5\", got a " + kind_of(layers));
  }
  const auto ranges = read_ranges(nb::cast<std::string>(nb::str(layers)), "weigh.layers");
  return std::ranges::any_of(ranges, [&](const Range& range) { return range.begin <= layer && layer < range.end; });
}

float weigh_of_row(const nb::dict& row, int layer) {
  constexpr std::string_view kKeys[] = {"layers", "weigh"};
  for (const nb::handle typed : row.keys()) {
    const auto key = nb::cast<std::string>(nb::str(typed));
    if (std::ranges::find(kKeys, key) != std::end(kKeys)) continue;
    if (key == "heads") fail_user("weigh: the heads of a layer all weigh alike, so a row names no \"heads\"");
    fail_user("weigh: unknown key \"" + key + "\"; " + suggest(key, kKeys));
  }
  if (!row.contains("weigh")) fail_user("weigh: the row has no \"weigh\", so it sets nothing");
  const float softcap = read_weigh(row["weigh"], layer);
  return !row.contains("layers") || names_layer(row["layers"], layer) ? softcap : 0.0F;
}

}  // namespace

Attn read_attn(nb::handle attn) {
  if (nb::isinstance<nb::str>(attn)) return {plan_of_spec(nb::cast<std::string>(attn))};
  if (nb::isinstance<Plan>(attn)) return {std::make_shared<const Plan>(nb::cast<const Plan&>(attn))};
  if (nb::isinstance<Patterns>(attn)) return {plan_of_spec("dense"), &nb::cast<const Patterns&>(attn)};
  if (nb::isinstance<nb::dict>(attn)) return {plan_of_dict(attn)};
  if (nb::hasattr(attn, "name")) return {plan_of_spec(spec_of(attn))};
  type_error("attn must be a spec, a Plan, a dict, a Selection or an object with a name, got " + kind_of(attn));
}

float read_weigh(nb::handle weigh, int layer) {
  if (nb::isinstance<nb::str>(weigh)) {
    const auto spec = nb::cast<std::string>(weigh);
    return spec == "softmax" ? 0.0F : build_softcap(parse_spec(spec));
  }
  if (nb::isinstance<nb::dict>(weigh)) return weigh_of_row(nb::cast<nb::dict>(weigh), layer);
  if (nb::hasattr(weigh, "name")) return build_softcap(parse_spec(spec_of(weigh)));
  type_error("weigh must be a spec, a dict or an object with a name, got " + kind_of(weigh));
}

float scale_or_default(std::optional<double> scale, Pos head_dim) {
  return scale ? static_cast<float>(*scale) : 1.0F / std::sqrt(static_cast<float>(head_dim));
}

}  // namespace saccade::python
