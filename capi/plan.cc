#include "saccade/plan/plan.h"

#include "capi/guard.h"
#include "capi/handles.h"

namespace {

template <class Make>
saccade_status make(const char* text, const char* what, saccade_plan** plan, Make make_plan) {
  using namespace saccade::capi;
  return guard([&] {
    *needed(plan, "plan") = nullptr;
    saccade::Plan made = make_plan(needed(text, what));
    std::string printed = made.print();
    *plan = new saccade_plan{std::move(made), std::move(printed)};
  });
}

}  // namespace

saccade_status saccade_plan_from_spec(const char* spec, saccade_plan** plan) {
  return make(spec, "spec", plan, saccade::Plan::from_spec);
}

saccade_status saccade_plan_from_json(const char* json, saccade_plan** plan) {
  return make(json, "json", plan, saccade::Plan::from_json);
}

saccade_status saccade_plan_load(const char* file_or_spec, saccade_plan** plan) {
  return make(file_or_spec, "file_or_spec", plan, saccade::Plan::load);
}

const char* saccade_plan_text(const saccade_plan* plan) { return plan == nullptr ? nullptr : plan->text.c_str(); }

void saccade_plan_free(saccade_plan* plan) { delete plan; }
