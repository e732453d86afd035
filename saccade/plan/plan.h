#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "saccade/base/linear_layers.h"
#include "saccade/base/precision.h"
#include "saccade/base/view.h"
#include "saccade/plan/spec.h"
#include "saccade/steer/edit.h"
#include "saccade/where/choice.h"

namespace saccade {

/// auto, f32, i16 or bf16. Errors: Fault::kUser for another word. (attend.h, check_precision: can this CPU run it?)
Precision parse_precision(std::string_view word);

/// auto or ggml. Errors: Fault::kUser for another word.
LinearLayers parse_linear(std::string_view word);

/// Which layer and head uses which mechanism: plain data. Later rows win over earlier ones, rows over the default.
class Plan {
 public:
  struct Row {
    std::vector<Range> layers;  ///< half-open; empty: all layers
    std::vector<Range> heads;   ///< half-open; empty: all heads
    std::optional<Spec> attn;   ///< a row without leaves it to earlier ones
    std::optional<Spec> steer;  ///< likewise; of nobody: no edit
    bool covers(int layer, int head) const;
    bool operator==(const Row&) const = default;
  };

  /// Everything by one spec, e.g. "window(1024)+sink(4)". Errors: Fault::kUser, one line.
  static Plan from_spec(std::string_view spec);
  /// {"default": {"attn": "dense", "precision": "auto", "linear": "auto"}, "rows": [{"layers": "2-23", "heads":
  /// "0,3-5", "attn": "window(1024)"}, {"layers": "5", "heads": "7", "steer": "uniform"}]}; "2-23" has both ends in.
  /// Errors: Fault::kUser, one line; an unknown key names its nearest neighbour.
  static Plan from_json(std::string_view json);
  /// A file that exists is read as JSON, anything else is a spec.
  static Plan load(const std::string& file_or_spec);

  /// Errors: Fault::kUser when a row names a layer or head that a model of this size does not have.
  void check(int n_layers, int n_heads) const;

  /// What says where this head of this layer looks; lives as long as the plan. Equal specs give the same pointer.
  const Choice& choice(int layer, int head) const;

  /// What is edited of this head; neutral unless a row says otherwise.
  HeadEdit edit(int layer, int head) const;
  /// Of each of these heads; empty where that is nothing at all.
  std::vector<HeadEdit> edits(int layer, std::span<const int> heads) const;
  /// One more row, which wins over the others. Errors: Fault::kUser when a spec of it cannot be built.
  Plan with_row(Row row) const;

  /// Somewhere a choice depends on how a prompt is cut into batches (SelectTraits): larger batches serve it better.
  bool depends_on_batch() const;

  /// The spec alone when that says it all, else JSON; from_spec / from_json of it gives an equal plan.
  std::string print() const;

  /// In which numbers all of it runs; kAuto unless the plan says otherwise.
  Precision precision() const { return precision_; }
  Plan with_precision(Precision precision) const;

  /// Who runs the linear layers beside it; kAuto unless the plan says otherwise.
  LinearLayers linear() const { return linear_; }
  Plan with_linear(LinearLayers linear) const;

  /// True when somewhere attention is skipped (`none`): the answers are worthless and the record says so.
  bool skips_attention() const;

  bool operator==(const Plan& other) const;

  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  Plan(const Plan&);
  Plan& operator=(const Plan&);
  ~Plan();

 private:
  Plan();
  struct Built;
  Row default_row_;
  std::vector<Row> rows_;
  Precision precision_ = Precision::kAuto;
  LinearLayers linear_ = LinearLayers::kAuto;
  std::shared_ptr<const Built> built_;  // the Choice of every row, made once
};

}  // namespace saccade
