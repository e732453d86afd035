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
typename Row::Mechanism made(const SpecArgs& args) {
  typename Row::Mechanism mechanism;
  assign_params(std::string(Row::kWord) + "/" + std::string(Row::kName), args, mechanism);
  if constexpr (requires { mechanism.check(); }) mechanism.check();
  return mechanism;
}

template <class Row>
HeadEdit make_edit_of(const SpecArgs& args) {
  return made<Row>(args).edit();
}

template <class Row>
float make_softcap_of(const SpecArgs& args) {
  return made<Row>(args).softcap();
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
  } else if constexpr (requires(const Mechanism& mechanism) { mechanism.softcap(); }) {
    info.kind = MechanismKind::kWeigher;
    info.make_softcap = &make_softcap_of<Row>;
  } else {
    info.make_choice = &make_choice_of<Row>;
    if constexpr (!WhereMechanism<Mechanism>) {
      info.kind = Selector<Mechanism> ? MechanismKind::kSelector : MechanismKind::kReviewer;
      info.traits = Mechanism::kTraits;
    }
  }
  return info;
}

/// Mechanisms that can be made this way.
std::vector<const MechanismInfo*> those_with(auto MechanismInfo::*make) {
  std::vector<const MechanismInfo*> found;
  for (const MechanismInfo& info : catalogue()) {
    if (info.*make != nullptr) found.push_back(&info);
  }
  return found;
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

std::vector<const MechanismInfo*> choices() { return those_with(&MechanismInfo::make_choice); }

std::vector<const MechanismInfo*> edits() { return those_with(&MechanismInfo::make_edit); }

std::vector<const MechanismInfo*> weighers() { return those_with(&MechanismInfo::make_softcap); }

std::vector<std::string_view> rows_without_header() { return generated::rows_without_header(); }

}  // namespace saccade
