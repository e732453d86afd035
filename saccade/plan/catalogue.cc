#include "saccade/plan/catalogue.h"

#include <algorithm>
#include <concepts>
#include <string>

#include "saccade/catalogue.inc"  // written by cmake/catalogue.cmake

namespace saccade {
namespace {

/// `Row` names a mechanism as a type, so that this is a plain function.
template <class Row>
ChoicePtr make_choice_of(const SpecArgs& args) {
  typename Row::Mechanism mechanism;
  assign_params(std::string(Row::kWord) + "/" + std::string(Row::kName), args, mechanism);
  return make_choice(std::move(mechanism));
}

template <class Row>
HeadEdit make_edit_of(const SpecArgs& args) {
  typename Row::Mechanism mechanism;
  assign_params(std::string(Row::kWord) + "/" + std::string(Row::kName), args, mechanism);
  if constexpr (requires { mechanism.check(); }) mechanism.check();
  return mechanism.edit();
}

template <class Row>
MechanismInfo info_of() {
  using Mechanism = typename Row::Mechanism;
  MechanismInfo info{.word = Row::kWord,
                     .name = Row::kName,
                     .sentence = Row::kSentence,
                     .source = Row::kSource,
                     .params = params_of<Mechanism>()};
  if constexpr (std::derived_from<Mechanism, Probe> || std::derived_from<Mechanism, RowProbe>) {
    info.kind = MechanismKind::kProbe;
  } else if constexpr (SteerMechanism<Mechanism>) {
    info.kind = MechanismKind::kEdit;
    info.make_edit = &make_edit_of<Row>;
  } else {
    info.make_choice = &make_choice_of<Row>;
    if constexpr (!WhereMechanism<Mechanism>) {
      info.kind = Selector<Mechanism> ? MechanismKind::kSelector : MechanismKind::kReviewer;
      info.traits = Mechanism::kTraits;
    }
  }
  return info;
}

template <class... Row>
std::vector<MechanismInfo> infos_of(generated::Rows<Row...>) {
  std::vector<MechanismInfo> infos;
  infos.reserve(sizeof...(Row));
  (infos.push_back(info_of<Row>()), ...);
  return infos;
}

}  // namespace

const std::vector<MechanismInfo>& catalogue() {
  static const std::vector<MechanismInfo> all = infos_of(generated::Catalogue{});
  return all;
}

const MechanismInfo* find(std::string_view name) {
  const auto found = std::ranges::find(catalogue(), name, &MechanismInfo::name);
  return found == catalogue().end() ? nullptr : &*found;
}

std::vector<const MechanismInfo*> choices() {
  std::vector<const MechanismInfo*> chosen;
  for (const MechanismInfo& info : catalogue()) {
    if (info.make_choice != nullptr) chosen.push_back(&info);
  }
  return chosen;
}

std::vector<const MechanismInfo*> edits() {
  std::vector<const MechanismInfo*> found;
  for (const MechanismInfo& info : catalogue()) {
    if (info.make_edit != nullptr) found.push_back(&info);
  }
  return found;
}

std::vector<std::string_view> rows_without_header() { return generated::rows_without_header(); }

}  // namespace saccade
