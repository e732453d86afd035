#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "saccade/base/error.h"
#include "saccade/plan/catalogue.h"
#include "saccade/plan/nearest.h"

namespace saccade::app {
namespace {

using nlohmann::ordered_json;

/// What `compare` and `run` take beside our own mechanisms.
constexpr const char* kPeers[][2] = {{"ggml", "llama.cpp's own attention, flash attention on"},
                                     {"ggml(fa=off)", "llama.cpp's own attention, flash attention off"}};

ordered_json to_json(const MechanismInfo& info) {
  auto params = ordered_json::array();
  for (const auto& param : info.params)
    params.push_back({{"name", param.name}, {"default", param.default_value}, {"help", param.help}});
  return {{"word", info.word},
          {"name", info.name},
          {"params", params},
          {"sentence", info.sentence},
          {"source", info.source}};
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
    print(fmt::format("{:<6} {:<{}}  {} [{}]\n", info->word, signature(*info), width, info->sentence, info->source));
  if (!options.word.empty()) return;
  print("\nrun and compare also take:\n");
  for (const auto& peer : kPeers) print(fmt::format("{:<6} {:<{}}  {}\n", "", peer[0], width, peer[1]));
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
