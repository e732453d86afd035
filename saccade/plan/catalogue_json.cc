#include "saccade/plan/catalogue_json.h"

namespace saccade {

const char* goes_by(const MechanismInfo& info) {
  switch (info.kind) {
    case MechanismKind::kSelector:
      return "data";
    case MechanismKind::kReviewer:
      return "choices";
    case MechanismKind::kProbe:
      return "weights";
    case MechanismKind::kEdit:
      return "heads";
    case MechanismKind::kWeigher:
      return "scores";
    case MechanismKind::kPattern:
      break;
  }
  return "positions";
}

nlohmann::ordered_json to_json(const MechanismInfo& info) {
  auto params = nlohmann::ordered_json::array();
  for (const auto& param : info.params) {
    params.push_back({{"name", param.name}, {"default", param.default_value}, {"help", param.help}});
  }
  const auto promise = [&](bool value) {
    return info.kind == MechanismKind::kSelector ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  return {{"word", info.word},
          {"name", info.name},
          {"params", params},
          {"sentence", info.sentence},
          {"source", info.source},
          {"goes_by", goes_by(info)},
          {"prefill", promise(info.traits.prefill)},
          {"decode", promise(info.traits.decode)},
          {"exact_on_selection", promise(info.traits.exact_on_selection)},
          {"needle", promise(info.traits.needle)},
          {"depends_on_batch", info.make_choice != nullptr && info.traits.depends_on_batch}};
}

}  // namespace saccade
