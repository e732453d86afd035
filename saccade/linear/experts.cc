#include "saccade/linear/experts.h"

#include <algorithm>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/linear/tiles.h"

namespace saccade {
namespace {

using detail::FixedTokens;
using detail::TileRoom;
using kernel::kTileParams;

void check(const ExpertsCall& call) {
  const auto fail = [](const std::string& line) { fail_user("linear: " + line); };
  if (call.n_tokens < 0 || call.n_slots < 0 || call.params.dim < 1) {
    fail("n_tokens and n_slots must be >= 0 and dim >= 1, got " + std::to_string(call.n_tokens) + ", " +
         std::to_string(call.n_slots) + " and " + std::to_string(call.params.dim));
  }
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

}  // namespace

void linear_experts(const ExpertsCall& call, Team& team, LinearWorkspace& workspace) {
  check(call);
  if (call.n_tokens == 0 || call.n_slots == 0 || call.params.n_rows == 0) return;
  const Routes routes(call);
  const Pos tiles = detail::n_tiles(call.params);
  LinearWorkspace::Rooms& rooms = workspace.rooms();
  for (const std::vector<Piece>& pieces : routes.batches()) {
    const Range batch{pieces.front().places.begin, pieces.back().places.end};
    rooms.tokens.reserve(FixedTokens(Layout(), batch.size(), call.params.dim).bytes());
    rooms.reserve(team.size(), batch.size());
    const FixedTokens tokens(Layout(rooms.tokens.data()), batch.size(), call.params.dim);
    constexpr Pos kTogether = detail::kRoundedTogether;
    parallel_for(team, (batch.size() + kTogether - 1) / kTogether, [&](Pos item, int) {
      const Pos end = std::min(batch.size(), (item + 1) * kTogether);
      for (Pos i = item * kTogether; i < end; ++i) tokens.fix(i, 1, routes.x(batch.begin + i), call.params.dim);
    });

    parallel_for(team, tiles * static_cast<Pos>(pieces.size()), [&](Pos item, int worker) {
      const Piece& piece = pieces[static_cast<std::size_t>(item / tiles)];
      const Pos row = item % tiles * kTileParams;
      ParamView params = call.params;
      params.data = static_cast<const std::byte*>(params.data) + piece.expert * call.expert_stride;
      const TileRoom room(Layout(rooms.workers[static_cast<std::size_t>(worker)].data()), batch.size());
      const Range which{piece.places.begin - batch.begin, piece.places.end - batch.begin};
      detail::multiply_tile(params, row, tokens, which, nullptr, 0, room);
      const int n_rows = detail::rows_of_tile(params, row);
      for (Pos i = 0; i < which.size(); ++i)
        std::copy_n(room.sums + i * kTileParams, n_rows, routes.y(piece.places.begin + i) + row);
    });
  }
}

}  // namespace saccade
