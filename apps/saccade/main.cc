// saccade: parses flags, calls a command, turns every problem into one line and an exit code.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <string_view>

#include "apps/saccade/interrupt.h"
#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "saccade/base/error.h"
#include "saccade/plan/nearest.h"

namespace {

using namespace saccade::app;

/// CLI11 alone reads "" as 0.
std::string whole_number(const std::string& typed) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), value);
  const bool good = error == std::errc() && end == typed.data() + typed.size() && !typed.empty();
  return good ? "" : "it must be a whole number, got '" + typed + "'";
}

void add_model_flags(CLI::App& command, ModelOptions& options) {
  command.add_option("-m,--model", options.model, "the model, a GGUF file")->required()->type_name("MODEL.gguf");
  command.add_option("-f,--file", options.text, "the text, UTF-8")->required()->type_name("FILE");
  command
      .add_option("-c,--ctx", options.n_ctx, "context in tokens; default: what is needed, at most what the model knows")
      ->type_name("CTX")
      ->check(whole_number);
  command.add_option("-t,--threads", options.n_threads, "default: all cores this process may use")
      ->type_name("THREADS")
      ->check(whole_number);
  command.add_option("--ubatch,--ub", options.n_ubatch, "tokens handed to the model at once")
      ->capture_default_str()
      ->type_name("TOKENS")
      ->check(whole_number);
  command.add_option("--precision", options.precision, "auto, f32 or i16 (saccade's own attention)")
      ->capture_default_str()
      ->type_name("WORD");
  command.add_flag("--json", options.json, "one JSON document on stdout (docs/cli.md)");
  command.add_flag("--verbose", options.verbose, "let llama.cpp talk, on stderr");
}

void finish(const CLI::App& command, ModelOptions& options) {
  options.given_ctx = command.count("-c") > 0;
  options.given_threads = command.count("-t") > 0;
  options.given_precision = command.count("--precision") > 0;
}

CLI::App* add_run(CLI::App& app, RunOptions& options) {
  auto* run = app.add_subcommand("run", "answer a question about a text");
  add_model_flags(*run, options);
  run->add_option("-p,--prompt", options.question, "the question, asked after the text")->type_name("QUESTION");
  run->add_option("-n,--n-tokens", options.n_tokens, "longest answer")
      ->capture_default_str()
      ->type_name("TOKENS")
      ->check(whole_number);
  run->add_option("--attn", options.attn, "which attention (saccade list)")->capture_default_str()->type_name("SPEC");
  run->add_option("--plan", options.plan, "which attention in which layer and head")->type_name("PLAN.json");
  run->add_option("--session", options.session, "keep the text's keys and values here for the next question")
      ->type_name("FILE");
  run->add_flag("--raw", options.raw, "no chat template: continue the text");
  run->add_flag("--truncate", options.truncate, "take the beginning of a text that is too long");
  run->callback([run, &options] {
    finish(*run, options);
    options.given_attn = run->count("--attn") > 0;
    options.given_plan = run->count("--plan") > 0;
  });
  return run;
}

CLI::App* add_compare(CLI::App& app, CompareOptions& options) {
  auto* compare = app.add_subcommand("compare", "speed, memory and fidelity of several attentions on one text");
  add_model_flags(*compare, options);
  compare->add_option("--attn", options.attn, "once per row; the first is the reference; also: ggml, ggml(fa=off)")
      ->type_name("SPEC")
      ->allow_extra_args(false);
  compare->add_option("--plan", options.plans, "rows after those of --attn")
      ->type_name("PLAN.json")
      ->allow_extra_args(false);
  compare->add_option("--resume", options.resume, "keep finished rows here and go on from them")
      ->type_name("FILE.jsonl");
  compare->add_option("-o,--output", options.output, "also write the rows here (.json or .jsonl)")->type_name("OUT");
  compare->callback([compare, &options] { finish(*compare, options); });
  return compare;
}

/// Names the nearest command; CLI11 would only say that one is required.
void check_command(int argc, char** argv) {
  constexpr std::string_view kCommands[] = {"run", "compare", "list", "show", "plugin"};
  const std::string_view given = argc > 1 ? argv[1] : "";
  if (given.empty()) saccade::fail_user("a command is needed: run, compare, list, show or plugin; --help says more");
  if (!given.starts_with('-') && std::ranges::find(kCommands, given) == std::end(kCommands))
    saccade::fail_user("unknown command '" + std::string(given) + "'; " + saccade::suggest(given, kCommands));
}

std::function<void()> parse(CLI::App& app, int argc, char** argv) {
  static RunOptions run_options;
  static CompareOptions compare_options;
  static ListOptions list_options;
  app.require_subcommand(1);
  auto* run = add_run(app, run_options);
  auto* compare = add_compare(app, compare_options);
  auto* list = app.add_subcommand("list", "every mechanism there is");
  list->add_option("--word", list_options.word, "only those of this word, e.g. where")->type_name("WORD");
  list->add_flag("--json", list_options.json, "one JSON array on stdout");
  auto* show = app.add_subcommand("show", "one mechanism in full");
  show->add_option("name", list_options.name, "its name")->required()->type_name("NAME");
  show->add_flag("--json", list_options.json, "one JSON object on stdout");
  app.add_subcommand("plugin", "where the llama.cpp plug-in is, and how to use it");

  check_command(argc, argv);
  app.parse(argc, argv);
  if (*run) return [] { run_command(run_options); };
  if (*compare) return [] { compare_command(compare_options); };
  if (*list) return [] { list_command(list_options); };
  if (*show) return [] { show_command(list_options); };
  return plugin_command;
}

int problem(std::string line, int code) {
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }, ' ');
  std::fprintf(stderr, "saccade: %s\n", line.c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Saccade: one engine for every kind of attention.", "saccade"};
  try {
    watch_signals();
    parse(app, argc, argv)();
    finish_stdout();
    return 0;
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    std::fputs((chosen.empty() ? &app : chosen.front())->help().c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return problem(error.what(), 2);
  } catch (const Interrupted&) {
    return problem("interrupted", 130);
  } catch (const saccade::Error& error) {
    return problem(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return problem("out of memory", 3);
  } catch (const std::exception& error) {
    return problem(error.what(), 3);
  }
}
