#include "saccade/linear/panels.h"

#include <algorithm>
#include <vector>

#include "saccade/kernel/matrix_unit.h"
#include "saccade/linear/shares.h"

namespace saccade::detail {
namespace {

using kernel::kStepDims;
using kernel::kStepTokens;
using kernel::kTileSide;
using kernel::kTileWords;
using kernel::terms_of;

/// Bytes of a panel: of 2 MiB of second-level cache a tile product still runs at the cache's speed up to 900 KiB, and
/// tokens and results pass through it too.
constexpr Pos kPanelBytes = Pos{768} << 10;

/// Rows are decoded whole up to this length, in terms: 170 of them fit into a panel, and what comes from beyond the
/// second-level cache, the tokens, is 1 KiB for 10 products of 16 cycles: 6 bytes a cycle.
constexpr Pos kWholeDims = 2304;
/// Longer rows are cut. 32 tokens then take 32 KiB of the first-level cache while all rows pass by; 768 rows fit into a
/// panel, so that tokens are 1.3 bytes a cycle, and the sums so far, which move once for 16 products, 8.
constexpr Pos kCutDims = 512;

/// Balance may ask for smaller panels, but tokens must not cost more than 8 bytes a cycle.
constexpr Pos kFewestRows = 128;

Pos up(Pos n, Pos unit) { return over(n, unit) * unit; }

}  // namespace

RoundedTokens::RoundedTokens(Layout layout, Pos n_places, Pos dim, int terms)
    : dim_(dim),
      n_steps_(over(dim, kStepDims) * terms),
      terms_(terms),
      words_(layout.take<std::uint32_t>(over(n_places, kTileSide) * stride())),
      bytes_(layout.used()) {}

void RoundedTokens::round(Pos place, const float* x, Range dims) const {
  std::uint32_t* row = words_ + place / kTileSide * stride() + place % kTileSide * kTileSide;
  const int n = static_cast<int>(dims.size());
  kernel::round_token(x ? x + dims.begin : nullptr, x ? n : 0, n, terms_,
                      row + dims.begin / kStepDims * terms_ * kTileWords);
}

const std::uint32_t* RoundedTokens::tiles(Pos place, Pos first_dim) const {
  return words_ + place / kTileSide * stride() + first_dim / kStepDims * terms_ * kTileWords;
}

PanelShape panel_shape(Pos n_rows, Pos dim, int terms, Pos n_workers) {
  constexpr Pos kRows = kernel::kStepRows, kBytes = 2;
  PanelShape shape;
  shape.n_dims =
      up(dim, kStepDims) * terms <= kWholeDims ? up(dim, kStepDims) : kCutDims / terms / kStepDims * kStepDims;
  // A cut must fall between blocks of parameters, which only types of one term have.
  static_assert(kCutDims % 256 == 0);
  const Pos most = std::max(kRows, kPanelBytes / (shape.n_dims * terms * kBytes) / kRows * kRows);
  const Pos panels = up(over(n_rows, most), n_workers);
  shape.n_rows = std::min(most, std::max(kFewestRows, up(over(n_rows, panels), kRows)));
  return shape;
}

PanelRoom::PanelRoom(Layout layout, PanelShape shape, int terms, Pos n_places)
    : panel(layout.take<std::uint32_t>(shape.n_rows * shape.n_dims * terms / 2)),
      rows(layout.take<float*>(n_places)),
      bytes(layout.used()) {}

void multiply_panel(const ParamView& params, Range rows, const RoundedTokens& tokens, Range places,
                    const PanelShape& shape, kernel::Bf16Results results, const PanelRoom& room) {
  const kernel::MatrixSession session;
  for (Pos first = 0; first < tokens.dim(); first += shape.n_dims) {
    const int n = static_cast<int>(std::min(shape.n_dims, tokens.dim() - first));
    const int n_steps = kernel::steps_of(n, tokens.terms());
    const auto rows_at = [&](Pos row) { return params.row(row) + param_bytes(params.type, first); };
    const auto n_at = [&](Pos row) { return static_cast<int>(std::clamp<Pos>(rows.end - row, 0, kTileSide)); };
    std::uint32_t* tiles = room.panel;
    for (Pos row = rows.begin; row < rows.end; row += kTileSide, tiles += n_steps * kTileWords) {
      const Pos next = row + kTileSide;
      if (next < rows.end) kernel::prefetch_params(params.type, rows_at(next), params.row_stride, n_at(next), n);
      kernel::round_params(params.type, rows_at(row), params.row_stride, n_at(row), n, tiles);
    }
    results.add = first > 0;
    kernel::multiply_bf16({.tokens = tokens.tiles(places.begin, first),
                           .tokens_stride = tokens.stride(),
                           .params = room.panel,
                           .n_steps = n_steps,
                           .n_tokens = static_cast<int>(places.size()),
                           .n_rows = static_cast<int>(rows.size())},
                          results);
  }
}

namespace {

/// Products whose parameters take as many terms, so that their tokens are the same.
void multiply(const LinearCall& call, std::span<const LinearProduct> products, int terms, Team& team,
              LinearWorkspace::Rooms& rooms) {
  Pos n_rows = 0, n_panels = 0;
  for (const LinearProduct& product : products) n_rows += product.params.n_rows;
  const PanelShape shape = panel_shape(n_rows, call.dim, terms, team.size());
  const auto panels_of = [&](const LinearProduct& product) { return over(product.params.n_rows, shape.n_rows); };
  for (const LinearProduct& product : products) n_panels += panels_of(product);

  const Pos batch = batch_of(call.n_tokens, kStepTokens);
  for (Pos first = 0; first < call.n_tokens; first += batch) {
    const Pos n_tokens = std::min(batch, call.n_tokens - first);
    const RoundedTokens tokens(Layout(rooms.tokens.data()), n_tokens, call.dim, terms);
    parallel_for(team, over(n_tokens, kTileSide), [&](Pos item, int) {
      tokens.round(item, [&](Pos i) {
        const Pos place = item * kTileSide + i;
        return place < n_tokens ? call.x + (first + place) * call.x_stride : nullptr;
      });
    });

    const Pos parts = parts_of(n_tokens, n_panels, team.size()), units = over(n_tokens, kStepTokens);
    parallel_for(team, n_panels * parts, [&](Pos item, int worker) {
      const Pos part = item % parts;
      Pos panel = item / parts;
      const LinearProduct* product = products.data();
      for (; panel >= panels_of(*product); ++product) panel -= panels_of(*product);
      const Pos row = panel * shape.n_rows;
      const Range places{units * part / parts * kStepTokens,
                         std::min(n_tokens, units * (part + 1) / parts * kStepTokens)};
      const PanelRoom room(Layout(rooms.workers[static_cast<std::size_t>(worker)].data()), shape, terms, 0);
      float* y = product->y + (first + places.begin) * product->y_stride + row;
      multiply_panel(product->params, {row, std::min(product->params.n_rows, row + shape.n_rows)}, tokens, places,
                     shape, {.y = y, .stride = product->y_stride}, room);
    });
  }
}

}  // namespace

void linear_bf16(const LinearCall& call, Team& team, LinearWorkspace::Rooms& rooms) {
  std::vector<LinearProduct> of_terms[4];
  for (const LinearProduct& product : call.products) {
    if (product.params.n_rows > 0) of_terms[terms_of(product.params.type)].push_back(product);
  }
  for (int terms = 1; terms <= 3; ++terms) {  // all memory before the first result
    if (of_terms[terms].empty()) continue;
    Pos n_rows = 0;
    for (const LinearProduct& product : of_terms[terms]) n_rows += product.params.n_rows;
    const PanelShape shape = panel_shape(n_rows, call.dim, terms, team.size());
    rooms.tokens.reserve(RoundedTokens(Layout(), batch_of(call.n_tokens, kStepTokens), call.dim, terms).bytes());
    rooms.reserve(team.size(), PanelRoom(Layout(), shape, terms, 0).bytes);
  }
  for (int terms = 1; terms <= 3; ++terms) {
    if (!of_terms[terms].empty()) multiply(call, of_terms[terms], terms, team, rooms);
  }
}

}  // namespace saccade::detail
