#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "saccade/base/error.h"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/catalogue_json.h"
#include "saccade/plan/nearest.h"

namespace saccade::app {
namespace {

using nlohmann::ordered_json;

/// What `compare` and `run` take beside our own mechanisms.
constexpr const char* kPeers[][2] = {{"ggml", "llama.cpp's own attention, flash attention on"},
                                     {"ggml(fa=off)", "llama.cpp's own attention, flash attention off"}};

/// "data: prefill"
std::string when(const MechanismInfo& info) {
  if (info.kind != MechanismKind::kSelector) return std::string(goes_by(info));
  const auto& traits = info.traits;
  return fmt::format("{}: {}", goes_by(info), !traits.decode ? "prefill" : !traits.prefill ? "decode" : "both");
}

/// What it does with prompts and decode steps, and what it promises.
void print_promises(const MechanismInfo& info) {
  const auto& traits = info.traits;
  const auto line = [](const char* name, const char* value) { print(fmt::format("  {:<7} {}\n", name, value)); };
  if (info.kind == MechanismKind::kPattern) return line("goes by", "positions, in prompts and in decode steps");
  if (info.kind == MechanismKind::kReviewer) return line("goes by", "what the mechanisms that it is joined to chose");
  if (info.kind == MechanismKind::kProbe) return line("goes by", "attention weights, and changes nothing");
  if (info.kind == MechanismKind::kEdit)
    return line("goes by", "the heads that a plan's rows name, in prompts and in decode steps");
  if (info.kind == MechanismKind::kWeigher)
    return line("goes by", "scores; a model, or a caller of the library, names it");
  line("goes by", traits.prefill && traits.decode ? "queries and keys, in prompts and in decode steps"
                  : traits.prefill                ? "queries and keys, in prompts; decode steps run dense"
                                                  : "queries and keys, in decode steps; prompts run dense");
  line("result", traits.exact_on_selection ? "softmax attention over the chosen keys, nothing else"
                                           : "not softmax attention over the chosen keys alone");
  line("needle",
       traits.needle ? "finds a key that a query scores far above all others" : "may miss the one key that matters");
  line("batches", traits.depends_on_batch ? "what it chooses depends on how a prompt is cut into batches (--ubatch)"
                                          : "what it chooses does not depend on how a prompt is cut into batches");
}

std::string signature(const MechanismInfo& info) {
  std::string text;
  for (const auto& param : info.params)
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", param.name, param.default_value);
  return text.empty() ? std::string(info.name) : fmt::format("{}({})", info.name, text);
}

}  // namespace

void list_command(const ListOptions& options) {
  std::vector<const MechanismInfo*> chosen;
  std::vector<std::string_view> words;
  for (const auto& info : catalogue()) {
    words.push_back(info.word);
    if (options.word.empty() || info.word == options.word) chosen.push_back(&info);
  }
  if (chosen.empty())
    fail_user(fmt::format("no mechanism of the word '{}'; {}", options.word, suggest(options.word, words)));
  auto array = ordered_json::array();
  std::size_t width = 12;
  for (const auto* info : chosen) array.push_back(to_json(*info)), width = std::max(width, signature(*info).size());
  if (options.json) return print(array.dump(2) + "\n");
  for (const auto* info : chosen)
    print(fmt::format("{:<6} {:<{}}  {:<13}  {} [{}]\n", info->word, signature(*info), width, when(*info),
                      info->sentence, info->source));
  if (!options.word.empty()) return;
  print("\nrun and compare also take:\n");
  for (const auto& peer : kPeers) print(fmt::format("{:<6} {:<{}}  {:<13}  {}\n", "", peer[0], width, "", peer[1]));
}

void show_command(const ListOptions& options) {
  std::vector<std::string_view> names;
  for (const auto& info : catalogue()) names.push_back(info.name);
  const MechanismInfo* info = find(options.name);
  if (info == nullptr)
    fail_user(fmt::format("there is no mechanism '{}'; {}", options.name, suggest(options.name, names)));
  if (options.json) return print(to_json(*info).dump(2) + "\n");
  print(fmt::format("{}\n  word    {}\n  does    {}\n  source  {}\n", signature(*info), info->word, info->sentence,
                    info->source));
  print_promises(*info);
  for (const auto& param : info->params)
    print(fmt::format("  {:<7} {} (default {})\n", param.name, param.help, param.default_value));
}

void plugin_command() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) fail_machine(fmt::format("cannot find this program's own file: {}", error.message()));
  const auto plugin = (self.parent_path() / ".." / "lib" / "libggml-saccade.so").lexically_normal();
  if (!std::filesystem::exists(plugin, error)) fail_machine(fmt::format("there is no plug-in at {}", plugin.string()));
  print(fmt::format("{}\nGGML_BACKEND_PATH={} LLAMA_ARG_OVERRIDE_TENSOR=none=CPU llama-server -m MODEL\n",
                    plugin.string(), plugin.string()));
}

}  // namespace saccade::app
