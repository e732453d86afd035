#include "apps/saccade/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"
#include "saccade/plan/quote.h"

namespace saccade::app {
namespace {

void check_ending(const std::string& output, std::string_view endings, std::initializer_list<std::string_view> known) {
  if (output.empty() || std::ranges::any_of(known, [&](auto ending) { return output.ends_with(ending); })) return;
  fail_user(fmt::format("-o must end in {}, got '{}'", endings, output));
}

}  // namespace

void in_range(const char* flag, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least) fail_user(fmt::format("{} must be >= {}, got {}", flag, least, value));
  if (value > most) fail_user(fmt::format("{} must be <= {}, got {}", flag, most, value));
}

void check(const ModelOptions& options) {
  if (options.given_threads) in_range("-t", options.n_threads, 1, 512);  // 512: ggml's most
  if (options.given_ctx) in_range("-c", options.n_ctx, 1, 1 << 30);
  in_range("--ubatch", options.n_ubatch, 1, 1 << 20);
  if (!(options.yarn >= 1 && options.yarn <= 32))
    fail_user(fmt::format("--yarn must be 1 to 32, got {}", options.yarn));
}

void check(const RunOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  in_range("-n", options.n_tokens, 0, 1 << 30);
  if (options.given_attn && options.given_plan) fail_user("--attn and --plan cannot both be given");
}

void check(const CompareOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  check_ending(options.output, ".html, .json or .jsonl", {".html", ".json", ".jsonl"});
}

void check(const EvalOptions& options) {
  check(static_cast<const ModelOptions&>(options));
  constexpr std::string_view kTasks[] = {"influence", "multineedle", "ppl"};
  if (std::ranges::find(kTasks, options.task) == std::end(kTasks))
    fail_user(fmt::format("--task: unknown task {}; {}", quote(options.task), suggest(options.task, kTasks)));
  if (options.raw && options.task != "multineedle")
    fail_user(fmt::format("--raw is for --task multineedle; {} has no chat template", options.task));
  if (options.task == "influence")
    return check_ending(options.output, ".json or .jsonl with --task influence", {".json", ".jsonl"});
  check_ending(options.output, ".html, .json or .jsonl", {".html", ".json", ".jsonl"});
}

}  // namespace saccade::app
