// saccade: parses flags, calls a command, turns every problem into one line and an exit code.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/saccade/bench/options.h"
#include "apps/saccade/bench/select_options.h"
#include "apps/saccade/inspect_options.h"
#include "apps/saccade/interrupt.h"
#include "apps/saccade/options.h"
#include "apps/saccade/output.h"
#include "apps/saccade/tune_options.h"
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
  command
      .add_option("--ubatch,--ub", options.n_ubatch,
                  "tokens handed to the model at once; more where the attention's choice depends on it")
      ->capture_default_str()
      ->type_name("TOKENS")
      ->check(whole_number);
  command.add_option("--yarn", options.yarn, "stretch the model's context by this factor (YaRN); 1: do not")
      ->capture_default_str()
      ->type_name("FACTOR");
  command.add_option("--precision", options.precision, "auto, f32, i16 or bf16 (saccade's own attention)")
      ->capture_default_str()
      ->type_name("WORD");
  command
      .add_option("--linear", options.linear, "auto or ggml: who runs a prompt's linear layers beside our attention")
      ->capture_default_str()
      ->type_name("WORD");
  command.add_flag("--json", options.json, "one JSON document on stdout (docs/cli.md)");
  command.add_flag("--verbose", options.verbose, "let llama.cpp talk, on stderr");
}

void finish(const CLI::App& command, ModelOptions& options) {
  options.given_ctx = command.count("-c") > 0;
  options.given_threads = command.count("-t") > 0;
  options.given_ubatch = command.count("--ubatch") > 0;
  options.given_precision = command.count("--precision") > 0;
  options.given_linear = command.count("--linear") > 0;
}

/// What `run` and `inspect` share: a question about a text.
void add_question_flags(CLI::App& command, RunOptions& options) {
  add_model_flags(command, options);
  command.add_option("-p,--prompt", options.question, "the question, asked after the text")->type_name("QUESTION");
  command.add_option("-n,--n-tokens", options.n_tokens, "longest answer")
      ->capture_default_str()
      ->type_name("TOKENS")
      ->check(whole_number);
  command.add_option("--attn", options.attn, "which attention (saccade list)")
      ->capture_default_str()
      ->type_name("SPEC");
  command.add_option("--plan", options.plan, "which attention in which layer and head")->type_name("PLAN.json");
  command.add_flag("--raw", options.raw, "no chat template: continue the text");
  command.callback([&command, &options] {
    finish(command, options);
    options.given_attn = command.count("--attn") > 0;
    options.given_plan = command.count("--plan") > 0;
  });
}

CLI::App* add_run(CLI::App& app, RunOptions& options) {
  auto* run = app.add_subcommand("run", "answer a question about a text");
  add_question_flags(*run, options);
  run->add_flag("--truncate", options.truncate, "take the beginning of a text that is too long");
  run->add_option("--session", options.session, "keep the text's keys and values here for the next question")
      ->type_name("FILE");
  return run;
}

CLI::App* add_inspect(CLI::App& app, InspectOptions& options) {
  auto* inspect = app.add_subcommand("inspect", "what the model looked at as it answered a question about a text");
  add_question_flags(*inspect, options);
  inspect->add_option("--heads", options.heads, "at most 16 heads to keep in detail; default: spread over all")
      ->type_name("LAYER.HEAD[,...]");
  inspect->add_option("--tokens", options.tokens, "at most 64 positions whose whole rows are kept, beside the answer's")
      ->type_name("N|N-N[,...]");
  inspect
      ->add_option("-o,--output", options.output,
                   "the report, one HTML file; with --prove also PLAN.json, the plan that masks the heads")
      ->type_name("REPORT.html");
  inspect->add_option("--prove", options.prove, "a claim to be proved instead: retrieval")->type_name("CLAIM");
  inspect->add_option("--needles", options.n_needles, "--prove: facts planted in the text")
      ->capture_default_str()
      ->type_name("N")
      ->check(whole_number);
  inspect->add_option("--mask", options.n_masked, "--prove: heads masked, and random others")
      ->capture_default_str()
      ->type_name("N")
      ->check(whole_number);
  inspect->add_option("--steer", options.steer, "--prove: how heads are masked (saccade list --word steer)")
      ->capture_default_str()
      ->type_name("SPEC");
  return inspect;
}

void add_row_flags(CLI::App& command, RowOptions& options) {
  command.add_option("--attn", options.attn, "once per row; the first is the reference; also: ggml, ggml(fa=off)")
      ->type_name("SPEC")
      ->allow_extra_args(false);
  command.add_option("--plan", options.plans, "rows after those of --attn")
      ->type_name("PLAN.json")
      ->allow_extra_args(false);
  command.add_option("--resume", options.resume, "keep finished rows here and go on from them")
      ->type_name("FILE.jsonl");
  command.add_option("-o,--output", options.output, "also write a page (.html) or the rows (.json, .jsonl)")
      ->type_name("OUT");
}

CLI::App* add_compare(CLI::App& app, CompareOptions& options) {
  auto* compare = app.add_subcommand("compare", "speed, memory and fidelity of several attentions on one text");
  add_model_flags(*compare, options);
  add_row_flags(*compare, options);
  compare->callback([compare, &options] { finish(*compare, options); });
  return compare;
}

CLI::App* add_eval(CLI::App& app, EvalOptions& options) {
  auto* eval = app.add_subcommand("eval", "what several attentions do to a task on one text");
  add_model_flags(*eval, options);
  eval->add_option("--task", options.task,
                   "multineedle (20 facts to find again), ppl (perplexity) or influence (loss by document)")
      ->required()
      ->type_name("TASK");
  add_row_flags(*eval, options);
  eval->add_flag("--raw", options.raw, "multineedle without a chat template, for models that only continue a text");
  eval->callback([eval, &options] { finish(*eval, options); });
  return eval;
}

CLI::App* add_tune(CLI::App& app, TuneOptions& options) {
  auto* tune = app.add_subcommand("tune", "find a plan: which head gets which attention, within a budget");
  add_model_flags(*tune, options);
  tune->add_option("--attn", options.attn, "once for each candidate; dense is always one")
      ->type_name("SPEC")
      ->allow_extra_args(false);
  tune->add_option("--budget", options.budget, "cost of the plan as a share of dense attention's")
      ->capture_default_str()
      ->type_name("SHARE");
  tune->add_option("-o,--output", options.output, "the plan")->required()->type_name("PLAN.json");
  tune->callback([tune, &options] { finish(*tune, options); });
  return tune;
}

/// 4096 or 4k. Whatever is wrong with it becomes the list's one line.
std::string whole_number_or_k(std::string& typed) {
  if (!typed.ends_with('k')) return whole_number(typed);
  const std::string count = typed.substr(0, typed.size() - 1);
  if (std::string problem = whole_number(count); !problem.empty()) return problem;
  if (count.size() < 10) typed = std::to_string(std::stoll(count) * 1024);
  return "";
}

CLI::Option* add_list(CLI::App& command, const char* flags, std::vector<std::int64_t>& values, const char* help) {
  return command.add_option(flags, values, help)
      ->type_name("N[,N...]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->transform(CLI::Validator(whole_number_or_k, ""));
}

CLI::App* add_bench_of(CLI::App& bench, const char* name, const char* help, BenchOptions& options) {
  auto* command = bench.add_subcommand(name, help);
  add_list(*command, "-t,--threads", options.threads, "a row for each; default: all cores this process may use");
  command->add_option("-r,--repetitions", options.repetitions, "times that each is timed, in turns with the others")
      ->type_name("N")
      ->check(whole_number);
  command->add_option("--target", options.targets, "CPU targets, e.g. AVX3,AVX2; default: the best")
      ->type_name("NAME[,NAME...]")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_flag("--json", options.json, "one JSON object on stdout (docs/cli.md)");
  command->final_callback([command, &options] { options.given_repetitions = command->count("-r") > 0; });
  return command;
}

void add_shape_flags(CLI::App& command, BenchOptions& options) {
  add_list(command, "--head-dim", options.head_dims, "default 64,128,256 (see: 64,128)");
  add_list(command, "--kv", options.kv_lens, "keys, e.g. 4k,32k");
  command.add_option("--heads", options.n_heads, "query heads")->capture_default_str()->check(whole_number);
  command.add_option("--kv-heads", options.n_kv_heads, "key/value heads")->capture_default_str()->check(whole_number);
  command.add_option("--type", options.types, "of keys and values, e.g. f16,q8_0; default f16")
      ->type_name("TYPE[,TYPE...]")
      ->delimiter(',')
      ->allow_extra_args(false);
}

CLI::App* add_bench(CLI::App& app, BenchOptions& options) {
  auto* bench = app.add_subcommand("bench", "how fast one layer is, beside ggml's and the machine's limits");
  auto* attend = add_bench_of(*bench, "attend", "many causal queries against many keys", options);
  add_shape_flags(*attend, options);
  attend->add_option("--q-len", options.q_len, "queries, the last of the text")
      ->capture_default_str()
      ->check(whole_number);
  attend->add_option("--precision", options.precisions, "e.g. f32,i16; default: all this machine can run")
      ->type_name("WORD[,WORD...]")
      ->delimiter(',')
      ->allow_extra_args(false);
  attend->add_option("--density", options.densities, "blocks of 128 x 128 at these shares of all, instead of ggml")
      ->type_name("D[,D...]")
      ->delimiter(',')
      ->allow_extra_args(false);
  auto* decode = add_bench_of(*bench, "decode", "one query against many keys", options);
  add_shape_flags(*decode, options);
  decode->add_option("--footprint", options.footprint_mib, "keys and values of all layers together, at least")
      ->type_name("MIB")
      ->capture_default_str()
      ->check(whole_number);
  auto* linear = add_bench_of(*bench, "linear", "a prompt's tokens times a model's matrices", options);
  linear
      ->add_option("--matrix", options.matrices,
                   "width x rows, e.g. 896x4864, or 2048x768x32x2: of 32 experts, 2 a token; "
                   "default: those of 0.5B and 1.5B models, and a mixture of experts")
      ->type_name("KxM[,KxM...]")
      ->delimiter(',')
      ->allow_extra_args(false);
  linear->add_option("--type", options.types, "of the matrices, e.g. q4_0,q6_K; default q4_0,q4_K")
      ->type_name("TYPE[,TYPE...]")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_list(*linear, "--tokens", options.tokens, "default 512");
  linear
      ->add_option("--precision", options.precisions,
                   "i16, bf16 (without AMX emulated, slow); default: all this machine can run")
      ->type_name("WORD[,WORD...]")
      ->delimiter(',')
      ->allow_extra_args(false);
  auto* machine = add_bench_of(*bench, "machine", "what the machine can do at most", options);
  machine->add_option("--footprint", options.footprint_mib, "the largest that is read")
      ->type_name("MIB")
      ->capture_default_str()
      ->check(whole_number);
  auto* see = add_bench_of(*bench, "see", "a second look at attention, and what each probe adds to it", options);
  add_shape_flags(*see, options);
  see->add_option("--q-len", options.q_len, "queries, the last of the text")
      ->capture_default_str()
      ->check(whole_number);
  return bench;
}

void add_bench_select(CLI::App& bench, SelectOptions& options) {
  auto* select = bench.add_subcommand("select", "what selectors recover and save, on a real prompt's queries and keys");
  add_model_flags(*select, options);
  select->add_option("--attn", options.attn, "once for each selector")->type_name("SPEC")->allow_extra_args(false);
  select->add_option("--plan", options.plans, "after those of --attn")->type_name("PLAN.json")->allow_extra_args(false);
  select->add_option("--along", options.along, "what the prompt itself is read with")
      ->capture_default_str()
      ->type_name("SPEC");
  add_list(*select, "--layers", options.layers, "default: six, evenly spaced");
  add_list(*select, "--at", options.at, "percent of the prompt: the batches that end there")->capture_default_str();
  select->add_option("--rows", options.n_rows, "query rows of each head that are judged")
      ->capture_default_str()
      ->type_name("N")
      ->check(whole_number);
  select->add_option("--decode", options.n_decoded, "tokens decoded after the prompt")
      ->capture_default_str()
      ->type_name("TOKENS")
      ->check(whole_number);
  select->add_option("-r,--repetitions", options.repetitions, "times that each is timed, in turns with the others")
      ->capture_default_str()
      ->type_name("N")
      ->check(whole_number);
  select->add_flag("--fallbacks", options.fallbacks, "let selectors run dense where they would rather not select");
  select->callback([select, &options] { finish(*select, options); });
}

void bench_command(const CLI::App& bench, const BenchOptions& options, const SelectOptions& select) {
  if (bench.got_subcommand("attend")) return bench_attend(options);
  if (bench.got_subcommand("decode")) return bench_decode(options);
  if (bench.got_subcommand("linear")) return bench_linear(options);
  if (bench.got_subcommand("select")) return bench_select(select);
  if (bench.got_subcommand("see")) return bench_see(options);
  bench_machine(options);
}

/// "run, list or show"
std::string joined(std::span<const std::string_view> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 < words.size() ? ", " : " or ") + std::string(words[i]);
  return text;
}

/// Names the nearest command; CLI11 would only say that one is required.
void check_command(int argc, char** argv) {
  constexpr std::string_view kCommands[] = {"run",   "compare", "eval", "inspect", "tune",
                                            "bench", "list",    "show", "plugin"};
  constexpr std::string_view kBenches[] = {"attend", "decode", "linear", "select", "machine", "see"};
  const auto check = [&](int place, std::span<const std::string_view> known, const std::string& what) {
    const std::string_view given = place < argc ? argv[place] : "";
    if (given.empty()) saccade::fail_user(what + " is needed: " + joined(known) + "; --help says more");
    if (!given.starts_with('-') && std::ranges::find(known, given) == known.end())
      saccade::fail_user("unknown " + what.substr(2) + " '" + std::string(given) + "'; " +
                         saccade::suggest(given, known));
  };
  check(1, kCommands, "a command");
  if (std::string_view(argv[1]) == "bench") check(2, kBenches, "a benchmark");
}

std::function<void()> parse(CLI::App& app, int argc, char** argv) {
  static RunOptions run_options;
  static CompareOptions compare_options;
  static EvalOptions eval_options;
  static InspectOptions inspect_options;
  static TuneOptions tune_options;
  static ListOptions list_options;
  static BenchOptions bench_options;
  static SelectOptions select_options;
  app.require_subcommand(1);
  auto* run = add_run(app, run_options);
  auto* compare = add_compare(app, compare_options);
  auto* eval = add_eval(app, eval_options);
  auto* inspect = add_inspect(app, inspect_options);
  auto* tune = add_tune(app, tune_options);
  auto* bench = add_bench(app, bench_options);
  add_bench_select(*bench, select_options);
  bench->require_subcommand(1);
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
  if (*eval) return [] { eval_command(eval_options); };
  if (*inspect) return [] { inspect_command(inspect_options); };
  if (*tune) return [] { tune_command(tune_options); };
  if (*bench) return [bench] { bench_command(*bench, bench_options, select_options); };
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
