#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "apps/saccade/context_options.h"
#include "apps/saccade/documents.h"
#include "apps/saccade/eval_task.h"
#include "apps/saccade/progress.h"
#include "apps/saccade/rows.h"
#include "saccade/base/error.h"
#include "saccade/judge/perplexity.h"

namespace saccade::app {
namespace {

constexpr std::int64_t kLong = 4096;  ///< tokens: as much of a document as the authors read

struct CutDocument {
  std::string id;
  Tokens tokens;
};

std::vector<CutDocument> cut(const EvalInput& input) {
  const auto& options = input.options;
  const std::int64_t most =
      options.given_ctx ? options.n_ctx : std::min(kLong, most_context(options, input.model.facts()));
  std::vector<CutDocument> documents;
  int n_cut = 0;
  for (const auto& document : read_documents(options.text)) {
    CutDocument one{.id = document.id, .tokens = input.model.begin()};
    const Tokens body = input.model.tokenize(document.text, false);
    one.tokens.insert(one.tokens.end(), body.begin(), body.end());
    if (one.tokens.size() < 2)
      fail_user(
          fmt::format("document {}: it has {} tokens, and none of them follows another", one.id, one.tokens.size()));
    n_cut += static_cast<std::int64_t>(one.tokens.size()) > most ? 1 : 0;
    one.tokens.resize(std::min(one.tokens.size(), static_cast<std::size_t>(most)));
    documents.push_back(std::move(one));
  }
  if (n_cut > 0)
    std::fprintf(stderr, "saccade: %d of %zu documents are cut to their first %lld tokens\n", n_cut, documents.size(),
                 static_cast<long long>(most));
  return documents;
}

/// The mean negative log-likelihood of every token but the first.
DocumentLoss loss_of(Context& context, const CutDocument& document) {
  context.clear();
  std::vector<Pos> positions(document.tokens.size() - 1);
  std::iota(positions.begin(), positions.end(), Pos{0});
  judge::PerplexityMeter meter;
  prefill(context, document.tokens, positions, document.id, [&](std::size_t i, std::span<const float> logits) {
    meter.add(logits, static_cast<std::size_t>(document.tokens[i + 1]));
  });
  return {.id = document.id, .n_tokens = static_cast<std::int64_t>(document.tokens.size()), .loss = meter.loss()};
}

InfluenceRow measure(const Model& model, const Attention& attention, const std::vector<CutDocument>& documents,
                     const ContextOptions& options) {
  Context context(model, attention, options);
  InfluenceRow row{.attn = attention.typed, .documents = {}};
  Progress progress(attention.typed, static_cast<std::int64_t>(documents.size()), "documents");
  for (const auto& document : documents) {
    row.documents.push_back(loss_of(context, document));
    progress.at(static_cast<std::int64_t>(row.documents.size()));
  }
  return row;
}

}  // namespace

std::vector<InfluenceRow> eval_influence(const EvalInput& input) {
  const std::vector<CutDocument> documents = cut(input);
  Tokens all;
  std::size_t longest = 0;
  for (const auto& document : documents) {
    all.insert(all.end(), document.tokens.begin(), document.tokens.end());
    longest = std::max(longest, document.tokens.size());
  }
  const auto options = context_of(input.model, input.options, input.attentions, static_cast<std::int64_t>(longest));
  input.resume.begin(comparison_name(input.model.facts(), all, options, "influence"));
  return finished_rows<InfluenceRow>(input, influence_row_from_json, [&](const Attention& attention) {
    return measure(input.model, attention, documents, options);
  });
}

}  // namespace saccade::app
