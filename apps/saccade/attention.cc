#include "apps/saccade/attention.h"

#include <fmt/format.h>

#include "apps/saccade/text_file.h"
#include "saccade/attend/attend.h"
#include "saccade/base/error.h"
#include "saccade/plan/spec.h"

namespace saccade::app {
namespace {

Attention peer(const std::string& typed, const Spec& spec) {
  Attention attention{.typed = typed, .canonical = "ggml", .plan = nullptr, .flash = true};
  if (spec.args.size() > 1) fail_user(fmt::format("ggml: it takes one parameter, fa, got {}", spec.args.size()));
  for (const auto& [name, value] : spec.args) {
    if (!name.empty() && name != "fa") fail_user(fmt::format("ggml: unknown parameter '{}'; did you mean 'fa'?", name));
    if (value != "on" && value != "off") fail_user(fmt::format("ggml: fa must be on or off, got '{}'", value));
    attention.flash = value == "on";
  }
  if (!attention.flash) attention.canonical = "ggml(fa=off)";
  return attention;
}

}  // namespace

Attention attention_from_spec(const std::string& typed) {
  const Spec spec = parse_spec(typed);
  if (spec.kind == Spec::Kind::kMechanism && spec.name == "ggml") return peer(typed, spec);
  auto plan = std::make_shared<const Plan>(Plan::from_spec(typed));
  return {.typed = typed, .canonical = plan->print(), .plan = plan, .flash = true};
}

Attention attention_from_plan(const std::string& path) {
  const std::string json = read_file(path);
  try {
    auto plan = std::make_shared<const Plan>(Plan::from_json(json));
    return {.typed = path, .canonical = plan->print(), .plan = plan, .flash = true};
  } catch (const Error& error) {
    throw Error(error.fault(), fmt::format("{}: {}", path, error.what()));
  }
}

Attention in_precision(Attention attention, const std::string& word) {
  const Precision precision = parse_precision(word);
  if (!attention.ours()) return attention;
  attention.plan = std::make_shared<const Plan>(attention.plan->with_precision(precision));
  attention.canonical = attention.plan->print();
  return attention;
}

Attention with_linear(Attention attention, const std::string& word) {
  const LinearLayers linear = parse_linear(word);
  if (!attention.ours()) return attention;
  attention.plan = std::make_shared<const Plan>(attention.plan->with_linear(linear));
  attention.canonical = attention.plan->print();
  return attention;
}

void check(const Attention& attention, const ModelFacts& model) {
  if (!attention.ours()) return;
  attention.plan->check(model.n_layers, model.n_heads);
  check_precision(attention.plan->precision());
}

}  // namespace saccade::app
