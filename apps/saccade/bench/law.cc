#include "apps/saccade/bench/law.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "saccade/base/error.h"
#include "saccade/kernel/fixed.h"
#include "saccade/oracle/bf16.h"
#include "saccade/oracle/fixed.h"

namespace saccade::app {

std::vector<SampleRow> sample_rows(const Layers& data) {
  const Shape& shape = data.shape();
  const std::set<std::pair<Pos, Pos>> places = {
      {0, 0}, {shape.q_len / 2, shape.n_heads / 2}, {shape.q_len - 1, shape.n_heads - 1}, {shape.q_len - 1, 0}};
  std::vector<SampleRow> rows;
  for (const auto& [i, head] : places) rows.push_back({i, head, data.row_inputs(i, head)});
  return rows;
}

Law::Law(const Layers& data, const std::vector<SampleRow>& rows, std::span<const Where* const> where, Team& team)
    : data_(data) {
  for (const SampleRow& row : rows) samples_.push_back({row.i, row.head});
  parallel_for(team, static_cast<Pos>(rows.size()), [&](Pos index, int) {
    Sample& sample = samples_[static_cast<std::size_t>(index)];
    const oracle::Inputs& in = rows[static_cast<std::size_t>(index)].in;
    const Where* seen = where[where.size() == 1 ? 0 : static_cast<std::size_t>(sample.head)];
    const auto visible = [seen](Pos q_pos, Pos k_pos) { return seen->admits(q_pos, k_pos); };
    sample.plain = oracle::expect_row(in, 0, 0, visible, [](auto score) { return score; });
    sample.plain.i = sample.i;
    sample.plain.head = sample.head;
    sample.fixed = oracle::attend_row_fixed(in, 0, 0, visible);
    sample.bf16 = oracle::attend_row_bf16(in, 0, 0, visible, [](auto score) { return score; });
  });
}

void Law::check_rows(std::span<const float> o, const std::string& who, double eps, PlainRow also) const {
  const Shape& shape = data_.shape();
  if (!std::ranges::all_of(o, [](float x) { return std::isfinite(x); }))
    fail_machine(fmt::format("{} is wrong, nothing is reported: {}: not every number is finite", who, shape.text()));
  for (const Sample& sample : samples_) {
    oracle::Expected expected = sample.plain;
    expected.eps = eps;
    if (also != nullptr) expected.compare_with(sample.*also);
    const auto at = static_cast<std::size_t>((sample.i * shape.n_heads + sample.head) * shape.head_dim);
    const auto row = o.subspan(at, static_cast<std::size_t>(shape.head_dim));
    const std::string fault = oracle::fault_of(std::move(expected), row, nullptr);
    if (!fault.empty()) fail_machine(fmt::format("{} is wrong, nothing is reported: {}: {}", who, shape.text(), fault));
  }
}

void Law::check(std::span<const float> o, Precision precision, const std::string& who) const {
  switch (precision) {
    case Precision::kF32:
      return check_rows(o, who, std::numeric_limits<float>::epsilon(), nullptr);
    case Precision::kI16:
      return check_rows(o, who, 1.0 / kernel::kWeightSteps, &Sample::fixed);
    case Precision::kBf16:
      return check_rows(o, who, 1.0 / 256, &Sample::bf16);
    case Precision::kAuto:
      break;  // no precision of its own: Session refuses it
  }
  fail_machine(fmt::format("{} has no law", who));
}

void Law::check_peer(std::span<const float> o, const std::string& who) const {
  const ggml_type type = data_.shape().type;
  // bf16 keys: queries are rounded to bf16; quantised keys: to q8_0, steps of 1/127 of a block's largest.
  const bool coarse = type == GGML_TYPE_BF16 || ggml_is_quantized(type);
  check_rows(o, who, coarse ? 0x1p-7 : 0x1p-10, nullptr);
}

}  // namespace saccade::app
