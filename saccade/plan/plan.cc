#include "saccade/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "saccade/base/error.h"
#include "saccade/plan/quote.h"
#include "saccade/plan/reader.h"

namespace saccade {
namespace {

bool is_in(const std::vector<Range>& ranges, Pos number) {
  const auto holds = [&](const Range& range) { return range.begin <= number && number < range.end; };
  return ranges.empty() || std::ranges::any_of(ranges, holds);
}

bool contains_none(const Spec& spec) { return spec.name == "none" || std::ranges::any_of(spec.parts, contains_none); }

/// "plan: rows[0].layers names layer 99, but the model has 24 (0-23)"
void check_ranges(const std::vector<Range>& ranges, std::size_t row, std::string_view what, Pos n) {
  for (const Range& range : ranges) {
    if (range.end <= n) continue;
    fail_user(fmt::format("plan: rows[{}].{}s names {} {}, but the model has {} (0-{})", row, what, what, range.end - 1,
                          n, n - 1));
  }
}

std::string read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  std::string text;
  if (file != nullptr) {
    char buffer[4096];
    while (const std::size_t n = std::fread(buffer, 1, sizeof(buffer), file.get())) text.append(buffer, n);
  }
  if (file == nullptr || std::ferror(file.get()) != 0) {
    fail_machine(fmt::format("plan: cannot read {}, {}", quote(path), std::strerror(errno)));
  }
  return text;
}

}  // namespace

bool Plan::Row::covers(int layer, int head) const { return is_in(layers, layer) && is_in(heads, head); }

struct Plan::Built {
  ChoicePtr by_default;
  std::vector<ChoicePtr> of_row;  // null where a row leaves attention alone
  std::vector<std::optional<HeadEdit>> edit_of_row;

  Built(const Row& default_row, const std::vector<Row>& rows) {
    std::map<std::string, ChoicePtr> made;
    const auto make = [&](const Spec& spec) {
      ChoicePtr& choice = made[print_spec(spec)];
      if (choice == nullptr) choice = build_choice(spec);
      return choice;
    };
    by_default = make(*default_row.attn);
    for (const Row& row : rows) {
      of_row.push_back(row.attn ? make(*row.attn) : nullptr);
      edit_of_row.push_back(row.steer ? std::optional(build_edit(*row.steer)) : std::nullopt);
    }
  }
};

Plan Plan::from_spec(std::string_view spec) {
  Plan plan;
  plan.default_row_.attn = parse_spec(spec);
  plan.built_ = std::make_shared<const Built>(plan.default_row_, plan.rows_);
  return plan;
}

Plan Plan::from_json(std::string_view json) {
  PlanRows read = read_plan(json);
  Plan plan;
  plan.default_row_ = std::move(read.default_row);
  plan.rows_ = std::move(read.rows);
  plan.precision_ = read.precision;
  plan.linear_ = read.linear;
  plan.built_ = std::make_shared<const Built>(plan.default_row_, plan.rows_);
  return plan;
}

Plan Plan::load(const std::string& file_or_spec) {
  std::error_code ignored;  // what cannot be looked at is no file
  const std::filesystem::file_status status = std::filesystem::status(file_or_spec, ignored);
  if (std::filesystem::is_directory(status)) {
    fail_user(fmt::format("plan: {} is a directory, not a file or a spec", quote(file_or_spec)));
  }
  if (std::filesystem::exists(status)) return from_json(read_file(file_or_spec));
  if (file_or_spec.ends_with(".json") || file_or_spec.find('/') != std::string::npos) {
    fail_user(fmt::format("plan: there is no file {}", quote(file_or_spec)));
  }
  return from_spec(file_or_spec);
}

void Plan::check(int n_layers, int n_heads) const {
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    check_ranges(rows_[i].layers, i, "layer", n_layers);
    check_ranges(rows_[i].heads, i, "head", n_heads);
  }
}

const Choice& Plan::choice(int layer, int head) const {
  for (std::size_t i = rows_.size(); i-- > 0;) {
    if (built_->of_row[i] && rows_[i].covers(layer, head)) return *built_->of_row[i];
  }
  return *built_->by_default;
}

HeadEdit Plan::edit(int layer, int head) const {
  for (std::size_t i = rows_.size(); i-- > 0;) {
    if (built_->edit_of_row[i] && rows_[i].covers(layer, head)) return *built_->edit_of_row[i];
  }
  return {};
}

std::vector<HeadEdit> Plan::edits(int layer, std::span<const int> heads) const {
  std::vector<HeadEdit> edits;
  for (const int head : heads) edits.push_back(edit(layer, head));
  if (std::ranges::all_of(edits, &HeadEdit::neutral)) edits.clear();
  return edits;
}

Plan Plan::with_row(Row row) const {
  Plan plan = *this;
  plan.rows_.push_back(std::move(row));
  plan.built_ = std::make_shared<const Built>(plan.default_row_, plan.rows_);
  return plan;
}

bool Plan::depends_on_batch() const {
  const auto depends = [](const ChoicePtr& choice) { return choice && choice->traits().depends_on_batch; };
  return depends(built_->by_default) || std::ranges::any_of(built_->of_row, depends);
}

std::string Plan::print() const {
  const bool plain = rows_.empty() && precision_ == Precision::kAuto && linear_ == LinearLayers::kAuto;
  return plain ? print_spec(*default_row_.attn) : write_plan({default_row_, rows_, precision_, linear_});
}

bool Plan::skips_attention() const {
  const auto skips = [](const Row& row) { return row.attn && contains_none(*row.attn); };
  return skips(default_row_) || std::ranges::any_of(rows_, skips);
}

Plan Plan::with_precision(Precision precision) const {
  Plan plan = *this;
  plan.precision_ = precision;
  return plan;
}

Plan Plan::with_linear(LinearLayers linear) const {
  Plan plan = *this;
  plan.linear_ = linear;
  return plan;
}

bool Plan::operator==(const Plan& other) const {
  return default_row_ == other.default_row_ && rows_ == other.rows_ && precision_ == other.precision_ &&
         linear_ == other.linear_;
}

Plan::Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::Plan(const Plan&) = default;
Plan& Plan::operator=(const Plan&) = default;
Plan::~Plan() = default;

}  // namespace saccade
