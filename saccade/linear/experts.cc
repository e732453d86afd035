#include "saccade/linear/experts.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/linear/panels.h"
#include "saccade/linear/shares.h"
#include "saccade/linear/tiles.h"

namespace saccade {
namespace {

using detail::FixedTokens;
using detail::PanelRoom;
using detail::PanelShape;
using detail::RoundedTokens;
using detail::TileRoom;
using kernel::kTileParams;

void check(const ExpertsCall& call) {
  const auto fail = [](const std::string& line) { fail_user("linear: " + line); };
  if (call.n_tokens < 0 || call.n_slots < 0 || call.params.dim < 1) {
    fail("n_tokens and n_slots must be >= 0 and dim >= 1, got " + std::to_string(call.n_tokens) + ", " +
         std::to_string(call.n_slots) + " and " + std::to_string(call.params.dim));
  }
  detail::check_precision(call.precision);
  detail::check_params(call.params, call.params.dim);
  if (call.n_slots > 1 && call.y_slot_stride < call.params.n_rows) {
    fail("y_slot_stride must be >= n_rows " + std::to_string(call.params.n_rows) + ", got " +
         std::to_string(call.y_slot_stride));
  }
}

/// Some tokens of one expert, as places in the list of all pairs of a token and a slot by expert.
struct Piece {
  Pos expert;
  Range places;
};

/// All pairs, sorted by expert.
class Routes {
 public:
  explicit Routes(const ExpertsCall& call)
      : call_(call), pairs_(static_cast<std::size_t>(call.n_tokens * call.n_slots)) {
    ends_.resize(static_cast<std::size_t>(call.n_experts) + 1);
    const auto n_pairs = static_cast<Pos>(pairs_.size());
    for (Pos pair = 0; pair < n_pairs; ++pair) ++ends_[expert(pair) + 1];
    for (std::size_t i = 1; i < ends_.size(); ++i) ends_[i] += ends_[i - 1];
    std::vector<Pos> next(ends_.begin(), ends_.end() - 1);
    for (Pos pair = 0; pair < n_pairs; ++pair) pairs_[static_cast<std::size_t>(next[expert(pair)]++)] = pair;
  }

  const float* x(Pos place) const {
    return call_.x + token(place) * call_.x_stride + slot(place) * call_.x_slot_stride;
  }
  float* y(Pos place) const { return call_.y + token(place) * call_.y_stride + slot(place) * call_.y_slot_stride; }

  /// Pieces of at most kBatch places; each batch of pieces has no more than that together.
  std::vector<std::vector<Piece>> batches() const {
    std::vector<std::vector<Piece>> batches;
    Pos room = 0;
    for (Pos e = 0; e < call_.n_experts; ++e) {
      const Range all{ends_[static_cast<std::size_t>(e)], ends_[static_cast<std::size_t>(e) + 1]};
      const Pos parts = (all.size() + detail::kBatch - 1) / detail::kBatch;
      for (Pos part = 0; part < parts; ++part) {
        const Range places{all.begin + all.size() * part / parts, all.begin + all.size() * (part + 1) / parts};
        if (places.size() > room) batches.emplace_back(), room = detail::kBatch;
        batches.back().push_back({e, places});
        room -= places.size();
      }
    }
    return batches;
  }

 private:
  Pos token(Pos place) const { return pairs_[static_cast<std::size_t>(place)] / call_.n_slots; }
  Pos slot(Pos place) const { return pairs_[static_cast<std::size_t>(place)] % call_.n_slots; }
  std::size_t expert(Pos pair) const {
    const std::int32_t expert = call_.experts[pair / call_.n_slots * call_.experts_stride + pair % call_.n_slots];
    if (expert < 0 || expert >= call_.n_experts) {
      fail_user("linear: experts must be in [0, " + std::to_string(call_.n_experts) + "), got " +
                std::to_string(expert));
    }
    return static_cast<std::size_t>(expert);
  }

  const ExpertsCall& call_;
  std::vector<Pos> ends_;   // [n_experts + 1]: places of expert e are [ends[e], ends[e + 1])
  std::vector<Pos> pairs_;  // [places]: token n_slots + slot
};

ParamView params_of(const ExpertsCall& call, Pos expert) {
  ParamView params = call.params;
  params.data = static_cast<const std::byte*>(params.data) + expert * call.expert_stride;
  return params;
}

/// In 16-bit fixed point.
void experts_i16(const ExpertsCall& call, const Routes& routes, Team& team, LinearWorkspace::Rooms& rooms) {
  const Pos tiles = detail::n_tiles(call.params);
  for (const std::vector<Piece>& pieces : routes.batches()) {
    const Range batch{pieces.front().places.begin, pieces.back().places.end};
    rooms.tokens.reserve(FixedTokens(Layout(), batch.size(), call.params.dim).bytes());
    rooms.reserve(team.size(), TileRoom(Layout(), batch.size()).bytes);
    const FixedTokens tokens(Layout(rooms.tokens.data()), batch.size(), call.params.dim);
    constexpr Pos kTogether = detail::kRoundedTogether;
    parallel_for(team, (batch.size() + kTogether - 1) / kTogether, [&](Pos item, int) {
      const Pos end = std::min(batch.size(), (item + 1) * kTogether);
      for (Pos i = item * kTogether; i < end; ++i) tokens.fix(i, 1, routes.x(batch.begin + i), call.params.dim);
    });

    parallel_for(team, tiles * static_cast<Pos>(pieces.size()), [&](Pos item, int worker) {
      const Piece& piece = pieces[static_cast<std::size_t>(item / tiles)];
      const Pos row = item % tiles * kTileParams;
      const ParamView params = params_of(call, piece.expert);
      const TileRoom room(Layout(rooms.workers[static_cast<std::size_t>(worker)].data()), batch.size());
      const Range which{piece.places.begin - batch.begin, piece.places.end - batch.begin};
      detail::multiply_tile(params, row, tokens, which, nullptr, 0, room);
      const int n_rows = detail::rows_of_tile(params, row);
      for (Pos i = 0; i < which.size(); ++i)
        std::copy_n(room.sums + i * kTileParams, n_rows, routes.y(piece.places.begin + i) + row);
    });
  }
}

/// A batch of pieces, each of which begins a row of tiles of its own.
struct Tiled {
  explicit Tiled(std::vector<Piece> list) : pieces(std::move(list)) {
    for (const Piece& piece : pieces) {
      begins.push_back(static_cast<Pos>(sixteens.size()) * kernel::kTileSide);
      for (Pos at = piece.places.begin; at < piece.places.end; at += kernel::kTileSide)
        sixteens.push_back({at, std::min(piece.places.end, at + kernel::kTileSide)});
    }
  }
  Pos n_places() const { return static_cast<Pos>(sixteens.size()) * kernel::kTileSide; }

  std::vector<Piece> pieces;
  std::vector<Pos> begins;      ///< where each piece's tokens begin in RoundedTokens
  std::vector<Range> sixteens;  ///< places of each row of tiles, 16 or fewer
};

/// In bf16 tiles.
void experts_bf16(const ExpertsCall& call, const Routes& routes, Team& team, LinearWorkspace::Rooms& rooms) {
  const int terms = kernel::terms_of(call.params.type);
  for (std::vector<Piece>& pieces : routes.batches()) {
    const Tiled batch(std::move(pieces));
    const auto n_pieces = static_cast<Pos>(batch.pieces.size());
    const PanelShape shape =
        detail::panel_shape(call.params.n_rows, call.params.dim, terms, detail::over(2 * team.size(), n_pieces));
    rooms.tokens.reserve(RoundedTokens(Layout(), batch.n_places(), call.params.dim, terms).bytes());
    rooms.reserve(team.size(), PanelRoom(Layout(), shape, terms, detail::kBatch).bytes);
    const RoundedTokens tokens(Layout(rooms.tokens.data()), batch.n_places(), call.params.dim, terms);
    parallel_for(team, static_cast<Pos>(batch.sixteens.size()), [&](Pos item, int) {
      const Range places = batch.sixteens[static_cast<std::size_t>(item)];
      tokens.round(item, [&](Pos i) { return i < places.size() ? routes.x(places.begin + i) : nullptr; });
    });

    const Pos panels = detail::over(call.params.n_rows, shape.n_rows);
    parallel_for(team, panels * n_pieces, [&](Pos item, int worker) {
      const auto at = static_cast<std::size_t>(item / panels);
      const Piece& piece = batch.pieces[at];
      const Pos row = item % panels * shape.n_rows;
      const PanelRoom room(Layout(rooms.workers[static_cast<std::size_t>(worker)].data()), shape, terms,
                           detail::kBatch);
      for (Pos i = 0; i < piece.places.size(); ++i) room.rows[i] = routes.y(piece.places.begin + i) + row;
      detail::multiply_panel(params_of(call, piece.expert), {row, std::min(call.params.n_rows, row + shape.n_rows)},
                             tokens, {batch.begins[at], batch.begins[at] + piece.places.size()}, shape,
                             {.rows = room.rows}, room);
    });
  }
}

}  // namespace

void linear_experts(const ExpertsCall& call, Team& team, LinearWorkspace& workspace) {
  check(call);
  if (call.n_tokens == 0 || call.n_slots == 0 || call.params.n_rows == 0) return;
  const Routes routes(call);
  const bool in_tiles = linear_precision(call.precision) == Precision::kBf16;
  in_tiles ? experts_bf16(call, routes, team, workspace.rooms()) : experts_i16(call, routes, team, workspace.rooms());
}

}  // namespace saccade
