#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace saccade::app {

/// What every command that runs a model takes. Numbers are wide, so that "too large" is a rule and not a wrap.
struct ModelOptions {
  std::string model, text;
  std::int64_t n_ctx = 0;      ///< 0: as needed
  std::int64_t n_threads = 0;  ///< 0: all the cores this process may use
  std::int64_t n_ubatch = 1024;
  double yarn = 1;  ///< how many times longer than in training a text may be; 1: not stretched
  std::string precision = "auto", linear = "auto";
  bool given_ctx = false, given_threads = false, given_ubatch = false, given_precision = false, given_linear = false;
  bool json = false, verbose = false;
};

struct RunOptions : ModelOptions {
  std::string question, session, attn = "dense", plan;
  std::int64_t n_tokens = 128;
  bool raw = false, truncate = false, given_attn = false, given_plan = false;
};

/// What commands take that put several attentions beside each other, one a row.
struct RowOptions : ModelOptions {
  std::vector<std::string> attn, plans;
  std::string resume, output;
};

struct CompareOptions : RowOptions {};

struct EvalOptions : RowOptions {
  std::string task;
  bool raw = false;
};

struct ListOptions {
  std::string word, name;
  bool json = false;
};

/// Errors: Fault::kUser, one line that names the flag, its rule and its value.
void in_range(const char* flag, std::int64_t value, std::int64_t least, std::int64_t most);
void check(const ModelOptions& options);
void check(const RunOptions& options);
void check(const CompareOptions& options);
void check(const EvalOptions& options);

/// The commands. Each prints its own result and throws `Error` (or `Interrupted`) instead of printing a problem.
void run_command(const RunOptions& options);
void compare_command(const CompareOptions& options);
void eval_command(const EvalOptions& options);
void list_command(const ListOptions& options);
void show_command(const ListOptions& options);
void plugin_command();

}  // namespace saccade::app
